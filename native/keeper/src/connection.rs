//! One caller: reads request lines, owes answers.
//!
//! What a caller leaves unread is bounded: one answer (at most a ring), and a follower's next chunk. The next request
//! is looked at only when the last answer has gone.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::program::Program;
use crate::request::{self, INPUT_BYTES, LINE_BYTES, Request};
use crate::ring::Ring;

const INPUT_PATIENCE: Duration = Duration::from_secs(2);
/// most bytes of requests not yet looked at
const RECEIVE_BYTES: usize = LINE_BYTES + INPUT_BYTES;
const FOLLOW_CHUNK_BYTES: usize = 65_536;

pub struct Connection {
    pub stream: UnixStream,
    received: Vec<u8>,
    answer: Vec<u8>,
    sent: usize,
    task: Task,
    closing: bool,
    pub release_asked: bool,
}

/// what a caller waits for
enum Task {
    None,
    End,
    Follow(u64),
    Input { missing: usize, bytes: Vec<u8>, deadline: Option<Instant> },
}

impl Connection {
    pub fn new(stream: UnixStream) -> Self {
        Connection {
            stream,
            received: Vec::new(),
            answer: Vec::new(),
            sent: 0,
            task: Task::None,
            closing: false,
            release_asked: false,
        }
    }

    pub fn wants_to_write(&self, program: &Program) -> bool {
        self.sent < self.answer.len() || matches!(self.task, Task::Follow(offset) if offset < program.console.end())
    }

    /// When the loop must look again even if nothing happens.
    pub fn deadline(&self) -> Option<Instant> {
        match self.task {
            Task::Input { deadline, .. } => deadline,
            _ => None,
        }
    }

    /// Whether bytes wait for the program's stdin.
    pub fn has_input(&self) -> bool {
        matches!(self.task, Task::Input { missing: 0, .. })
    }

    /// Whether more of the caller's bytes can be taken.
    pub fn has_room(&self) -> bool {
        self.received.len() < RECEIVE_BYTES
    }

    /// Does all that can be done now; false when the connection is over.
    pub fn advance(&mut self, program: &mut Program, readable: bool) -> bool {
        if readable && !self.receive() {
            return false;
        }
        loop {
            if !self.send() {
                return false;
            }
            if self.sent < self.answer.len() {
                return true;
            }
            if self.closing {
                return false;
            }
            if !self.work(program) {
                return true;
            }
        }
    }

    /// False when the caller has gone.
    fn receive(&mut self) -> bool {
        let mut buffer = [0_u8; RECEIVE_BYTES];
        let room = RECEIVE_BYTES - self.received.len();
        if room == 0 {
            return false; // an event without room to read means that the caller has gone
        }
        match self.stream.read(&mut buffer[..room]) {
            Ok(0) => false,
            Ok(length) => {
                self.received.extend_from_slice(&buffer[..length]);
                true
            }
            Err(error) => matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
        }
    }

    fn send(&mut self) -> bool {
        while self.sent < self.answer.len() {
            match self.stream.write(&self.answer[self.sent..]) {
                Ok(length) => self.sent += length,
                Err(error) => return matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
            }
        }
        self.answer = Vec::new();
        self.sent = 0;
        true
    }

    /// Takes one step of the task or the next request; false when there is nothing to do now.
    fn work(&mut self, program: &mut Program) -> bool {
        match &mut self.task {
            Task::None => self.next_request(program),
            Task::End => {
                if !program.ended() {
                    return false;
                }
                self.task = Task::None;
                self.say(&program.status_line());
                true
            }
            Task::Follow(offset) => {
                if *offset < program.console.start() {
                    self.closing = true; // it lags by more than the ring
                } else if *offset < program.console.end() {
                    self.answer = program.console.read(*offset, FOLLOW_CHUNK_BYTES);
                    *offset += self.answer.len() as u64;
                } else if program.ended() {
                    self.closing = true;
                } else {
                    return false;
                }
                true
            }
            Task::Input { missing, bytes, deadline } => {
                if *missing > 0 {
                    let take = (*missing).min(self.received.len());
                    bytes.extend(self.received.drain(..take));
                    *missing -= take;
                    if *missing > 0 {
                        return false;
                    }
                }
                let taken = program.write_input(bytes);
                bytes.drain(..taken);
                let late = Instant::now() >= *deadline.get_or_insert_with(|| Instant::now() + INPUT_PATIENCE);
                if !bytes.is_empty() && !late && program.input.is_some() {
                    return false;
                }
                let full = !bytes.is_empty();
                self.task = Task::None;
                self.say(if full { "{\"error\":\"full\"}\n" } else { "{}\n" });
                true
            }
        }
    }

    fn next_request(&mut self, program: &mut Program) -> bool {
        let Some(end) = self.received.iter().position(|&byte| byte == b'\n') else {
            if self.received.len() >= LINE_BYTES {
                self.refuse("the line is too long");
                return true;
            }
            return false;
        };
        let line: Vec<u8> = self.received.drain(..=end).collect();
        if line.len() > LINE_BYTES {
            self.refuse("the line is too long");
            return true;
        }
        match request::parse(&line[..end]) {
            Ok(request) => self.begin(request, program),
            Err(why) => self.refuse(why),
        }
        true
    }

    fn begin(&mut self, request: Request, program: &mut Program) {
        match request {
            Request::Status => self.say(&program.status_line()),
            Request::Wait => {
                self.say(&program.status_line());
                self.task = Task::End;
            }
            Request::Signal(signal) => {
                let reached = program.signal(signal);
                self.say(if reached { "{}\n" } else { "{\"error\":\"ended\"}\n" });
            }
            Request::Console(offset) => self.show(&program.console, offset),
            Request::ErrorOutput => self.show(&program.error_ring, 0),
            Request::Follow(offset) => {
                self.show(&program.console, offset);
                self.task = Task::Follow(program.console.end());
            }
            Request::Input(length) => {
                self.task = Task::Input { missing: length, bytes: Vec::with_capacity(length), deadline: None };
            }
            Request::Release if !program.ended() => self.say("{\"error\":\"running\"}\n"),
            Request::Release => {
                self.say("{}\n");
                self.release_asked = true;
            }
        }
    }

    fn show(&mut self, ring: &Ring, wanted: u64) {
        let offset = wanted.clamp(ring.start(), ring.end());
        let bytes = ring.read(offset, usize::MAX);
        self.say(&format!("{{\"start\":{},\"offset\":{offset},\"length\":{}}}\n", ring.start(), bytes.len()));
        self.answer.extend(bytes);
    }

    fn refuse(&mut self, why: &str) {
        self.say(&format!("{{\"error\":\"{why}\"}}\n"));
        self.closing = true;
    }

    fn say(&mut self, text: &str) {
        self.answer.extend_from_slice(text.as_bytes());
    }
}
