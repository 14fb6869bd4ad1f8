//! Starting a process.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;

use super::output::Output;
use super::request::{Program, StartRequest, StdinKind};
use super::stdin::Stdin;
use super::users::{self, User};
use super::{Process, Processes, now_ms};
use crate::http::Failure;
use crate::sys::{self, Child};

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Starts a process and enters it in the table; nothing can come between the two.
pub fn start(processes: &Rc<Processes>, request: StartRequest) -> Result<Rc<Process>, Failure> {
    request.check()?;
    users::find(&request.user)?;
    let id = processes.admit(request.id.as_deref())?;
    let Prepared { mut command, user, cwd } = prepare(&request.program(), &[])?;
    let refuse =
        |why| Failure::cannot_start("program", &format!("{} in {cwd} as {}", request.argv[0], user.name), &why);
    let pipes = Pipes::new(&mut command, request.stdin).map_err(refuse)?;
    let changed = Rc::new(Notify::new());
    let output = |pipe| Output::new(pipe, request.ring_bytes, processes.ring_memory.clone(), changed.clone());
    let stdin = Stdin::new(pipes.stdin).map_err(refuse)?;
    let (stdout, stderr) = (output(pipes.stdout).map_err(refuse)?, output(pipes.stderr).map_err(refuse)?);
    let credentials = user.credentials.clone();
    let child = Child { credentials, cwd: cwd.clone(), files: processes.file_limit, on_terminal: false };
    sys::prepare_child(&mut command, child).map_err(refuse)?;
    let child = command.spawn().map_err(refuse)?;

    let process = Rc::new(Process {
        id,
        pid: child.id() as i32,
        argv: request.argv,
        cwd,
        user: user.name,
        started_at: now_ms() as u64,
        exit: Cell::new(None),
        timed_out: Cell::new(false),
        stdin: RefCell::new(stdin),
        stdout,
        stderr,
        changed,
    });
    processes.add(process.clone());
    for output in [&process.stdout, &process.stderr] {
        tokio::task::spawn_local(output.clone().pump());
    }
    if let Some(ms) = request.timeout_ms {
        tokio::task::spawn_local(process.clone().enforce_timeout(Duration::from_millis(ms), processes.clone()));
    }
    Ok(process)
}

/// a command that needs nothing but its standard streams and `sys::prepare_child`
pub struct Prepared {
    pub command: Command,
    pub user: User,
    pub cwd: String,
}

/// Finds user, directory and program; `defaults` are variables that the request's own are laid over.
pub fn prepare(wanted: &Program, defaults: &[(&str, &str)]) -> Result<Prepared, Failure> {
    let user = users::find(wanted.user)?;
    let cwd = working_directory(wanted, &user)?;
    let environment = environment(wanted, &user, defaults);
    let found = find_program(&wanted.argv[0], search_path(&environment), &cwd).map_err(|why| {
        Failure::cannot_start("program", &format!("{} in {cwd} as {}", wanted.argv[0], user.name), &why)
    })?;
    let mut command = Command::new(found);
    command.arg0(&wanted.argv[0]).args(&wanted.argv[1..]).env_clear().envs(environment);
    Ok(Prepared { command, user, cwd })
}

fn working_directory(request: &Program, user: &User) -> Result<String, Failure> {
    let Some(cwd) = request.cwd else {
        return Ok(if Path::new(&user.home).is_dir() { user.home.clone() } else { "/".into() });
    };
    let refuse = |why| Err(Failure::cannot_start("cwd", &format!("the working directory {cwd}"), &why));
    match fs::metadata(cwd) {
        Ok(found) if found.is_dir() => Ok(cwd.to_string()),
        Ok(_) => refuse(io::Error::from_raw_os_error(libc::ENOTDIR)),
        Err(why) => refuse(why),
    }
}

fn environment(request: &Program, user: &User, defaults: &[(&str, &str)]) -> Vec<(String, String)> {
    let of_user = [
        ("PATH", DEFAULT_PATH),
        ("HOME", &user.home),
        ("USER", &user.name),
        ("LOGNAME", &user.name),
        ("SHELL", &user.shell),
        ("LANG", "C.UTF-8"),
    ];
    let given = of_user.iter().chain(defaults).map(|(key, value)| ((*key).to_string(), (*value).to_string()));
    given.chain(request.env.clone()).collect()
}

fn search_path(environment: &[(String, String)]) -> &str {
    environment.iter().rev().find(|(key, _)| key == "PATH").map_or("", |(_, value)| value)
}

/// Looks a program up as a shell would; a path with a slash is taken as it is.
fn find_program(name: &str, path: &str, cwd: &str) -> io::Result<PathBuf> {
    if name.contains('/') {
        return Ok(PathBuf::from(name));
    }
    let mut refused = io::Error::from_raw_os_error(libc::ENOENT);
    for directory in path.split(':') {
        let candidate = Path::new(cwd).join(directory).join(name);
        match fs::metadata(&candidate) {
            Ok(found) if found.is_file() && found.permissions().mode() & 0o111 != 0 => return Ok(candidate),
            Ok(_) => refused = io::Error::from_raw_os_error(libc::EACCES),
            Err(_) => {}
        }
    }
    Err(refused)
}

/// this side's ends of a child's standard streams
struct Pipes {
    stdin: Option<OwnedFd>,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

impl Pipes {
    /// The child's ends go with `command`.
    fn new(command: &mut Command, stdin: StdinKind) -> io::Result<Self> {
        let stdin = match stdin {
            StdinKind::None => {
                command.stdin(Stdio::null());
                None
            }
            StdinKind::Open => {
                let (theirs, ours) = io::pipe()?;
                command.stdin(theirs);
                Some(ours.into())
            }
        };
        let (stdout, theirs) = io::pipe()?;
        command.stdout(theirs);
        let (stderr, theirs) = io::pipe()?;
        command.stderr(theirs);
        Ok(Pipes { stdin, stdout: stdout.into(), stderr: stderr.into() })
    }
}
