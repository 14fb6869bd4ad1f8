//! Processes as objects of the guest: they begin with a request and stay until they are forgotten, whatever becomes of
//! the line that asked for them.
//!
//!   start ──▶ running ──▶ exited ──▶ forgotten
//!
//! `output` holds what a process writes, in a `ring` of shared `memory`; `stream` sends it to a `reader`; `table` finds
//! and bounds processes; `ends` tells of their ends.

mod ends;
pub mod frames;
mod memory;
mod output;
mod reader;
pub mod request;
mod ring;
pub mod signals;
pub mod spawn;
mod stdin;
mod stream;
mod table;
pub mod users;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use crate::http::Failure;
use crate::sys::{self, Ended};
use ends::End;
use output::{Output, OutputPosition};
pub use request::StartRequest;
pub use signals::SignalRequest;
pub use spawn::start;
use stdin::Stdin;
pub use table::Processes;
pub use users::{User, find as find_user};

/// between TERM and KILL when a process outlives its time
const TIMEOUT_GRACE: Duration = Duration::from_secs(5);

pub struct Process {
    id: String,
    pid: i32,
    argv: Vec<String>,
    cwd: String,
    user: String,
    started_at: u64,
    exit: Cell<Option<Exit>>,
    timed_out: Cell<bool>,
    stdin: RefCell<Stdin>,
    stdout: Rc<Output>,
    stderr: Rc<Output>,
    /// something about it changed: output, exit
    changed: Rc<Notify>,
}

#[derive(Clone, Copy)]
struct Exit {
    how: Ended,
    /// Unix time in ms
    at: u64,
    /// by a clock that nobody sets
    instant: Instant,
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
    timed_out: bool,
    started_at: u64,
    ended_at: Option<u64>,
    stdin: stdin::Description,
    stdout: OutputPosition,
    stderr: OutputPosition,
}

impl Process {
    pub fn describe(&self) -> Description<'_> {
        let exit = self.exit.get();
        let (exit_code, signal) = match exit.map(|exit| exit.how) {
            Some(Ended::Code(code)) => (Some(code), None),
            Some(Ended::Signal(number)) => (None, Some(signals::name(number))),
            None => (None, None),
        };
        Description {
            id: &self.id,
            pid: self.pid,
            argv: &self.argv,
            cwd: &self.cwd,
            user: &self.user,
            state: if exit.is_some() { "exited" } else { "running" },
            exit_code,
            signal,
            timed_out: self.timed_out.get(),
            started_at: self.started_at,
            ended_at: exit.map(|exit| exit.at),
            stdin: self.stdin.borrow().describe(),
            stdout: self.stdout.position(),
            stderr: self.stderr.position(),
        }
    }

    fn end(&self) -> End {
        let Description { exit_code, signal, timed_out, ended_at, .. } = self.describe();
        End { number: 0, id: self.id.clone(), exit_code, signal, timed_out, ended_at }
    }

    pub fn has_exited(&self) -> bool {
        self.exit.get().is_some()
    }

    pub fn ended_at(&self) -> Option<Instant> {
        self.exit.get().map(|exit| exit.instant)
    }

    /// The offsets are of bytes that have been written.
    pub fn check_offsets(&self, offsets: [u64; 2]) -> Result<(), Failure> {
        for (name, output, offset) in [("stdout", &self.stdout, offsets[0]), ("stderr", &self.stderr, offsets[1])] {
            if offset > output.end() {
                return Err(Failure::bad_request(&format!(
                    "query: {name} of process {} ends at {}, before {offset}",
                    self.id,
                    output.end()
                )));
            }
        }
        Ok(())
    }

    /// Returns when its exit is known.
    pub async fn ended(&self) {
        while !self.has_exited() {
            self.changed.notified().await;
        }
    }

    /// Signals its process group.
    pub fn signal(&self, number: i32) -> Result<(), Failure> {
        if self.has_exited() {
            return Err(Failure::conflict(&format!("process {} has ended", self.id)));
        }
        sys::kill(-self.pid, number)
            .map_err(|why| Failure::internal(&format!("process {} cannot be signalled: {why}", self.id)))
    }

    fn note_exit(&self, how: Ended) {
        self.exit.set(Some(Exit { how, at: now_ms() as u64, instant: Instant::now() }));
        self.stdin.borrow_mut().close();
        self.stdout.note_exit();
        self.stderr.note_exit();
        self.changed.notify_waiters();
    }

    /// Ends its process group when its time is up. What the group's leader leaves behind is killed, too.
    async fn enforce_timeout(self: Rc<Self>, timeout: Duration, processes: Rc<Processes>) {
        if tokio::time::timeout(timeout, self.ended()).await.is_ok() {
            return;
        }
        self.timed_out.set(true);
        let _ = self.signal(libc::SIGTERM);
        tokio::time::sleep(TIMEOUT_GRACE).await;
        if !self.has_exited() || processes.by_pid(self.pid).is_none() {
            let _ = sys::kill(-self.pid, libc::SIGKILL);
        }
    }
}

/// Collects every ended child, ours and orphans alike, and tells `note_other` of those that are no process of the table.
/// Nothing else waits for children, and a process is in the table before this can run, so no exit is missed.
pub async fn reap(processes: Rc<Processes>, note_other: impl Fn(i32, Ended)) {
    let Ok(mut children) = signal(SignalKind::child()) else { return };
    loop {
        while let Some((pid, ended)) = sys::reap_one() {
            if let Some(process) = processes.by_pid(pid) {
                process.note_exit(ended);
                processes.ends.add(process.end());
            } else {
                note_other(pid, ended);
            }
        }
        processes.forget_surplus();
        if children.recv().await.is_none() {
            return;
        }
    }
}

/// Unix time in ms
pub fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64() * 1000.0)
}
