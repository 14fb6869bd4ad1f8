//! Starting a process.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;

use super::output::Output;
use super::request::{RING_BYTES, StartRequest, StdinKind};
use super::stdin::Stdin;
use super::{Process, Processes, now_ms, users};
use crate::http::Failure;
use crate::sys;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// what the outputs of all processes may hold together
const ALL_RINGS_BYTES: usize = 64 * 1024 * 1024;

/// Starts a process and enters it in the table; nothing can come between the two.
pub fn start(processes: &Rc<Processes>, request: StartRequest) -> Result<Rc<Process>, Failure> {
    request.check()?;
    let user = users::find(&request.user)?;
    let id = processes.admit(request.id)?;
    let mut environment = vec![
        ("PATH".to_string(), DEFAULT_PATH.to_string()),
        ("HOME".into(), user.home.clone()),
        ("USER".into(), user.name.clone()),
        ("LOGNAME".into(), user.name.clone()),
        ("SHELL".into(), user.shell.clone()),
        ("LANG".into(), "C.UTF-8".into()),
    ];
    environment.extend(request.env);
    let path = environment.iter().rev().find(|(key, _)| key == "PATH").map_or("", |(_, value)| value.as_str());
    let cwd = request.cwd.unwrap_or_else(|| if Path::new(&user.home).is_dir() { user.home.clone() } else { "/".into() });
    if let Err(why) = fs::read_dir(&cwd) {
        return Err(Failure::cannot_start(&format!("working directory {cwd}"), &why));
    }
    let program = find_program(&request.argv[0], path, &cwd).map_err(|why| Failure::cannot_start(&request.argv[0], &why))?;
    let mut command = Command::new(program);
    command
        .arg0(&request.argv[0])
        .args(&request.argv[1..])
        .env_clear()
        .envs(environment)
        .current_dir(&cwd)
        .stdin(if request.stdin == StdinKind::Open { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    sys::prepare_child(&mut command, user.credentials);
    let mut child = command.spawn().map_err(|why| Failure::cannot_start(&request.argv[0], &why))?;

    let changed = Rc::new(Notify::new());
    let limit = ring_bytes(processes, request.ring_bytes);
    let broken = |why: io::Error| Failure::internal(&format!("a pipe failed: {why}"));
    let process = Rc::new(Process {
        id,
        pid: child.id() as i32,
        argv: request.argv,
        cwd,
        user: user.name,
        started_at: now_ms() as u64,
        exit: Cell::new(None),
        timed_out: Cell::new(false),
        stdin: RefCell::new(match child.stdin.take() {
            Some(pipe) => Stdin::open(nonblocking(pipe.into()).map_err(broken)?).map_err(broken)?,
            None => Stdin::default(),
        }),
        stdout: Output::new(limit, changed.clone()),
        stderr: Output::new(limit, changed.clone()),
        changed,
    });
    processes.add(process.clone());
    let pipes = [(&process.stdout, child.stdout.take().map(OwnedFd::from)), (&process.stderr, child.stderr.take().map(OwnedFd::from))];
    for (output, pipe) in pipes {
        if let Some(pipe) = pipe {
            tokio::task::spawn_local(output.clone().pump(nonblocking(pipe).map_err(broken)?));
        }
    }
    if let Some(ms) = request.timeout_ms {
        tokio::task::spawn_local(process.clone().enforce_timeout(Duration::from_millis(ms)));
    }
    Ok(process)
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

/// What a new process's outputs may hold each, given what all hold already.
fn ring_bytes(processes: &Processes, wanted: usize) -> usize {
    let surplus = (processes.held_bytes() + 2 * wanted).saturating_sub(ALL_RINGS_BYTES);
    if surplus > 0 {
        processes.trim_ended(surplus);
    }
    if processes.held_bytes() + 2 * wanted > ALL_RINGS_BYTES { *RING_BYTES.start() } else { wanted }
}

fn nonblocking(pipe: OwnedFd) -> io::Result<OwnedFd> {
    sys::set_nonblocking(pipe.as_raw_fd())?;
    Ok(pipe)
}
