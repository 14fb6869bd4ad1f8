//! Starting a terminal: a pseudo-terminal, and a process that leads a session on it.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::unix::process::CommandExt;
use std::rc::Rc;

use tokio::io::Interest;
use tokio::sync::Notify;

use super::recent::Recent;
use super::request::CreateRequest;
use super::screen::{Screen, Size};
use super::{Terminal, Terminals};
use crate::http::Failure;
use crate::process::request::{Program, check_id};
use crate::process::spawn::{Prepared, prepare};
use crate::process::{now_ms, users};
use crate::sys::{self, Child, Pty};

/// Starts a terminal and enters it in the table; nothing can come between the two.
pub fn create(terminals: &Rc<Terminals>, request: CreateRequest) -> Result<Rc<Terminal>, Failure> {
    check_id(Some(&request.id))?;
    let size = Size { columns: request.columns, rows: request.rows }.check()?;
    let login = request.argv.is_none();
    let argv = match request.argv {
        Some(argv) => argv,
        None => vec![users::find(&request.user)?.shell],
    };
    let program = Program { argv: &argv, env: &request.env, cwd: request.cwd.as_deref(), user: &request.user };
    program.check()?;
    users::find(&request.user)?;
    terminals.admit(&request.id, size)?;

    let Prepared { mut command, user, cwd } = prepare(&program, &[("TERM", "xterm-256color")])?;
    if login {
        // as login(1) does: the shell reads its profile
        command.arg0(format!("-{}", argv[0].rsplit('/').next().unwrap_or_default()));
    }
    let refuse =
        |why: io::Error| Failure::cannot_start("program", &format!("{} in {cwd} as {}", argv[0], user.name), &why);
    let Pty { ours, theirs } = sys::open_pty().map_err(refuse)?;
    sys::set_nonblocking(&ours).map_err(refuse)?;
    sys::set_terminal_size(&ours, size.columns, size.rows).map_err(refuse)?;
    let _ = sys::give_terminal(&theirs, user.credentials.uid); // not ours to give outside a VM
    let stream = || theirs.try_clone().map_err(refuse);
    command.stdin(stream()?).stdout(stream()?).stderr(stream()?);
    let credentials = user.credentials.clone();
    let child = Child { credentials, cwd: cwd.clone(), files: terminals.file_limit, on_terminal: true };
    sys::prepare_child(&mut command, child).map_err(refuse)?;
    let pty = Rc::new(sys::watch(ours, Interest::READABLE | Interest::WRITABLE).map_err(refuse)?);
    let child = command.spawn().map_err(refuse)?;

    let terminal = Rc::new(Terminal {
        id: request.id,
        pid: child.id() as i32,
        argv,
        cwd,
        user: user.name,
        started_at: now_ms() as u64,
        exit: Cell::new(None),
        ended: Cell::new(None),
        pty: RefCell::new(Some(pty)),
        screen: RefCell::new(Screen::new(size)),
        recent: RefCell::new(Recent::default()),
        viewers: Cell::new(0),
        changed: Notify::new(),
    });
    terminals.add(terminal.clone());
    tokio::task::spawn_local(terminal.clone().pump());
    Ok(terminal)
}
