//! All processes, by id and by pid, within their bounds.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;

use super::Process;
use super::ends::Ends;
use super::memory::RingMemory;
use crate::http::Failure;
use crate::sys::FileLimit;

const MOST_RUNNING: usize = 512;
const MOST_ENDED: usize = 256;

pub struct Processes {
    /// in order of start
    list: RefCell<Vec<Rc<Process>>>,
    /// ids made up so far
    made_up: Cell<u64>,
    closed: Cell<bool>,
    pub ends: Ends,
    pub ring_memory: Rc<RingMemory>,
    /// what a process may have open
    pub file_limit: FileLimit,
}

impl Processes {
    pub fn new(file_limit: FileLimit) -> Self {
        Processes {
            list: RefCell::default(),
            made_up: Cell::new(0),
            closed: Cell::new(false),
            ends: Ends::default(),
            ring_memory: Rc::default(),
            file_limit,
        }
    }

    pub fn all(&self) -> Vec<Rc<Process>> {
        self.list.borrow().clone()
    }

    pub fn find(&self, id: &str) -> Result<Rc<Process>, Failure> {
        let found = self.list.borrow().iter().find(|process| process.id == id).cloned();
        found.ok_or_else(|| Failure::not_found(&format!("there is no process {id:?}")))
    }

    /// A running process; an ended one's pid may be somebody else's by now.
    pub fn by_pid(&self, pid: i32) -> Option<Rc<Process>> {
        self.list.borrow().iter().find(|process| process.pid == pid && !process.has_exited()).cloned()
    }

    pub fn running_ids(&self) -> Vec<String> {
        self.list.borrow().iter().filter(|process| !process.has_exited()).map(|process| process.id.clone()).collect()
    }

    /// The id for a process that is to start, if it may.
    pub fn admit(&self, wanted: Option<&str>) -> Result<String, Failure> {
        self.check_open()?;
        let list = self.list.borrow();
        if list.iter().filter(|process| !process.has_exited()).count() >= MOST_RUNNING {
            return Err(Failure::too_many(&format!("{MOST_RUNNING} processes run already")));
        }
        let taken = |id: &str| list.iter().any(|process| process.id == id);
        match wanted {
            Some(id) if taken(id) => Err(Failure::conflict(&format!("there is already a process {id}"))),
            Some(id) => Ok(id.to_string()),
            None => loop {
                self.made_up.set(self.made_up.get() + 1);
                let id = format!("p{}", self.made_up.get());
                if !taken(&id) {
                    return Ok(id);
                }
            },
        }
    }

    /// Whether anything may still be started.
    pub fn check_open(&self) -> Result<(), Failure> {
        if self.closed.get() { Err(Failure::conflict("the VM is ending")) } else { Ok(()) }
    }

    /// Admits no more; false when that was so already.
    pub fn close(&self) -> bool {
        !self.closed.replace(true)
    }

    pub fn is_closed(&self) -> bool {
        self.closed.get()
    }

    pub fn add(&self, process: Rc<Process>) {
        self.list.borrow_mut().push(process);
    }

    /// Forgets ended processes beyond their bound, the first to have ended first and those without a reader before all.
    pub fn forget_surplus(&self) {
        let mut list = self.list.borrow_mut();
        let ended = list.iter().filter(|process| process.has_exited()).count();
        for _ in MOST_ENDED..ended {
            // whoever reads or waits for a process holds a second reference to it
            let first = list.iter().enumerate().filter(|(_, process)| process.has_exited());
            let first = first.min_by_key(|(_, process)| (Rc::strong_count(process) > 1, process.ended_at()));
            if let Some((at, _)) = first {
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

    pub fn any_running(&self) -> bool {
        self.list.borrow().iter().any(|process| !process.has_exited())
    }

    pub fn signal_all(&self, number: i32) {
        for process in self.all() {
            let _ = process.signal(number); // one that has just ended needs none
        }
    }

    /// Runs something that no session may take along when it ends.
    pub fn run_detached(&self, work: impl Future<Output = ()> + 'static) {
        tokio::task::spawn_local(work);
    }
}
