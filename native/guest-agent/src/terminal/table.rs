//! All terminals, within their bounds.

use std::cell::RefCell;
use std::rc::Rc;

use super::Terminal;
use super::screen::{SCROLLBACK_LINES, Size};
use crate::http::Failure;
use crate::process::Processes;
use crate::sys::{Ended, FileLimit};

const MOST: usize = 64;
/// a cell of the emulator's takes 16 bytes; this makes 64 MiB
const MOST_CELLS: usize = 4 * 1024 * 1024;

pub struct Terminals {
    /// in order of creation
    list: RefCell<Vec<Rc<Terminal>>>,
    /// which know whether the VM is ending
    processes: Rc<Processes>,
    /// what a process may have open
    pub file_limit: FileLimit,
}

impl Terminals {
    pub fn new(processes: Rc<Processes>) -> Self {
        let file_limit = processes.file_limit;
        Terminals { list: RefCell::default(), processes, file_limit }
    }

    pub fn all(&self) -> Vec<Rc<Terminal>> {
        self.list.borrow().clone()
    }

    pub fn find(&self, id: &str) -> Result<Rc<Terminal>, Failure> {
        let found = self.list.borrow().iter().find(|terminal| terminal.id == id).cloned();
        found.ok_or_else(|| Failure::not_found(&format!("there is no terminal {id:?}")))
    }

    /// Makes room for one more, or says why there can be none.
    pub fn admit(&self, id: &str, size: Size) -> Result<(), Failure> {
        if self.processes.is_closed() {
            return Err(Failure::conflict("the VM is ending"));
        }
        if self.find(id).is_ok() {
            return Err(Failure::conflict(&format!("there is already a terminal {id}")));
        }
        while self.list.borrow().len() >= MOST || self.cells(None) + cells(size) > MOST_CELLS {
            if !self.forget_first_to_end() {
                return Err(Failure::too_many(&format!(
                    "there may be {MOST} terminals, and their screens may have {MOST_CELLS} cells in all"
                )));
            }
        }
        Ok(())
    }

    pub fn resize(&self, terminal: &Rc<Terminal>, size: Size) -> Result<(), Failure> {
        if self.cells(Some(terminal)) + cells(size) > MOST_CELLS {
            return Err(Failure::too_many(&format!("screens may have {MOST_CELLS} cells in all")));
        }
        terminal.resize(size)
    }

    pub fn add(&self, terminal: Rc<Terminal>) {
        self.list.borrow_mut().push(terminal);
    }

    /// Ends it first, if it has not ended.
    pub async fn delete(self: Rc<Self>, terminal: Rc<Terminal>) {
        terminal.clone().hang_up().await;
        self.list.borrow_mut().retain(|other| !Rc::ptr_eq(other, &terminal));
    }

    pub fn note_exit(&self, pid: i32, how: Ended) {
        let list = self.list.borrow();
        // the pid of one that has exited may be somebody else's by now
        if let Some(terminal) = list.iter().find(|terminal| terminal.pid == pid && terminal.exit.get().is_none()) {
            terminal.note_exit(how);
        }
    }

    /// Cells of all screens but that of `except`.
    fn cells(&self, except: Option<&Rc<Terminal>>) -> usize {
        let list = self.list.borrow();
        let counted = list.iter().filter(|terminal| except.is_none_or(|except| !Rc::ptr_eq(except, terminal)));
        counted.map(|terminal| cells(terminal.size())).sum()
    }

    /// Of those that have ended, one without viewers before all.
    fn forget_first_to_end(&self) -> bool {
        let mut list = self.list.borrow_mut();
        let ended = list.iter().enumerate().filter(|(_, terminal)| terminal.has_ended());
        let first = ended.min_by_key(|(_, terminal)| (terminal.viewers.get() > 0, terminal.ended.get()));
        first.map(|(at, _)| at).map(|at| list.remove(at)).is_some()
    }
}

/// both screens and the scrollback
fn cells(size: Size) -> usize {
    usize::from(size.columns) * (2 * usize::from(size.rows) + SCROLLBACK_LINES)
}
