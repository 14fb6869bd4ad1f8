//! A real keeper with a real program, in a directory of its own; both are gone when the test is.
#![allow(dead_code)] // each test program uses its part

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// after which a test fails rather than hangs; a busy machine is slow
const PATIENCE: Duration = Duration::from_secs(60);
static COUNT: AtomicU32 = AtomicU32::new(0);

pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("keeper-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Directory(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn names(&self) -> Vec<String> {
        fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `keeper --socket <socket> <options…> -- <program…>`, not yet started
pub fn command(socket: &Path, options: &[&str], program: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keeper"));
    command.arg("--socket").arg(socket).args(options).arg("--").args(program);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub struct Kept {
    pub keeper: Child,
    pub vmm: u32,
    pub start_time: u64,
    pub socket: PathBuf,
    pub directory: Directory,
    output: BufReader<ChildStdout>,
}

pub fn keep(program: &[&str]) -> Kept {
    keep_with(&["--console-bytes", "65536"], program, |_| {})
}

pub fn shell(script: &str) -> Kept {
    keep(&["sh", "-c", script])
}

pub fn keep_with(options: &[&str], program: &[&str], change: impl FnOnce(&mut Command)) -> Kept {
    let directory = Directory::new();
    let mut command = command(&directory.path("k"), options, program);
    change(&mut command);
    keep_command(directory, command)
}

/// Starts a keeper whose socket is `k` in the directory.
pub fn keep_command(directory: Directory, mut command: Command) -> Kept {
    let socket = directory.path("k");
    let mut keeper = command.spawn().unwrap();
    let mut output = BufReader::new(keeper.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    if line.is_empty() {
        let mut why = String::new();
        keeper.stderr.take().unwrap().read_to_string(&mut why).unwrap();
        panic!("{} {why}", keeper.wait().unwrap());
    }
    assert_eq!(number(&line, "keeper"), 1);
    assert_eq!(number(&line, "keeperPid"), u64::from(keeper.id()));
    let (vmm, start_time) = (number(&line, "vmmPid") as u32, number(&line, "vmmStartTime"));
    Kept { keeper, vmm, start_time, socket, directory, output }
}

impl Kept {
    pub fn connect(&self) -> Caller {
        let stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Caller(BufReader::new(stream))
    }

    /// A connection of its own that has sent the request.
    pub fn ask(&self, request: &str) -> Caller {
        let mut caller = self.connect();
        caller.send(format!("{request}\n").as_bytes()); // at once: a bad one may be refused before its end
        caller
    }

    /// The first line of the answer.
    pub fn answer(&self, request: &str) -> String {
        self.ask(request).line()
    }

    /// The line that tells of the end, once it has come.
    pub fn end(&self) -> String {
        let mut caller = self.ask("wait");
        caller.line();
        caller.line()
    }

    pub fn console(&self) -> String {
        String::from_utf8_lossy(&self.ask("console 0").counted()).into_owned()
    }

    /// Returns when the console has shown the text.
    pub fn await_console(&self, text: &str) {
        self.ask("follow 0").await_text(text);
    }

    pub fn signal_keeper(&self, signal: i32) {
        // SAFETY: plain system call; the keeper is our own unreaped child.
        assert_eq!(unsafe { libc::kill(self.keeper.id() as i32, signal) }, 0);
    }

    /// The keeper's exit code, after it was released.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.keeper.wait().unwrap().code()
    }

    /// Whatever the keeper says after its first line, until it leaves its output.
    pub fn rest_of_output(&mut self) -> String {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        rest
    }

    /// kB
    pub fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.keeper.id())).unwrap();
        field(&status, "VmRSS:").trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.keeper.kill(); // the program dies with it
        let _ = self.keeper.wait();
    }
}

pub struct Caller(BufReader<UnixStream>);

impl Caller {
    pub fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    /// One line with its end; empty at the end of the connection.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// The bytes that the answer's line announces.
    pub fn counted(&mut self) -> Vec<u8> {
        let line = self.line();
        self.bytes(number(&line, "length") as usize)
    }

    pub fn await_text(&mut self, text: &str) {
        let mut seen = String::new();
        while !seen.contains(text) {
            let line = self.line();
            assert_ne!(line, "", "{text} has not come: {seen}");
            seen += &line;
        }
    }

    pub fn stop_sending(&self) {
        self.0.get_ref().shutdown(Shutdown::Write).unwrap();
    }

    /// All until the keeper closes the connection.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => {}
            // closed while bytes of ours lay there unread
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("{error}"),
        }
        rest
    }
}

/// A number of a JSON line.
pub fn number(line: &str, key: &str) -> u64 {
    let (_, rest) = line.split_once(&format!("\"{key}\":")).unwrap_or_else(|| panic!("no {key} in {line:?}"));
    rest[..rest.find([',', '}']).unwrap()].parse().unwrap()
}

/// The rest of a line of `/proc/<pid>/status`.
pub fn field<'a>(status: &'a str, name: &str) -> &'a str {
    status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim()
}

/// Fields of `/proc/<pid>/stat` from the third on; none where there is no such process.
pub fn stat(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    Some(fields.split_whitespace().map(String::from).collect())
}

/// Returns when the process runs no more; an orphan may stay a zombie until somebody reaps it.
pub fn await_death(pid: u32) {
    while stat(pid).is_some_and(|fields| fields[0] != "Z") {
        std::thread::yield_now();
    }
}
