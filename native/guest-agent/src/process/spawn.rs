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
use super::request::{StartRequest, StdinKind};
use super::stdin::Stdin;
use super::users::{self, User};
use super::{Process, Processes, now_ms};
use crate::http::Failure;
use crate::sys::{self, Child};

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Starts a process and enters it in the table; nothing can come between the two.
pub fn start(processes: &Rc<Processes>, request: StartRequest) -> Result<Rc<Process>, Failure> {
    request.check()?;
    let user = users::find(&request.user)?;
    let id = processes.admit(request.id.as_deref())?;
    let cwd = working_directory(&request, &user)?;
    let environment = environment(&request, &user);
    let refuse =
        |why| Failure::cannot_start("program", &format!("{} in {cwd} as {}", request.argv[0], user.name), &why);

    let mut command = Command::new(find_program(&request.argv[0], search_path(&environment), &cwd).map_err(refuse)?);
    command.arg0(&request.argv[0]).args(&request.argv[1..]).env_clear().envs(environment);
    let pipes = Pipes::new(&mut command, request.stdin).map_err(refuse)?;
    let changed = Rc::new(Notify::new());
    let output = |pipe| Output::new(pipe, request.ring_bytes, processes.ring_memory.clone(), changed.clone());
    let stdin = Stdin::new(pipes.stdin).map_err(refuse)?;
    let (stdout, stderr) = (output(pipes.stdout).map_err(refuse)?, output(pipes.stderr).map_err(refuse)?);
    sys::prepare_child(
        &mut command,
        Child { credentials: user.credentials, cwd: cwd.clone(), files: processes.file_limit },
    )
    .map_err(refuse)?;
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

fn working_directory(request: &StartRequest, user: &User) -> Result<String, Failure> {
    let Some(cwd) = &request.cwd else {
        return Ok(if Path::new(&user.home).is_dir() { user.home.clone() } else { "/".into() });
    };
    let refuse = |why| Err(Failure::cannot_start("cwd", &format!("the working directory {cwd}"), &why));
    match fs::metadata(cwd) {
        Ok(found) if found.is_dir() => Ok(cwd.clone()),
        Ok(_) => refuse(io::Error::from_raw_os_error(libc::ENOTDIR)),
        Err(why) => refuse(why),
    }
}

fn environment(request: &StartRequest, user: &User) -> Vec<(String, String)> {
    let of_user = [
        ("PATH", DEFAULT_PATH),
        ("HOME", &user.home),
        ("USER", &user.name),
        ("LOGNAME", &user.name),
        ("SHELL", &user.shell),
        ("LANG", "C.UTF-8"),
    ];
    let of_user = of_user.into_iter().map(|(key, value)| (key.to_string(), value.to_string()));
    of_user.chain(request.env.clone()).collect()
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
