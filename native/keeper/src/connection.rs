//! One caller: reads request lines, owes answers.
//!
//! A caller's next request is looked at only when it has taken the last answer. What it leaves untaken costs the keeper
//! one line: bytes of a ring are written from the ring itself, and a caller who lets the ring overtake it is closed. So
//! no caller can make the keeper grow, nor hold anybody up.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::program::{Program, Taken};
use crate::request::{self, INPUT_BYTES, LINE_BYTES, Request};
use crate::ring::Ring;

const INPUT_PATIENCE: Duration = Duration::from_secs(2);
/// most bytes of requests not yet looked at
const RECEIVE_BYTES: usize = LINE_BYTES + INPUT_BYTES;

pub struct Connection {
    stream: UnixStream,
    received: Vec<u8>,
    /// nothing more will be received; what is owed is still sent
    half_closed: bool,
    /// what is left of the answer's line
    answer: Vec<u8>,
    task: Task,
}

/// what is to be done once the answer's line has gone
enum Task {
    NextRequest,
    AwaitEnd,
    /// bytes of a ring from `next` on: until an offset, or until the program has ended
    Send {
        which: Which,
        next: u64,
        until: Option<u64>,
    },
    Input {
        missing: usize,
        bytes: Vec<u8>,
        deadline: Option<Instant>,
    },
    Close,
    Release,
}

#[derive(Clone, Copy)]
enum Which {
    Console,
    Errors,
}

#[derive(PartialEq)]
enum Step {
    Done,
    /// nothing can be done now
    Wait,
    /// the connection is over
    Over,
}

impl Connection {
    pub fn new(stream: UnixStream) -> Self {
        Connection { stream, received: Vec::new(), half_closed: false, answer: Vec::new(), task: Task::NextRequest }
    }

    pub fn fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// What `poll` is to watch for.
    pub fn events(&self, program: &Program) -> i16 {
        let read = !self.half_closed && self.received.len() < RECEIVE_BYTES;
        let write = !self.answer.is_empty()
            || match self.task {
                Task::Send { which, next, until } => next < until.unwrap_or(ring_of(program, which).end()),
                _ => false,
            };
        (if read { libc::POLLIN } else { 0 }) | (if write { libc::POLLOUT } else { 0 })
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

    pub fn released(&self) -> bool {
        matches!(self.task, Task::Release)
    }

    /// Does all that can be done now; false when the connection is over.
    pub fn advance(&mut self, program: &mut Program, events: i16) -> bool {
        if events & (libc::POLLIN | libc::POLLHUP | libc::POLLERR) != 0 && !self.receive() {
            return false;
        }
        loop {
            match self.step(program) {
                Step::Done => {}
                Step::Wait => break,
                Step::Over => return false,
            }
        }
        let gone = events & libc::POLLHUP != 0 && (self.half_closed || self.received.len() >= RECEIVE_BYTES);
        !(gone || self.half_closed && self.awaits_caller())
    }

    /// Whether it is the caller who has to go on.
    fn awaits_caller(&self) -> bool {
        let unfinished = match self.task {
            Task::NextRequest => true,
            Task::Input { missing, .. } => missing > 0,
            _ => false,
        };
        unfinished && self.answer.is_empty()
    }

    /// False when the connection is broken.
    fn receive(&mut self) -> bool {
        let mut buffer = [0_u8; RECEIVE_BYTES];
        let room = RECEIVE_BYTES - self.received.len();
        if room == 0 || self.half_closed {
            return true;
        }
        match self.stream.read(&mut buffer[..room]) {
            Ok(0) => self.half_closed = true,
            Ok(length) => self.received.extend_from_slice(&buffer[..length]),
            Err(error) => return is_temporary(&error),
        }
        true
    }

    fn step(&mut self, program: &mut Program) -> Step {
        if !self.answer.is_empty() {
            return match write_some(&mut self.stream, &self.answer) {
                Ok(length) => {
                    self.answer.drain(..length);
                    Step::Done
                }
                Err(step) => step,
            };
        }
        match &mut self.task {
            Task::NextRequest => self.next_request(program),
            Task::AwaitEnd if !program.ended() => Step::Wait,
            Task::AwaitEnd => self.finish(&program.status_line()),
            Task::Send { which, next, until } => {
                let ring = ring_of(program, *which);
                let target = until.unwrap_or(ring.end());
                if *next < ring.start() && *next < target {
                    return Step::Over; // the ring has overtaken it
                }
                if *next < target {
                    let piece = ring.piece(*next);
                    let length = piece.len().min(usize::try_from(target - *next).unwrap_or(usize::MAX));
                    return match write_some(&mut self.stream, &piece[..length]) {
                        Ok(length) => {
                            *next += length as u64;
                            Step::Done
                        }
                        Err(step) => step,
                    };
                }
                match until {
                    Some(_) => self.finish(""),
                    None if program.ended() => Step::Over,
                    None => Step::Wait,
                }
            }
            Task::Input { missing, bytes, deadline } => {
                let take = (*missing).min(self.received.len());
                bytes.extend(self.received.drain(..take));
                *missing -= take;
                if *missing > 0 {
                    return Step::Wait;
                }
                let now = Instant::now();
                let deadline = *deadline.get_or_insert(now + INPUT_PATIENCE);
                match program.write_input(bytes) {
                    Taken::NotYet if now < deadline => Step::Wait,
                    Taken::All => self.finish("{}\n"),
                    Taken::NotYet | Taken::Never => self.finish("{\"error\":\"full\"}\n"),
                    Taken::Ended => self.finish("{\"error\":\"ended\"}\n"),
                }
            }
            Task::Close | Task::Release => Step::Over,
        }
    }

    fn next_request(&mut self, program: &mut Program) -> Step {
        let end = self.received.iter().take(LINE_BYTES).position(|&byte| byte == b'\n');
        let Some(end) = end else {
            if self.received.len() >= LINE_BYTES {
                return self.refuse("the line is too long");
            }
            return Step::Wait;
        };
        let line: Vec<u8> = self.received.drain(..=end).collect();
        match request::parse(&line[..end]) {
            Ok(request) => self.begin(request, program),
            Err(why) => self.refuse(why),
        }
    }

    fn begin(&mut self, request: Request, program: &mut Program) -> Step {
        match request {
            Request::Status => self.finish(&program.status_line()),
            Request::Wait => self.answer(&program.status_line(), Task::AwaitEnd),
            Request::Signal(signal) => match program.signal(signal) {
                None => self.finish("{\"error\":\"ended\"}\n"),
                Some(Ok(())) => self.finish("{}\n"),
                Some(Err(_)) => self.finish("{\"error\":\"the signal cannot be sent\"}\n"),
            },
            Request::Console(offset) => self.show(program, Which::Console, offset, false),
            Request::ErrorOutput => self.show(program, Which::Errors, 0, false),
            Request::Follow(offset) => self.show(program, Which::Console, offset, true),
            Request::Input(length) => {
                self.answer("", Task::Input { missing: length, bytes: Vec::with_capacity(length), deadline: None })
            }
            Request::Release if !program.ended() => self.finish("{\"error\":\"running\"}\n"),
            Request::Release => self.answer("{}\n", Task::Release),
        }
    }

    fn show(&mut self, program: &Program, which: Which, wanted: u64, follow: bool) -> Step {
        let ring = ring_of(program, which);
        let (start, end) = (ring.start(), ring.end());
        let next = wanted.clamp(start, end);
        let line = format!("{{\"start\":{start},\"offset\":{next},\"length\":{}}}\n", end - next);
        self.answer(&line, Task::Send { which, next, until: if follow { None } else { Some(end) } })
    }

    fn refuse(&mut self, why: &str) -> Step {
        self.answer(&format!("{{\"error\":\"{why}\"}}\n"), Task::Close)
    }

    fn finish(&mut self, line: &str) -> Step {
        self.answer(line, Task::NextRequest)
    }

    fn answer(&mut self, line: &str, then: Task) -> Step {
        self.answer = line.as_bytes().to_vec();
        self.task = then;
        Step::Done
    }
}

fn ring_of(program: &Program, which: Which) -> &Ring {
    match which {
        Which::Console => &program.console,
        Which::Errors => &program.error_ring,
    }
}

/// Bytes written, at least one; otherwise the step that this makes of it.
fn write_some(stream: &mut UnixStream, bytes: &[u8]) -> Result<usize, Step> {
    match stream.write(bytes) {
        Ok(0) => Err(Step::Over),
        Ok(length) => Ok(length),
        Err(error) if is_temporary(&error) => Err(Step::Wait),
        Err(_) => Err(Step::Over),
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
