//! All processes, by id and by pid, within their bounds.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;

use super::Process;
use crate::http::Failure;

const MOST_RUNNING: usize = 512;
const MOST_ENDED: usize = 256;

#[derive(Default)]
pub struct Processes {
    /// in order of start
    list: RefCell<Vec<Rc<Process>>>,
    started: Cell<u64>,
}

impl Processes {
    pub fn all(&self) -> Vec<Rc<Process>> {
        self.list.borrow().clone()
    }

    pub fn find(&self, id: &str) -> Result<Rc<Process>, Failure> {
        let found = self.list.borrow().iter().find(|process| process.id == id).cloned();
        found.ok_or_else(|| Failure::not_found(&format!("there is no process {:?}", id.chars().take(64).collect::<String>())))
    }

    /// A running process; an ended one's pid may be somebody else's by now.
    pub fn by_pid(&self, pid: i32) -> Option<Rc<Process>> {
        self.list.borrow().iter().find(|process| process.pid == pid && !process.has_exited()).cloned()
    }

    /// The id for a process that is to start, if it may.
    pub fn admit(&self, wanted: Option<String>) -> Result<String, Failure> {
        let list = self.list.borrow();
        if list.iter().filter(|process| !process.has_exited()).count() >= MOST_RUNNING {
            return Err(Failure::too_many(&format!("{MOST_RUNNING} processes run already")));
        }
        let taken = |id: &str| list.iter().any(|process| process.id == id);
        match wanted {
            Some(id) if taken(&id) => Err(Failure::conflict(&format!("there is already a process {id}"))),
            Some(id) => Ok(id),
            None => loop {
                self.started.set(self.started.get() + 1);
                let id = format!("p{}", self.started.get());
                if !taken(&id) {
                    return Ok(id);
                }
            },
        }
    }

    pub fn add(&self, process: Rc<Process>) {
        let mut list = self.list.borrow_mut();
        list.push(process);
        let ended = list.iter().filter(|process| process.has_exited()).count();
        for _ in MOST_ENDED..ended {
            // those without a reader first: a reader holds a second reference
            let oldest = |only_unread: bool| list.iter().position(|process| process.has_exited() && (!only_unread || Rc::strong_count(process) == 1));
            if let Some(at) = oldest(true).or_else(|| oldest(false)) {
                list.remove(at);
            }
        }
    }

    pub fn forget(&self, id: &str) -> Result<(), Failure> {
        if !self.find(id)?.has_exited() {
            return Err(Failure::conflict(&format!("process {id} runs")));
        }
        self.list.borrow_mut().retain(|process| process.id != id);
        Ok(())
    }

    /// Runs something that no session may take along when it ends.
    pub fn run_detached(&self, work: impl Future<Output = ()> + 'static) {
        tokio::task::spawn_local(work);
    }

    /// bytes that the outputs of all processes hold
    pub fn held_bytes(&self) -> usize {
        self.list.borrow().iter().map(|process| process.stdout.held_bytes() + process.stderr.held_bytes()).sum()
    }

    /// Drops the outputs of ended processes, the oldest first, until `wanted` bytes are given back.
    pub fn trim_ended(&self, wanted: usize) {
        let mut given = 0;
        for process in self.list.borrow().iter().filter(|process| process.has_exited()) {
            if given >= wanted {
                return;
            }
            given += process.stdout.trim() + process.stderr.trim();
        }
    }
}
