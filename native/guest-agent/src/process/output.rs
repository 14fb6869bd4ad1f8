//! One output of a process: a ring of its last bytes, fed by a pump from the pipe.
//!
//!   open ──▶ drained (the process has ended and what it left in the pipe is in the ring) ──▶ closed (end of the pipe)
//!
//! While a following reader counts, the pump reads only as far as the slowest one leaves room in the ring, so nothing
//! is lost and the process feels it. Without any the oldest bytes give way and the process never blocks.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::{Rc, Weak};

use serde::Serialize;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use super::memory::RingMemory;
use super::reader::Reader;
use super::ring::Ring;
use crate::sys;

/// read at a time, so that one output cannot keep the only thread for itself
const TURN_BYTES: usize = 256 * 1024;
const READ_BYTES: usize = 64 * 1024;

pub struct Output {
    /// None once it is closed: a descriptor kept would cost every fork
    pipe: RefCell<Option<Rc<AsyncFd<OwnedFd>>>>,
    ring: RefCell<Ring>,
    memory: Rc<RingMemory>,
    /// those that follow
    readers: RefCell<Vec<Weak<Reader>>>,
    /// offset at which it is drained, known once the process has ended
    drained_at: Cell<Option<u64>>,
    /// a reader made room
    room: Notify,
    /// shared with the process: there is something new
    changed: Rc<Notify>,
}

#[derive(Serialize)]
pub struct OutputPosition {
    start: u64,
    end: u64,
    closed: bool,
}

enum Read {
    Some(usize),
    Nothing,
    NoRoom,
    End,
}

impl Output {
    pub fn new(pipe: OwnedFd, limit: usize, memory: Rc<RingMemory>, changed: Rc<Notify>) -> io::Result<Rc<Self>> {
        sys::set_nonblocking(&pipe)?;
        Ok(Rc::new(Output {
            pipe: RefCell::new(Some(Rc::new(sys::watch(pipe, Interest::READABLE)?))),
            ring: RefCell::new(Ring::new(limit)),
            memory,
            readers: RefCell::default(),
            drained_at: Cell::new(None),
            room: Notify::new(),
            changed,
        }))
    }

    pub fn position(&self) -> OutputPosition {
        OutputPosition { start: self.start(), end: self.end(), closed: self.is_closed() }
    }

    /// offset of the oldest byte still held
    pub fn start(&self) -> u64 {
        self.ring.borrow().start()
    }

    /// number of bytes ever written
    pub fn end(&self) -> u64 {
        self.ring.borrow().end()
    }

    fn is_closed(&self) -> bool {
        self.pipe.borrow().is_none()
    }

    /// Whether all that the process itself left is in the ring.
    pub fn is_drained(&self) -> bool {
        self.is_closed() || self.drained_at.get().is_some_and(|at| self.end() >= at)
    }

    /// Whether its ring could be emptied without taking anything from a follower; not while the ring itself is
    /// asking for memory.
    pub fn is_spare(&self) -> bool {
        let holds_memory = self.ring.try_borrow_mut().is_ok_and(|ring| ring.size() > 0);
        holds_memory && !self.readers.borrow().iter().filter_map(Weak::upgrade).any(|reader| reader.counts())
    }

    /// Empties its ring.
    pub fn trim(&self) {
        self.memory.give_back(self.ring.borrow_mut().clear());
    }

    /// From now on the output waits for the reader, as long as that counts.
    pub fn add_reader(&self, reader: &Rc<Reader>) {
        self.readers.borrow_mut().push(Rc::downgrade(reader));
    }

    /// A reader has moved on or gone.
    pub fn note_room(&self) {
        self.room.notify_waiters();
    }

    /// Appends up to `most` bytes from `offset` on; gives their number.
    pub fn copy_to(&self, offset: u64, most: usize, target: &mut Vec<u8>) -> usize {
        self.ring.borrow().copy_to(offset, most, target)
    }

    /// The process has ended: takes in at once what it left, as far as followers leave room.
    pub fn note_exit(self: &Rc<Self>) {
        let left = self.pipe.borrow().as_ref().map_or(0, sys::bytes_to_read);
        self.drained_at.set(Some(self.end() + left));
        let mut spent = 0;
        while spent < TURN_BYTES
            && let Read::Some(length) = self.read()
        {
            spent += length;
        }
        self.memory.note_ended(self);
    }

    /// Reads the pipe into the ring until its end.
    pub async fn pump(self: Rc<Self>) {
        let Some(pipe) = self.pipe.borrow().clone() else { return };
        let mut spent = 0;
        while let Ok(mut ready) = pipe.readable().await {
            match self.read() {
                Read::Some(length) => spent += length,
                Read::Nothing => ready.clear_ready(),
                Read::NoRoom => self.room.notified().await,
                Read::End => return,
            }
            if spent >= TURN_BYTES {
                spent = 0;
                tokio::task::yield_now().await;
            }
        }
        self.close();
    }

    /// Moves one piece from the pipe into the ring.
    fn read(&self) -> Read {
        let Some(pipe) = self.pipe.borrow().clone() else { return Read::End };
        let room = self.make_room();
        if room == 0 {
            return Read::NoRoom;
        }
        let mut ring = self.ring.borrow_mut();
        let result = sys::read(pipe.get_ref().as_fd(), ring.vacancy(room.min(READ_BYTES)));
        if let Ok(length) = result {
            ring.commit(length);
        }
        drop(ring);
        match result {
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => Read::Nothing,
            Err(why) if why.kind() == io::ErrorKind::Interrupted => Read::Some(0),
            Err(_) | Ok(0) => {
                self.close();
                Read::End
            }
            Ok(length) => {
                self.changed.notify_waiters();
                Read::Some(length)
            }
        }
    }

    fn close(&self) {
        *self.pipe.borrow_mut() = None;
        if self.start() == self.end() {
            self.trim(); // it has never said anything
        }
        self.changed.notify_waiters();
    }

    /// Bytes that may be read without taking any from the slowest follower; the ring grows where that is needed.
    fn make_room(&self) -> usize {
        let mut ring = self.ring.borrow_mut();
        let growth = ring.growth();
        if growth > 0 && self.memory.take(ring.size(), growth) {
            ring.grow(growth);
        } else if growth > 0 {
            ring.stop_growing();
        }
        let mut readers = self.readers.borrow_mut();
        readers.retain(|reader| reader.strong_count() > 0);
        let counting = readers.iter().filter_map(Weak::upgrade).filter(|reader| reader.counts());
        let unread = counting.map(|reader| ring.end().saturating_sub(reader.offset().max(ring.start()))).max();
        ring.size().saturating_sub(unread.unwrap_or(0) as usize)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.memory.give_back(self.ring.borrow().size());
    }
}
