//! Reading, writing and watching descriptors.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::io::{Interest, ReadBuf};

use super::check;

pub fn set_nonblocking(fd: &impl AsRawFd) -> io::Result<()> {
    // SAFETY: plain system calls on an open descriptor.
    unsafe {
        let flags = check(libc::fcntl(fd.as_raw_fd(), libc::F_GETFL))?;
        check(libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK)).map(drop)
    }
}

/// How much a pipe holds.
pub fn bytes_to_read(pipe: &impl AsRawFd) -> u64 {
    let mut count: libc::c_int = 0;
    // SAFETY: `count` is valid for writing.
    unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &mut count) };
    u64::try_from(count).unwrap_or(0)
}

pub fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the buffer is valid for its length.
    let count = unsafe { libc::read(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
    if count < 0 { Err(io::Error::last_os_error()) } else { Ok(count as usize) }
}

/// Reads into a buffer that need not have been written before.
pub fn read_into(fd: BorrowedFd<'_>, buffer: &mut ReadBuf<'_>) -> io::Result<()> {
    // SAFETY: as many bytes of the unfilled part are counted as filled as the kernel has written there.
    unsafe {
        let unfilled = buffer.unfilled_mut();
        let count = libc::read(fd.as_raw_fd(), unfilled.as_mut_ptr().cast(), unfilled.len());
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        buffer.assume_init(count);
        buffer.advance(count);
    }
    Ok(())
}

pub fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the bytes are valid for their length.
    let count = unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
    if count < 0 { Err(io::Error::last_os_error()) } else { Ok(count as usize) }
}

/// Watches a descriptor from the event loop.
pub fn watch(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an owned descriptor stays the same open file for as long as the watch holds it.
    unsafe { AsyncFd::register_with_interest(fd, interest) }.map_err(io::Error::from)
}

/// An epoll instance that tells of every change of `fd`, once each.
pub fn edge_poll(fd: &impl AsRawFd) -> io::Result<OwnedFd> {
    // SAFETY: the fresh descriptor is ours; `event` is valid for reading.
    unsafe {
        let poll = OwnedFd::from_raw_fd(check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?);
        let mut event = libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLET) as u32, u64: 0 };
        check(libc::epoll_ctl(poll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd.as_raw_fd(), &mut event))?;
        Ok(poll)
    }
}

/// Takes what an edge poll has to tell.
pub fn take_edges(poll: &impl AsRawFd) {
    // SAFETY: `event` is valid for writing one record.
    unsafe {
        let mut event: libc::epoll_event = std::mem::zeroed();
        libc::epoll_wait(poll.as_raw_fd(), &mut event, 1, 0);
    }
}

/// Waits until a descriptor has something to read, at most `patience`.
pub fn await_readable(fd: &impl AsRawFd, patience: Duration) {
    let mut request = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let timeout_ms = libc::c_int::try_from(patience.as_millis()).unwrap_or(libc::c_int::MAX);
    // SAFETY: `request` is one valid record.
    unsafe { libc::poll(&mut request, 1, timeout_ms) };
}

/// Points 0, 1 and 2 at `fd`.
pub fn use_as_standard_streams(fd: &impl AsRawFd) {
    for standard in 0..=2 {
        // SAFETY: both descriptors are open.
        unsafe { libc::dup2(fd.as_raw_fd(), standard) };
    }
}
