//! The worker: a program of one thread that does one job as the user whom it was started for, and ends.

mod beneath;
mod body;
mod changes;
mod content;
mod draft;
mod entries;
mod pack;
mod reply;
mod search;
mod tar_out;
mod unpack;
mod watch;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rustix::fs::Mode;

use self::body::Body;
use self::reply::Reply;
use super::order::{Job, Order};
use crate::http::Failure;
use crate::sys;

/// what a job ends with
type Done = Result<(), Failure>;

/// The order comes on stdin, the answer goes to stdout; code 0 where it is whole.
pub fn work() -> ExitCode {
    sys::raise_file_limit();
    rustix::process::umask(Mode::empty()); // every mode is said
    let (Ok(stdin), Ok(stdout)) = (own(io::stdin().as_fd()), own(io::stdout().as_fd())) else {
        return ExitCode::FAILURE;
    };
    let mut body = Body::new(stdin);
    let Ok(order) = body.read_order() else { return ExitCode::FAILURE };
    let mut reply = Reply::new(stdout);
    match carry_out(order, body, &mut reply) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => reply.refuse(&failure),
    }
}

fn own(fd: BorrowedFd<'_>) -> io::Result<File> {
    fd.try_clone_to_owned().map(File::from)
}

fn carry_out(Order { home, job }: Order, body: Body, reply: &mut Reply) -> Done {
    let place = |text: &str| locate(text, &home);
    match job {
        Job::Read { path, offset, length } => content::read(&place(&path), offset, length, reply),
        Job::Write(about) => content::write(&place(&about.path), &about, body, reply),
        Job::Stat { path } => entries::stat(&place(&path), reply),
        Job::List { path, depth, limit, after } => {
            entries::list(&place(&path), depth as usize, limit as usize, after.as_deref(), reply)
        }
        Job::Move(request) => changes::move_to(&place(&request.from), &place(&request.to), request.overwrite, reply),
        Job::Delete(request) => changes::delete(&place(&request.path), request.recursive, reply),
        Job::Mkdir(request) => changes::mkdir(&place(&request.path), &request, reply),
        Job::Search(request) => search::search(&place(&request.path), &request, reply),
        Job::Watch { path, recursive } => watch::watch(&place(&path), recursive, reply),
        Job::Pack { path } => pack::pack(&place(&path), reply),
        Job::Unpack { path, owners } => unpack::unpack(&place(&path), owners, body, reply),
    }
}

/// `~` is the user's home.
fn locate(text: &str, home: &str) -> PathBuf {
    match text.strip_prefix('~') {
        Some(rest) => Path::new(home).join(rest.trim_start_matches('/')),
        None => text.into(),
    }
}

/// For an error's message.
fn failed(path: &Path) -> impl Fn(io::Error) -> Failure {
    move |why| Failure::of_file(&path.display().to_string(), &why)
}
