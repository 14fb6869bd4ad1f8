//! The memory that all rings share. When it runs out, the outputs of ended processes give theirs back, the one that
//! ended first going first; then a ring gets no more than the least.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use super::output::Output;
use super::ring::LEAST_BYTES;

const ALL_RINGS_BYTES: usize = 64 * 1024 * 1024;

#[derive(Default)]
pub struct RingMemory {
    used: Cell<usize>,
    /// outputs of ended processes in order of their end
    ended: RefCell<Vec<Weak<Output>>>,
}

impl RingMemory {
    /// Whether a ring of `size` bytes may take `growth` more.
    pub fn take(&self, size: usize, growth: usize) -> bool {
        while self.used.get() + growth > ALL_RINGS_BYTES && self.trim_one() {}
        let granted = self.used.get() + growth <= ALL_RINGS_BYTES || size + growth <= LEAST_BYTES;
        if granted {
            self.used.set(self.used.get() + growth);
        }
        granted
    }

    pub fn give_back(&self, bytes: usize) {
        self.used.set(self.used.get() - bytes);
    }

    /// The output belongs to a process that has ended.
    pub fn note_ended(&self, output: &Rc<Output>) {
        let mut ended = self.ended.borrow_mut();
        ended.retain(|output| output.strong_count() > 0);
        ended.push(Rc::downgrade(output));
    }

    /// False when there is nothing left to take.
    fn trim_one(&self) -> bool {
        let spare = self.ended.borrow().iter().filter_map(Weak::upgrade).find(|output| output.is_spare());
        if let Some(output) = &spare {
            output.trim();
        }
        spare.is_some()
    }
}
