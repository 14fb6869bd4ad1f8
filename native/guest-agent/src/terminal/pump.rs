//! Reading what a terminal's programs print, as fast as they print it: nothing waits for a viewer.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::unix::AsyncFd;

use super::Terminal;
use crate::sys;

/// what the kernel gives at a time
const READ_BYTES: usize = 4096;
/// a screen of so many cells takes in what was read at one go; on a bigger one a few bytes can cost milliseconds
const SMALL_CELLS: usize = 80 * 50;
const LEAST_PIECE_BYTES: usize = 64;
/// after which it is the others' turn
const TURN: Duration = Duration::from_millis(2);

/// taken in after its process has exited, whatever others that have the terminal open go on printing
const LAST_BYTES: usize = 256 * 1024;

/// how often a terminal that nobody has open is looked at again
pub const REOPEN: Duration = Duration::from_millis(50);

impl Terminal {
    /// Until the terminal's process has exited and what it printed is taken in.
    pub async fn pump(self: Rc<Self>) {
        let Some(pty) = self.pty.borrow().clone() else { return };
        self.read_on(&pty).await;
        while self.exit.get().is_none() {
            // some programs hang their terminal up and open it again
            tokio::time::sleep(REOPEN).await;
            self.read_on(&pty).await;
        }
        self.read_rest(&pty).await;
        *self.pty.borrow_mut() = None;
        self.ended.set(Some(Instant::now()));
        self.changed.notify_waiters();
    }

    /// Until its process has exited, or nobody has the terminal open any more.
    async fn read_on(&self, pty: &AsyncFd<OwnedFd>) {
        let mut buffer = [0; READ_BYTES];
        while self.exit.get().is_none() {
            let ready = tokio::select! {
                ready = pty.readable() => ready,
                () = self.changed.notified() => continue,
            };
            let Ok(mut ready) = ready else { return };
            let nobody_there = ready.ready().is_read_closed(); // it counts as ready for ever
            match ready.try_io(|pty| sys::read(pty.get_ref().as_fd(), &mut buffer)) {
                Ok(Ok(length)) if length > 0 => self.take_all(&buffer[..length], pty).await,
                Ok(Err(why)) if why.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) => return,
                Err(_) if nobody_there => return,
                Err(_) => {}
            }
        }
    }

    /// What is there still; the kernel has it complete by the time it says that there is nothing.
    async fn read_rest(&self, pty: &AsyncFd<OwnedFd>) {
        let mut buffer = [0; READ_BYTES];
        let mut rest = LAST_BYTES;
        while rest > 0 {
            match sys::read(pty.get_ref().as_fd(), &mut buffer) {
                Ok(length) if length > 0 => {
                    self.take_all(&buffer[..length], pty).await;
                    rest = rest.saturating_sub(length);
                }
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                _ => return,
            }
        }
    }

    async fn take_all(&self, bytes: &[u8], pty: &AsyncFd<OwnedFd>) {
        let mut begun = Instant::now();
        for piece in bytes.chunks(self.piece_bytes()) {
            self.take(piece, pty);
            if begun.elapsed() > TURN {
                tokio::task::yield_now().await;
                begun = Instant::now();
            }
        }
    }

    /// taken in before it may be the others' turn
    fn piece_bytes(&self) -> usize {
        let size = self.size();
        let cells = usize::from(size.columns) * usize::from(size.rows);
        (READ_BYTES * SMALL_CELLS / cells).clamp(LEAST_PIECE_BYTES, READ_BYTES)
    }

    fn take(&self, bytes: &[u8], pty: &AsyncFd<OwnedFd>) {
        let taken = self.screen.borrow_mut().take(bytes);
        if !taken.answers.is_empty() {
            // a program that asks without reading its input loses answers, as it would type-ahead
            let _ = sys::write(pty.get_ref().as_fd(), &taken.answers);
        }
        if !taken.shown.is_empty() {
            self.recent.borrow_mut().add(&taken.shown);
            self.changed.notify_waiters();
        }
    }
}
