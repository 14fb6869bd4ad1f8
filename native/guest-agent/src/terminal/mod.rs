//! Terminals as objects of the guest: a pseudo-terminal, the process that leads a session on it, and a model of what is
//! on the screen. They stay whatever becomes of the lines of those who look at them.
//!
//!   start ──▶ running ──▶ exited (its process) ──▶ ended (all it printed is on the screen) ──▶ forgotten
//!
//! `pump` reads what is printed; `scanner` cuts it into whole units and `sequence` tells what these mean; `screen`
//! models what they draw and `drawing` draws it again; `recent` keeps the last of them for `viewer`s, which nothing
//! ever waits for: one that is too slow is given the screen anew. `input` is what is typed; `table` finds and bounds
//! terminals.

mod drawing;
mod hang_up;
mod input;
mod modes;
mod pump;
mod recent;
mod request;
mod scanner;
mod screen;
mod sequence;
mod start;
mod table;
mod viewer;

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Instant;

use serde::Serialize;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use crate::http::Failure;
use crate::process::{now_ms, signals};
use crate::sys::{self, Ended};
use recent::Recent;
pub use request::CreateRequest;
use screen::Screen;
pub use screen::Size;
pub use start::create;
pub use table::Terminals;
pub use viewer::Viewer;

pub struct Terminal {
    id: String,
    /// of the process that leads the session
    pid: i32,
    argv: Vec<String>,
    cwd: String,
    user: String,
    started_at: u64,
    exit: Cell<Option<Exit>>,
    /// since when all it printed is on the screen
    ended: Cell<Option<Instant>>,
    /// None once it has ended
    pty: RefCell<Option<Rc<AsyncFd<OwnedFd>>>>,
    screen: RefCell<Screen>,
    recent: RefCell<Recent>,
    viewers: Cell<usize>,
    /// output, size, exit
    changed: Notify,
}

#[derive(Clone, Copy)]
struct Exit {
    how: Ended,
    /// Unix time in ms
    at: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Description<'a> {
    id: &'a str,
    pid: i32,
    argv: &'a [String],
    cwd: &'a str,
    user: &'a str,
    state: &'static str,
    exit_code: Option<i32>,
    signal: Option<String>,
    started_at: u64,
    ended_at: Option<u64>,
    columns: u16,
    rows: u16,
    title: String,
    viewers: usize,
}

impl Terminal {
    pub fn describe(&self) -> Description<'_> {
        let exit = self.exit.get().filter(|_| self.has_ended());
        let (exit_code, signal) = match exit.map(|exit| exit.how) {
            Some(Ended::Code(code)) => (Some(code), None),
            Some(Ended::Signal(number)) => (None, Some(signals::name(number))),
            None => (None, None),
        };
        let screen = self.screen.borrow();
        Description {
            id: &self.id,
            pid: self.pid,
            argv: &self.argv,
            cwd: &self.cwd,
            user: &self.user,
            state: if exit.is_some() { "ended" } else { "running" },
            exit_code,
            signal,
            started_at: self.started_at,
            ended_at: exit.map(|exit| exit.at),
            columns: screen.size().columns,
            rows: screen.size().rows,
            title: screen.title().to_string(),
            viewers: self.viewers.get(),
        }
    }

    pub fn has_ended(&self) -> bool {
        self.ended.get().is_some()
    }

    pub fn size(&self) -> Size {
        self.screen.borrow().size()
    }

    /// Its processes learn of it, and so do all viewers.
    pub fn resize(&self, size: Size) -> Result<(), Failure> {
        let Some(pty) = self.pty.borrow().clone() else {
            return Err(Failure::conflict(&format!("terminal {} has ended", self.id)));
        };
        if size == self.size() {
            return Ok(());
        }
        sys::set_terminal_size(pty.get_ref(), size.columns, size.rows)
            .map_err(|why| Failure::internal(&format!("terminal {} cannot be resized: {why}", self.id)))?;
        self.screen.borrow_mut().resize(size);
        // what was printed for another size is of no use to a viewer that has not seen it yet
        self.recent.borrow_mut().clear();
        self.changed.notify_waiters();
        Ok(())
    }

    fn note_exit(&self, how: Ended) {
        self.exit.set(Some(Exit { how, at: now_ms() as u64 }));
        self.changed.notify_waiters();
    }

    /// Returns when it has ended.
    async fn ended(&self) {
        while !self.has_ended() {
            self.changed.notified().await;
        }
    }
}
