//! The ends of processes, numbered from 1 in their order, for a host that wants to be told of them.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use serde::Serialize;
use tokio::sync::Notify;

/// as many as ended processes are kept
const MOST: usize = 256;

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct End {
    pub number: u64,
    pub id: String,
    pub exit_code: Option<i32>,
    pub signal: Option<String>,
    pub timed_out: bool,
    pub ended_at: Option<u64>,
}

#[derive(Default)]
pub struct Ends {
    newest: RefCell<VecDeque<End>>,
    last: Cell<u64>,
    changed: Notify,
}

impl Ends {
    /// Gives it its number.
    pub fn add(&self, mut end: End) {
        self.last.set(self.last.get() + 1);
        end.number = self.last.get();
        let mut newest = self.newest.borrow_mut();
        if newest.len() == MOST {
            newest.pop_front();
        }
        newest.push_back(end);
        self.changed.notify_waiters();
    }

    pub fn last(&self) -> u64 {
        self.last.get()
    }

    /// Those behind a number that are still held.
    pub fn after(&self, number: u64) -> Vec<End> {
        self.newest.borrow().iter().filter(|end| end.number > number).cloned().collect()
    }

    /// Returns once there is one behind that number.
    pub async fn wait(&self, number: u64) {
        while self.last.get() <= number {
            self.changed.notified().await;
        }
    }
}
