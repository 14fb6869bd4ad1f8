//! What is typed into a terminal, taken as fast as its programs read it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use h2::RecvStream;
use tokio::io::unix::AsyncFd;

use super::Terminal;
use super::pump::REOPEN;
use crate::http::Failure;
use crate::sys;

impl Terminal {
    /// Writes a request's body as it comes; several may do so at once, and their bytes mix as they arrive.
    pub async fn write_input(&self, body: &mut RecvStream) -> Result<u64, Failure> {
        let mut accepted = 0;
        let refuse = || Failure::conflict(&format!("terminal {} has ended", self.id));
        let mut pty = self.pty.borrow().clone().ok_or_else(refuse)?;
        loop {
            let chunk = tokio::select! {
                chunk = body.data() => chunk,
                () = self.ended() => return Err(refuse()),
            };
            let Some(chunk) = chunk else { return Ok(accepted) };
            let chunk = chunk.map_err(|why| Failure::bad_request(&format!("the body broke off: {why}")))?;
            let mut rest = &chunk[..];
            while !rest.is_empty() {
                let written = tokio::select! {
                    written = write_some(&pty, rest) => written,
                    () = self.ended() => return Err(refuse()),
                };
                rest = &rest[written.map_err(|_| refuse())?..];
            }
            accepted += chunk.len() as u64;
            let _ = body.flow_control().release_capacity(chunk.len());
            pty = self.pty.borrow().clone().ok_or_else(refuse)?;
        }
    }
}

async fn write_some(pty: &AsyncFd<OwnedFd>, bytes: &[u8]) -> io::Result<usize> {
    loop {
        let mut ready = pty.writable().await?;
        let nobody_there = ready.ready().is_write_closed(); // it counts as ready for ever
        match ready.try_io(|pty| sys::write(pty.get_ref().as_fd(), bytes)) {
            Ok(Err(why)) if why.raw_os_error() == Some(libc::EIO) => tokio::time::sleep(REOPEN).await,
            Ok(written) => return written,
            Err(_) if nobody_there => tokio::time::sleep(REOPEN).await,
            Err(_) => {}
        }
    }
}
