//! The kernel's own language for interfaces, addresses and routes, rtnetlink(7): a message, and its acknowledgement.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::sys;

/// `struct nlmsghdr`: length, kind, flags, sequence number, sender
const HEADER_BYTES: usize = 16;
/// `struct rtattr`: length and kind
const ATTRIBUTE_HEADER_BYTES: usize = 4;
/// an acknowledgement repeats the message it is for
const ANSWER_BYTES: usize = 4096;

pub struct Message(Vec<u8>);

impl Message {
    /// `fixed` is the record that every message of its kind begins with, in bytes; `flags` are those besides the usual.
    pub fn new(kind: u16, flags: libc::c_int, fixed: &[u8]) -> Self {
        let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK | flags) as u16;
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(fixed);
        Message(bytes)
    }

    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let length = (ATTRIBUTE_HEADER_BYTES + value.len()) as u16;
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }
}

pub struct Netlink(OwnedFd);

impl Netlink {
    pub fn open() -> io::Result<Self> {
        sys::route_socket().map(Netlink)
    }

    /// The kernel has done it all when it answers, which is before the message counts as sent.
    pub fn ask(&self, Message(mut bytes): Message) -> io::Result<()> {
        let length = (bytes.len() as u32).to_ne_bytes();
        bytes[..4].copy_from_slice(&length);
        sys::write(self.0.as_fd(), &bytes)?;
        let mut answer = [0; ANSWER_BYTES];
        let length = sys::read(self.0.as_fd(), &mut answer)?;
        match answer_code(&answer[..length]) {
            Some(0) => Ok(()),
            Some(code) => Err(io::Error::from_raw_os_error(-code)),
            None => Err(io::Error::from(io::ErrorKind::InvalidData)),
        }
    }
}

/// what `struct nlmsgerr` begins with: 0, or an error as a negative number
fn answer_code(answer: &[u8]) -> Option<i32> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let code = answer.get(HEADER_BYTES..HEADER_BYTES + 4)?.try_into().ok()?;
    (libc::c_int::from(kind) == libc::NLMSG_ERROR).then(|| i32::from_ne_bytes(code))
}
