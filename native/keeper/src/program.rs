//! The VMM: started, read into rings, reaped.
//!
//! It has ended when it has been reaped and its output has been read to the end; a descendant that still holds the
//! pipes delays that by at most a second.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::arguments::Arguments;
use crate::ring::Ring;
use crate::sys;

const DRAIN: Duration = Duration::from_secs(1);
const READ_BYTES: usize = 65_536;

pub struct Program {
    child: Child,
    start_time: u64,
    started_at_ms: u64,
    pub input: Option<File>,
    pub output: Option<File>,
    pub errors: Option<File>,
    pub console: Ring,
    pub error_ring: Ring,
    reaped: Option<(ExitStatus, Instant, u64)>,
}

pub fn start(arguments: &Arguments) -> io::Result<Program> {
    let mut command = Command::new(&arguments.program[0]);
    command.args(&arguments.program[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(cwd) = &arguments.cwd {
        command.current_dir(cwd);
    }
    sys::bind_to_parent(&mut command);
    let mut child = command.spawn()?;
    let input = pipe(child.stdin.take().map(OwnedFd::from))?;
    let output = pipe(child.stdout.take().map(OwnedFd::from))?;
    let errors = pipe(child.stderr.take().map(OwnedFd::from))?;
    Ok(Program {
        start_time: read_start_time(child.id()),
        child,
        started_at_ms: now_ms(),
        input,
        output,
        errors,
        console: Ring::new(arguments.console_bytes),
        error_ring: Ring::new(arguments.error_bytes),
        reaped: None,
    })
}

impl Program {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn start_time(&self) -> u64 {
        self.start_time
    }

    /// False once it has been reaped.
    pub fn signal(&mut self, signal: i32) -> bool {
        self.reap();
        self.reaped.is_none() && sys::send_signal(self.child.id(), signal).is_ok()
    }

    pub fn reap(&mut self) {
        if self.reaped.is_none()
            && let Ok(Some(status)) = self.child.try_wait()
        {
            self.reaped = Some((status, Instant::now(), now_ms()));
            self.input = None;
        }
    }

    pub fn ended(&self) -> bool {
        match self.reaped {
            Some((_, at, _)) => (self.output.is_none() && self.errors.is_none()) || at.elapsed() >= DRAIN,
            None => false,
        }
    }

    /// When `ended` will have become true at the latest; none while it runs.
    pub fn drain_deadline(&self) -> Option<Instant> {
        if self.ended() { None } else { self.reaped.map(|(_, at, _)| at + DRAIN) }
    }

    /// Reads what is there of both outputs, once each.
    pub fn read_outputs(&mut self) {
        read_into(&mut self.output, &mut self.console);
        read_into(&mut self.errors, &mut self.error_ring);
    }

    /// Bytes taken by the program's stdin; 0 if it takes none now.
    pub fn write_input(&mut self, bytes: &[u8]) -> usize {
        self.input.as_mut().and_then(|input| input.write(bytes).ok()).unwrap_or(0)
    }

    pub fn status_line(&self) -> String {
        let console_end = self.console.end();
        let started = self.started_at_ms;
        match (self.ended(), self.reaped) {
            (true, Some((status, _, ended))) => format!(
                "{{\"state\":\"ended\",\"exitCode\":{},\"signal\":{},\"startedAt\":{started},\"endedAt\":{ended},\"consoleEnd\":{console_end},\"errorEnd\":{}}}\n",
                or_null(status.code()),
                or_null(status.signal()),
                self.error_ring.end(),
            ),
            _ => format!(
                "{{\"state\":\"running\",\"vmmPid\":{},\"vmmStartTime\":{},\"startedAt\":{started},\"consoleEnd\":{console_end}}}\n",
                self.pid(),
                self.start_time,
            ),
        }
    }
}

fn pipe(end: Option<OwnedFd>) -> io::Result<Option<File>> {
    let Some(end) = end else { return Ok(None) };
    sys::set_nonblocking(end.as_raw_fd())?;
    Ok(Some(File::from(end)))
}

fn read_into(pipe: &mut Option<File>, ring: &mut Ring) {
    let Some(file) = pipe else { return };
    let mut buffer = [0_u8; READ_BYTES];
    match file.read(&mut buffer) {
        Ok(0) => *pipe = None,
        Ok(length) => ring.push(&buffer[..length]),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock || error.kind() == io::ErrorKind::Interrupted => {}
        Err(_) => *pipe = None,
    }
}

/// Field 22 of `/proc/<pid>/stat`, proc_pid_stat(5); the name in field 2 may itself hold `) `.
fn read_start_time(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rfind(") ").map_or("", |at| &stat[at + 2..]);
    after_name.split(' ').nth(19).and_then(|field| field.parse().ok()).unwrap_or(0)
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

fn or_null(value: Option<i32>) -> String {
    value.map_or_else(|| "null".to_string(), |value| value.to_string())
}
