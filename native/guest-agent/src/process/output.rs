//! One output of a process: a ring of its last bytes, fed by a pump from the pipe.
//!
//! While a following reader is attached the pump reads only as far as the slowest reader leaves room, so nothing is
//! lost and the process feels it. A reader that takes nothing for too long, and every reader that left, no longer
//! counts; without readers the oldest bytes give way.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use crate::sys;

const FIRST_READ_BYTES: usize = 4096;
const READ_BYTES: usize = 65_536;
const READER_PATIENCE: Duration = Duration::from_secs(30);

pub struct Output {
    bytes: RefCell<VecDeque<u8>>,
    limit: Cell<usize>,
    /// bytes ever written
    end: Cell<u64>,
    closed: Cell<bool>,
    exited: Cell<bool>,
    /// all that was in the pipe when the process ended is in the ring
    drained: Cell<bool>,
    readers: RefCell<Vec<Weak<Reader>>>,
    /// room was made, or the process ended
    room: Notify,
    /// shared with the process: there is something new
    changed: Rc<Notify>,
}

/// a following reader's place
pub struct Reader {
    pub offset: Cell<u64>,
    moved: Cell<Instant>,
    counts: Cell<bool>,
}

impl Reader {
    /// A place that holds nobody up.
    pub fn detached(offset: u64) -> Rc<Self> {
        Rc::new(Reader { offset: Cell::new(offset), moved: Cell::new(Instant::now()), counts: Cell::new(false) })
    }
}

#[derive(Serialize)]
pub struct OutputPosition {
    start: u64,
    end: u64,
    closed: bool,
}

impl Output {
    pub fn new(limit: usize, changed: Rc<Notify>) -> Rc<Self> {
        Rc::new(Output {
            bytes: RefCell::default(),
            limit: Cell::new(limit),
            end: Cell::new(0),
            closed: Cell::new(false),
            exited: Cell::new(false),
            drained: Cell::new(false),
            readers: RefCell::default(),
            room: Notify::new(),
            changed,
        })
    }

    pub fn position(&self) -> OutputPosition {
        OutputPosition { start: self.start(), end: self.end.get(), closed: self.closed.get() }
    }

    /// offset of the oldest byte still held
    pub fn start(&self) -> u64 {
        self.end.get() - self.bytes.borrow().len() as u64
    }

    pub fn end(&self) -> u64 {
        self.end.get()
    }

    pub fn held_bytes(&self) -> usize {
        self.bytes.borrow().capacity()
    }

    /// Whether all output of the process itself is in the ring.
    pub fn is_drained(&self) -> bool {
        self.closed.get() || self.drained.get()
    }

    pub fn note_exit(&self) {
        self.exited.set(true);
        self.room.notify_waiters();
    }

    /// Attaches a following reader; it counts until it is dropped or stuck.
    pub fn attach(&self, offset: u64) -> Rc<Reader> {
        let reader = Rc::new(Reader { offset: Cell::new(offset), moved: Cell::new(Instant::now()), counts: Cell::new(true) });
        self.readers.borrow_mut().push(Rc::downgrade(&reader));
        reader
    }

    /// The reader has taken everything up to `offset`.
    pub fn advance(&self, reader: &Reader, offset: u64) {
        reader.offset.set(offset);
        reader.moved.set(Instant::now());
        self.room.notify_waiters();
    }

    pub fn detach(&self) {
        self.room.notify_waiters();
    }

    /// Appends up to `most` bytes from `offset` on, which must lie between start and end; gives their number.
    pub fn copy_to(&self, offset: u64, most: usize, target: &mut Vec<u8>) -> usize {
        let bytes = self.bytes.borrow();
        let skip = (offset - (self.end.get() - bytes.len() as u64)) as usize;
        let length = (bytes.len() - skip).min(most);
        let (front, back) = bytes.as_slices();
        let from_front = &front[skip.min(front.len())..(skip + length).min(front.len())];
        let back_skip = skip.saturating_sub(front.len());
        target.extend_from_slice(from_front);
        target.extend_from_slice(&back[back_skip..back_skip + length - from_front.len()]);
        length
    }

    /// Drops what it holds and gives back how much that was.
    pub fn trim(&self) -> usize {
        let mut bytes = self.bytes.borrow_mut();
        let had = bytes.capacity();
        bytes.clear();
        bytes.shrink_to_fit();
        had
    }

    /// Reads the pipe into the ring until its end.
    pub async fn pump(self: Rc<Self>, pipe: OwnedFd) {
        if let Ok(pipe) = sys::watch(pipe, Interest::READABLE) {
            let _ = self.read_to_end(&pipe).await; // a broken pipe is an end, too
        }
        self.closed.set(true);
        self.changed.notify_waiters();
    }

    async fn read_to_end(&self, pipe: &AsyncFd<OwnedFd>) -> io::Result<()> {
        let mut buffer = vec![0_u8; FIRST_READ_BYTES];
        loop {
            let most = self.await_room().await.min(buffer.len());
            let length = match sys::read(pipe.get_ref().as_fd(), &mut buffer[..most]) {
                Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => {
                    if self.exited.get() && !self.drained.replace(true) {
                        self.changed.notify_waiters();
                    }
                    tokio::select! {
                        length = pipe.async_io(Interest::READABLE, |fd| sys::read(fd.as_fd(), &mut buffer[..most])) => length?,
                        () = self.room.notified(), if !self.drained.get() => continue,
                    }
                }
                result => result?,
            };
            if length == 0 {
                return Ok(());
            }
            self.push(&buffer[..length]);
            if length == buffer.len() && length < READ_BYTES {
                buffer.resize(READ_BYTES, 0); // it has much to say
            }
        }
    }

    async fn await_room(&self) -> usize {
        loop {
            let (room, oldest) = self.room();
            if room > 0 {
                return room;
            }
            let patience = oldest.map_or(READER_PATIENCE, |reader| READER_PATIENCE.saturating_sub(reader.moved.get().elapsed()));
            if tokio::time::timeout(patience, self.room.notified()).await.is_err() {
                self.discount_stuck();
            }
        }
    }

    /// Bytes that may be read now, and the reader that holds up most.
    fn room(&self) -> (usize, Option<Rc<Reader>>) {
        let mut readers = self.readers.borrow_mut();
        readers.retain(|reader| reader.strong_count() > 0);
        let slowest = readers.iter().filter_map(Weak::upgrade).filter(|reader| reader.counts.get()).min_by_key(|reader| reader.offset.get());
        let room = match &slowest {
            Some(reader) => {
                let unread = self.end.get().saturating_sub(reader.offset.get().max(self.start()));
                self.limit.get().saturating_sub(unread as usize)
            }
            None => self.limit.get(),
        };
        (room, slowest)
    }

    fn discount_stuck(&self) {
        for reader in self.readers.borrow().iter().filter_map(Weak::upgrade) {
            if reader.moved.get().elapsed() >= READER_PATIENCE {
                reader.counts.set(false);
            }
        }
    }

    fn push(&self, new: &[u8]) {
        let mut bytes = self.bytes.borrow_mut();
        let surplus = (bytes.len() + new.len()).saturating_sub(self.limit.get()).min(bytes.len());
        bytes.drain(..surplus);
        bytes.extend(new);
        self.end.set(self.end.get() + new.len() as u64);
        drop(bytes);
        self.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_bytes_and_their_offsets() {
        let output = Output::new(8, Rc::new(Notify::new()));
        output.push(b"abcdef");
        output.push(b"ghijk");
        assert_eq!((output.start(), output.end()), (3, 11));
        let mut copy = Vec::new();
        assert_eq!(output.copy_to(5, 4, &mut copy), 4);
        assert_eq!(copy, b"fghi");
        assert_eq!(output.copy_to(11, 4, &mut copy), 0);
    }

    #[test]
    fn copies_across_the_seam_of_the_ring() {
        let output = Output::new(13, Rc::new(Notify::new()));
        let mut all = Vec::new();
        for round in 0..500_u32 {
            let chunk: Vec<u8> = (0..round % 11).map(|i| (round + i) as u8).collect();
            output.push(&chunk);
            all.extend_from_slice(&chunk);
            let start = output.start();
            let mut copy = Vec::new();
            output.copy_to(start, usize::MAX, &mut copy);
            assert_eq!(copy, &all[start as usize..]);
        }
    }

    #[test]
    fn a_reader_that_counts_leaves_no_more_room_than_it_has_read() {
        let output = Output::new(8, Rc::new(Notify::new()));
        assert_eq!(output.room().0, 8);
        let reader = output.attach(0);
        output.push(b"abcdef");
        assert_eq!(output.room().0, 2);
        output.advance(&reader, 5);
        assert_eq!(output.room().0, 7);
        reader.counts.set(false);
        assert_eq!(output.room().0, 8);
        reader.counts.set(true);
        drop(reader);
        assert_eq!(output.room().0, 8);
    }
}
