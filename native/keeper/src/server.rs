//! The loop: sleeps in `poll` until a signal, output of the program, or a caller has something.
//!
//! Each round takes one bounded step everywhere: what has come of the signals, one read of each output, what each
//! caller is owed, and one new caller last, so that one who has just gone makes room for one who has just come.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Instant;

use crate::connection::Connection;
use crate::program::Program;
use crate::socket::Socket;
use crate::sys;

const MOST_CONNECTIONS: usize = 16;

pub struct Server<'a> {
    socket: &'a Socket,
    program: Program,
    signals: File,
    connections: Vec<Connection>,
    released: bool,
}

impl<'a> Server<'a> {
    pub fn new(socket: &'a Socket, program: Program, signals: File) -> Self {
        Server { socket, program, signals, connections: Vec::new(), released: false }
    }

    /// Serves until released; the callers of that moment lose their connections only after the socket has gone.
    pub fn run(mut self) -> io::Result<()> {
        while !self.released {
            let events = self.sleep()?;
            if happened(&events, self.signals.as_raw_fd()) != 0 {
                self.take_signals();
            }
            self.program.read_outputs(|fd| happened(&events, fd) != 0);
            self.program.settle();
            self.serve(&events);
            if happened(&events, self.socket.as_raw_fd()) != 0 {
                self.accept();
            }
        }
        self.socket.remove();
        Ok(())
    }

    fn sleep(&self) -> io::Result<Vec<libc::pollfd>> {
        let entry = |fd: RawFd, events: i16| libc::pollfd { fd, events, revents: 0 };
        let mut entries =
            vec![entry(self.signals.as_raw_fd(), libc::POLLIN), entry(self.socket.as_raw_fd(), libc::POLLIN)];
        entries.extend(self.program.output_descriptors().map(|fd| entry(fd, libc::POLLIN)));
        if self.connections.iter().any(Connection::has_input) {
            entries.extend(self.program.input_descriptor().map(|fd| entry(fd, libc::POLLOUT)));
        }
        entries
            .extend(self.connections.iter().map(|connection| entry(connection.fd(), connection.events(&self.program))));
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

    fn take_signals(&mut self) {
        let mut record = [0_u8; sys::SIGNAL_RECORD_BYTES];
        while let Ok(sys::SIGNAL_RECORD_BYTES) = self.signals.read(&mut record) {
            match i32::from_ne_bytes([record[0], record[1], record[2], record[3]]) {
                libc::SIGCHLD => self.program.reap(),
                // passed on; a program that has ended needs it no more
                signal => drop(self.program.signal(signal)),
            }
        }
    }

    fn serve(&mut self, events: &[libc::pollfd]) {
        let (program, released) = (&mut self.program, &mut self.released);
        self.connections.retain_mut(|connection| {
            let stays = connection.advance(program, happened(events, connection.fd()));
            *released |= !stays && connection.released();
            // whoever released it sees the connection close only when the socket has gone
            stays || connection.released()
        });
    }

    /// One each round, so that a caller who has gone by then is noticed before the next is counted.
    fn accept(&mut self) {
        let Ok(stream) = self.socket.accept() else {
            return;
        };
        // one too many is dropped, which closes it
        if self.connections.len() < MOST_CONNECTIONS {
            self.connections.push(Connection::new(stream));
        }
    }
}

/// What `poll` has found at a descriptor, 0 where it found nothing.
fn happened(events: &[libc::pollfd], fd: RawFd) -> i16 {
    events.iter().find(|entry| entry.fd == fd).map_or(0, |entry| entry.revents)
}
