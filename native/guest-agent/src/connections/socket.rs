//! A connected stream socket of the guest. Until it is released, its end is an abort: what was cut off on the host's
//! side is not taken for a whole by whoever reads it here. A Unix socket knows no abort.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net;

use tokio::net::{TcpStream, UnixStream};

use crate::sys;

/// Reads, writes and polls of a stream socket are the same whatever its family.
pub struct Socket(pub UnixStream);

impl Socket {
    pub fn of_tcp(stream: TcpStream) -> io::Result<Self> {
        if stream.local_addr()? == stream.peer_addr()? {
            // the kernel chose the very port as its own, and the socket has met itself
            return Err(io::Error::from_raw_os_error(libc::ECONNREFUSED));
        }
        stream.set_nodelay(true)?;
        let descriptor = OwnedFd::from(stream.into_std()?);
        sys::abort_on_close(&descriptor, true)?;
        UnixStream::from_std(net::UnixStream::from(descriptor)).map(Socket)
    }

    pub fn of_unix(stream: UnixStream) -> Self {
        Socket(stream)
    }

    /// Ends it in order: what is still on its way arrives.
    pub fn release(self) {
        let _ = sys::abort_on_close(&self.0, false);
    }
}
