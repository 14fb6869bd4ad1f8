//! The loop: sleeps in `poll` until a signal, output of the program, or a caller has something.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Instant;

use crate::connection::Connection;
use crate::program::Program;
use crate::sys;

const MOST_CONNECTIONS: usize = 16;

/// The listening socket and its place in the file system.
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    inode: Option<u64>,
}

impl Socket {
    pub fn new(listener: UnixListener, path: PathBuf) -> Self {
        let inode = std::fs::symlink_metadata(&path).ok().map(|found| found.ino());
        Socket { listener, path, inode }
    }

    /// Removes the socket's file, unless somebody else's is there by now.
    pub fn remove(&self) {
        let found = std::fs::symlink_metadata(&self.path).ok().map(|found| found.ino());
        if found.is_some() && found == self.inode {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

pub struct Server {
    socket: Socket,
    program: Program,
    connections: Vec<Connection>,
    released: bool,
}

impl Server {
    pub fn new(socket: Socket, program: Program) -> Self {
        Server { socket, program, connections: Vec::new(), released: false }
    }

    /// Serves until released.
    pub fn run(mut self) -> io::Result<()> {
        let mut signals = sys::signal_descriptor()?;
        self.program.reap(); // it may have ended before signals were watched
        while !self.released {
            let events = self.sleep(signals.as_raw_fd())?;
            if happened(&events, signals.as_raw_fd()) {
                self.take_signals(&mut signals);
            }
            self.program.read_outputs();
            if happened(&events, self.socket.listener.as_raw_fd()) {
                self.accept();
            }
            self.serve(&events);
        }
        self.socket.remove();
        Ok(())
    }

    fn sleep(&self, signals: RawFd) -> io::Result<Vec<libc::pollfd>> {
        let entry = |fd: RawFd, events: i16| libc::pollfd { fd, events, revents: 0 };
        let mut entries = vec![entry(signals, libc::POLLIN), entry(self.socket.listener.as_raw_fd(), libc::POLLIN)];
        for output in [&self.program.output, &self.program.errors].into_iter().flatten() {
            entries.push(entry(output.as_raw_fd(), libc::POLLIN));
        }
        if let Some(input) = &self.program.input
            && self.connections.iter().any(Connection::has_input)
        {
            entries.push(entry(input.as_raw_fd(), libc::POLLOUT));
        }
        for connection in &self.connections {
            let read = if connection.has_room() { libc::POLLIN } else { 0 };
            let write = if connection.wants_to_write(&self.program) { libc::POLLOUT } else { 0 };
            entries.push(entry(connection.stream.as_raw_fd(), read | write));
        }
        sys::poll(&mut entries, self.timeout_ms())?;
        Ok(entries)
    }

    /// Until the nearest deadline; -1 where there is none.
    fn timeout_ms(&self) -> i32 {
        let deadlines = self.connections.iter().filter_map(Connection::deadline).chain(self.program.drain_deadline());
        deadlines.min().map_or(-1, |at| {
            let left = at.saturating_duration_since(Instant::now()).as_millis();
            i32::try_from(left + 1).unwrap_or(i32::MAX)
        })
    }

    fn take_signals(&mut self, signals: &mut File) {
        let mut record = [0_u8; sys::SIGNAL_RECORD_BYTES];
        while let Ok(sys::SIGNAL_RECORD_BYTES) = signals.read(&mut record) {
            let signal = i32::from_ne_bytes([record[0], record[1], record[2], record[3]]);
            if signal == libc::SIGCHLD {
                self.program.reap();
            } else {
                self.program.signal(signal);
            }
        }
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.socket.listener.accept() {
            // one too many is dropped, which closes it
            if self.connections.len() < MOST_CONNECTIONS && stream.set_nonblocking(true).is_ok() {
                self.connections.push(Connection::new(stream));
            }
        }
    }

    fn serve(&mut self, events: &[libc::pollfd]) {
        let program = &mut self.program;
        let mut released = false;
        self.connections.retain_mut(|connection| {
            let stays = connection.advance(program, readable(events, connection.stream.as_raw_fd()));
            released |= connection.release_asked && !(stays && connection.wants_to_write(program));
            stays
        });
        self.released = released;
    }
}

fn happened(events: &[libc::pollfd], fd: RawFd) -> bool {
    events.iter().any(|entry| entry.fd == fd && entry.revents != 0)
}

/// Whether there are bytes to read, or the caller has gone.
fn readable(events: &[libc::pollfd], fd: RawFd) -> bool {
    let wanted = libc::POLLIN | libc::POLLHUP | libc::POLLERR;
    events.iter().any(|entry| entry.fd == fd && entry.revents & wanted != 0)
}
