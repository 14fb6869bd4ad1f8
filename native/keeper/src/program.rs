//! The VMM: started, read into rings, reaped.
//!
//! ```text
//! running --reaped--> draining --outputs at their end, or a second later--> ended
//! ```
//!
//! `ended` is entered in one place (`settle`) and closes the outputs, so that nothing which a caller is told about the
//! end changes afterwards: not even where a descendant of the VMM still holds its pipes.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::arguments::Arguments;
use crate::confinement;
use crate::failure::Failure;
use crate::namespaces::Namespaces;
use crate::ring::Ring;
use crate::sys;

const DRAIN: Duration = Duration::from_secs(1);
const READ_BYTES: usize = 65_536;

pub struct Program {
    child: Child,
    start_time: u64,
    started_at_ms: u64,
    input: Option<File>,
    output: Option<File>,
    errors: Option<File>,
    log: Option<File>,
    pub console: Ring,
    pub error_ring: Ring,
    reaped: Option<Reaped>,
    ended: bool,
}

struct Reaped {
    status: ExitStatus,
    at: Instant,
    at_ms: u64,
}

/// what the program's stdin did with bytes offered to it
pub enum Taken {
    All,
    NotYet,
    /// the program has closed its stdin
    Never,
    Ended,
}

/// Returns once the program has been executed.
pub fn start(arguments: &Arguments) -> Result<Program, Failure> {
    let name = arguments.program[0].display();
    let mut command = Command::new(&arguments.program[0]);
    command.args(&arguments.program[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(cwd) = &arguments.cwd {
        // told apart from a missing program, which has an exit code of its own
        std::fs::metadata(cwd.join(".")).map_err(|why| Failure::new(cwd.display(), why))?;
        command.current_dir(cwd);
    }
    let namespaces = Namespaces::open(arguments)?;
    let log = arguments.log.as_deref().map(|path| open_log(path, arguments.log_owner)).transpose()?;
    let entrance = namespaces.enter(&mut command)?;
    sys::bind_to_parent(&mut command); // after it: a change of privilege takes the death signal away, prctl(2)
    confinement::apply(&mut command, &arguments.reach)?;
    let spawned = command.spawn();
    drop(command); // and with it the namespaces
    let mut child = spawned.map_err(|why| match (entrance.failed_step(), why.raw_os_error()) {
        (Some(step), _) => Failure::new(step, why),
        // the keeper could not even try
        (None, Some(libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE)) => Failure::new(&name, why),
        (None, _) => Failure::cannot_execute(&name, why),
    })?;
    let pipes = [
        child.stdin.take().map(OwnedFd::from),
        child.stdout.take().map(OwnedFd::from),
        child.stderr.take().map(OwnedFd::from),
    ];
    let start_time = read_start_time(child.id());
    let mut program = Program {
        child,
        start_time: 0,
        started_at_ms: now_ms(),
        input: None,
        output: None,
        errors: None,
        log,
        console: Ring::new(arguments.console_bytes),
        error_ring: Ring::new(arguments.error_bytes),
        reaped: None,
        ended: false,
    };
    let equipped = start_time.and_then(|start_time| {
        program.start_time = start_time;
        let [input, output, errors] = pipes;
        (program.input, program.output, program.errors) = (pipe(input)?, pipe(output)?, pipe(errors)?);
        Ok(())
    });
    match equipped {
        Ok(()) => Ok(program),
        Err(why) => {
            program.kill();
            Err(Failure::new(&name, why))
        }
    }
}

impl Program {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn start_time(&self) -> u64 {
        self.start_time
    }

    /// None once it has been reaped: its number may be another process's by then.
    pub fn signal(&mut self, signal: i32) -> Option<io::Result<()>> {
        self.reap();
        if self.reaped.is_some() { None } else { Some(sys::send_signal(self.child.id(), signal)) }
    }

    /// Ends it at once, before anybody has been told of it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn reap(&mut self) {
        if self.reaped.is_none()
            && let Ok(Some(status)) = self.child.try_wait()
        {
            self.reaped = Some(Reaped { status, at: Instant::now(), at_ms: now_ms() });
            self.input = None;
        }
    }

    /// Makes the end final once it is one.
    pub fn settle(&mut self) {
        let Some(reaped) = &self.reaped else { return };
        if (self.output.is_none() && self.errors.is_none()) || reaped.at.elapsed() >= DRAIN {
            // no writer is left, or none that is waited for; what a FIFO holds is all there will be
            read_into(&mut self.log, &mut self.error_ring, |_| true);
            (self.output, self.errors, self.log) = (None, None, None);
            self.ended = true;
        }
    }

    pub fn ended(&self) -> bool {
        self.ended
    }

    /// When `settle` will make the end final at the latest; none while it runs.
    pub fn drain_deadline(&self) -> Option<Instant> {
        if self.ended { None } else { self.reaped.as_ref().map(|reaped| reaped.at + DRAIN) }
    }

    pub fn output_descriptors(&self) -> impl Iterator<Item = RawFd> {
        [&self.output, &self.errors, &self.log].into_iter().flatten().map(AsRawFd::as_raw_fd)
    }

    pub fn input_descriptor(&self) -> Option<RawFd> {
        self.input.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Reads once from each output that is ready.
    pub fn read_outputs(&mut self, ready: impl Fn(RawFd) -> bool) {
        read_into(&mut self.output, &mut self.console, &ready);
        read_into(&mut self.errors, &mut self.error_ring, &ready);
        read_into(&mut self.log, &mut self.error_ring, &ready);
    }

    /// Offers at most `INPUT_BYTES`, which a pipe takes as a whole or not at all, pipe(7).
    pub fn write_input(&mut self, bytes: &[u8]) -> Taken {
        self.reap();
        if self.reaped.is_some() {
            return Taken::Ended;
        }
        let Some(input) = &mut self.input else {
            return Taken::Never;
        };
        match input.write(bytes) {
            Ok(_) => Taken::All,
            Err(error) if is_temporary(&error) => Taken::NotYet,
            Err(_) => {
                self.input = None;
                Taken::Never
            }
        }
    }

    pub fn status_line(&self) -> String {
        let (started, console_end) = (self.started_at_ms, self.console.end());
        match &self.reaped {
            Some(Reaped { status, at_ms, .. }) if self.ended => format!(
                "{{\"state\":\"ended\",\"exitCode\":{},\"signal\":{},\"startedAt\":{started},\"endedAt\":{at_ms},\"consoleEnd\":{console_end},\"errorEnd\":{}}}\n",
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

/// Makes the FIFO and opens it for reading, before there is anybody to write.
fn open_log(path: &Path, owner: Option<u32>) -> Result<File, Failure> {
    let opened = sys::make_fifo(path).and_then(|()| {
        let file = File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(path)?;
        fchown(&file, owner, owner)?;
        Ok(file)
    });
    opened.map_err(|why| Failure::new(path.display(), why))
}

fn pipe(end: Option<OwnedFd>) -> io::Result<Option<File>> {
    let Some(end) = end else { return Ok(None) };
    sys::set_nonblocking(end.as_raw_fd())?;
    Ok(Some(File::from(end)))
}

fn read_into(pipe: &mut Option<File>, ring: &mut Ring, ready: impl Fn(RawFd) -> bool) {
    let Some(file) = pipe else { return };
    if !ready(file.as_raw_fd()) {
        return;
    }
    let mut buffer = [0_u8; READ_BYTES];
    // never more than the ring holds, so that no follower who has taken all is overtaken by a single read
    let most = READ_BYTES.min(ring.limit());
    match file.read(&mut buffer[..most]) {
        Ok(0) => *pipe = None,
        Ok(length) => ring.push(&buffer[..length]),
        Err(error) if is_temporary(&error) => {}
        Err(_) => *pipe = None,
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn read_start_time(pid: u32) -> io::Result<u64> {
    let stat = std::fs::read(format!("/proc/{pid}/stat"))?;
    parse_start_time(&stat).ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat cannot be understood")))
}

/// Field 22, proc_pid_stat(5); the name in field 2 is any bytes and may itself hold `) `.
fn parse_start_time(stat: &[u8]) -> Option<u64> {
    let name_end = stat.iter().rposition(|&byte| byte == b')')?;
    let fields = std::str::from_utf8(&stat[name_end + 1..]).ok()?;
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

fn or_null(value: Option<i32>) -> String {
    value.map_or_else(|| "null".to_string(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_start_time_whatever_the_name_holds() {
        let fields = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 987654 20 21\n";
        for name in [&b"qemu"[..], b") S 1 2 (", b"\xff\xfe", b"a\nb"] {
            let stat = [b"42 (", name, b") ", fields.as_bytes()].concat();
            assert_eq!(parse_start_time(&stat), Some(987_654));
        }
        for bad in [&b""[..], b"42 (qemu", b"42 (qemu) S 1 2"] {
            assert_eq!(parse_start_time(bad), None);
        }
    }
}
