//! A process's stdin: a pipe that is written as fast as the process reads.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use h2::RecvStream;
use serde::Serialize;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::Process;
use crate::http::Failure;
use crate::sys;

#[derive(Default)]
pub enum Pipe {
    #[default]
    None,
    Open(Rc<AsyncFd<OwnedFd>>),
    Closed,
}

#[derive(Default)]
pub struct Stdin {
    pipe: Pipe,
    /// bytes accepted so far
    accepted: u64,
    /// a request is writing
    busy: bool,
}

#[derive(Serialize)]
pub struct Description {
    state: &'static str,
    accepted: u64,
}

impl Stdin {
    /// Without a pipe the process has none.
    pub fn new(pipe: Option<OwnedFd>) -> io::Result<Self> {
        let Some(pipe) = pipe else { return Ok(Stdin::default()) };
        sys::set_nonblocking(&pipe)?;
        let pipe = Pipe::Open(Rc::new(sys::watch(pipe, Interest::WRITABLE)?));
        Ok(Stdin { pipe, accepted: 0, busy: false })
    }

    pub fn close(&mut self) {
        if matches!(self.pipe, Pipe::Open(_)) {
            self.pipe = Pipe::Closed;
        }
    }

    pub fn describe(&self) -> Description {
        let state = match self.pipe {
            Pipe::None => "none",
            Pipe::Open(_) => "open",
            Pipe::Closed => "closed",
        };
        Description { state, accepted: self.accepted }
    }
}

impl Process {
    /// Writes a request's body to stdin; gives the number of bytes accepted in all.
    pub async fn write_stdin(&self, body: &mut RecvStream, offset: u64, close: bool) -> Result<u64, Failure> {
        let pipe = self.begin_write(offset)?;
        let _writing = Writing(self);
        while let Some(chunk) = body.data().await {
            let chunk = chunk.map_err(|why| Failure::bad_request(&format!("the body broke off: {why}")))?;
            let mut rest = &chunk[..];
            while !rest.is_empty() {
                let written = tokio::select! {
                    written = pipe.async_io(Interest::WRITABLE, |fd| sys::write(fd.as_fd(), rest)) => written,
                    () = self.ended() => Err(io::Error::from(io::ErrorKind::BrokenPipe)),
                };
                let Ok(written) = written else {
                    self.stdin.borrow_mut().close();
                    return Err(Failure::conflict(&format!(
                        "process {} no longer reads its stdin; accepted are {} bytes",
                        self.id,
                        self.stdin.borrow().accepted
                    )));
                };
                self.stdin.borrow_mut().accepted += written as u64;
                rest = &rest[written..];
            }
            let _ = body.flow_control().release_capacity(chunk.len());
        }
        let mut stdin = self.stdin.borrow_mut();
        if close {
            stdin.close();
        }
        Ok(stdin.accepted)
    }

    fn begin_write(&self, offset: u64) -> Result<Rc<AsyncFd<OwnedFd>>, Failure> {
        let mut stdin = self.stdin.borrow_mut();
        let Pipe::Open(pipe) = &stdin.pipe else {
            return Err(Failure::conflict(&format!(
                "the stdin of process {} is not open; accepted are {} bytes",
                self.id, stdin.accepted
            )));
        };
        if stdin.busy {
            return Err(Failure::conflict(&format!("another request writes to the stdin of process {}", self.id)));
        }
        if offset != stdin.accepted {
            return Err(Failure::conflict(&format!(
                "the stdin of process {} has accepted {} bytes, not {offset}",
                self.id, stdin.accepted
            )));
        }
        let pipe = pipe.clone();
        stdin.busy = true;
        Ok(pipe)
    }
}

/// Ends a write however it ends, the loss of its session included.
struct Writing<'a>(&'a Process);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.stdin.borrow_mut().busy = false;
    }
}
