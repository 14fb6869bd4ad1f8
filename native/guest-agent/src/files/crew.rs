//! Workers: started, bounded, ended.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io::{self, PipeReader, PipeWriter};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use rustix::pipe::fcntl_setpipe_size;
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::Notify;

use super::WORKER_ARGUMENT;
use super::order::Job;
use crate::http::Failure;
use crate::process::User;
use crate::sys::{self, Child, Ended, FileLimit};

const MOST_WORKERS: usize = 32;
/// a watch lasts, so they may not take all places
const MOST_WATCHES: usize = 16;
/// for a worker that changes something to tidy up when nobody waits for it any more
const TIDY_PATIENCE: Duration = Duration::from_secs(5);
/// as large as anybody may have it
const PIPE_BYTES: usize = 1024 * 1024;

/// all workers that live
#[derive(Default)]
pub struct Crew {
    workers: RefCell<Vec<Rc<Worker>>>,
}

struct Worker {
    pid: i32,
    watches: bool,
    exit: Cell<Option<Ended>>,
    exited: Notify,
    dismissed: Notify,
}

/// A worker at work. Dropping it dismisses the worker: its pipes close, and it is killed if that does not end it.
pub struct Hired {
    pub output: Receiver,
    worker: Rc<Worker>,
}

impl Crew {
    /// Starts a worker as `user`; gives what its stdin is written with, too.
    pub fn hire(self: &Rc<Self>, user: &User, job: &Job, files: FileLimit) -> Result<(Hired, Sender), Failure> {
        self.check_room(job)?;
        let refuse = |why| Failure::cannot_start("worker", &format!("a worker for files as {}", user.name), &why);
        let ((stdin, input), (output, stdout)) = pipes(job).map_err(refuse)?;
        let cwd = if fs::metadata(&user.home).is_ok_and(|found| found.is_dir()) { &user.home } else { "/" };
        let mut command = Command::new("/proc/self/exe");
        command.arg0("guest-agent").arg(WORKER_ARGUMENT).env_clear();
        command.stdin(stdin).stdout(stdout).stderr(Stdio::null());
        let child = Child { credentials: user.credentials.clone(), cwd: cwd.into(), files, on_terminal: false };
        sys::prepare_child(&mut command, child).map_err(refuse)?;
        let input = Sender::from_owned_fd(input.into()).map_err(refuse)?;
        let output = Receiver::from_owned_fd(output.into()).map_err(refuse)?;
        let worker = Rc::new(Worker {
            pid: command.spawn().map_err(refuse)?.id() as i32,
            watches: matches!(job, Job::Watch { .. }),
            exit: Cell::default(),
            exited: Notify::new(),
            dismissed: Notify::new(),
        });
        self.workers.borrow_mut().push(worker.clone());
        let patience = if job.only_reads() { Duration::ZERO } else { TIDY_PATIENCE };
        tokio::task::spawn_local(worker.clone().end_when_dismissed(patience));
        Ok((Hired { output, worker }, input))
    }

    /// A child of the agent has ended.
    pub fn note_exit(&self, pid: i32, how: Ended) {
        self.workers.borrow_mut().retain(|worker| {
            if worker.pid == pid {
                worker.exit.set(Some(how));
                worker.exited.notify_waiters();
            }
            worker.pid != pid
        });
    }

    fn check_room(&self, job: &Job) -> Result<(), Failure> {
        let workers = self.workers.borrow();
        if workers.len() >= MOST_WORKERS {
            return Err(Failure::too_many(&format!("{MOST_WORKERS} operations on files are under way already")));
        }
        let watches = workers.iter().filter(|worker| worker.watches).count();
        if matches!(job, Job::Watch { .. }) && watches >= MOST_WATCHES {
            return Err(Failure::too_many(&format!("{MOST_WATCHES} directories are watched already")));
        }
        Ok(())
    }
}

impl Worker {
    async fn ended(&self) -> Ended {
        loop {
            if let Some(how) = self.exit.get() {
                return how;
            }
            self.exited.notified().await;
        }
    }

    async fn end_when_dismissed(self: Rc<Self>, patience: Duration) {
        self.dismissed.notified().await;
        if tokio::time::timeout(patience, self.ended()).await.is_err() && self.exit.get().is_none() {
            let _ = sys::kill(-self.pid, libc::SIGKILL);
        }
    }
}

impl Hired {
    /// How it ended, once it has.
    pub async fn ended(&self) -> Ended {
        self.worker.ended().await
    }
}

impl Drop for Hired {
    fn drop(&mut self) {
        self.worker.dismissed.notify_one();
    }
}

/// A worker's stdin and stdout; those that carry much are large, where that is allowed.
fn pipes(job: &Job) -> io::Result<((PipeReader, PipeWriter), (PipeReader, PipeWriter))> {
    let (input, output) = (io::pipe()?, io::pipe()?);
    if job.takes_body() {
        let _ = fcntl_setpipe_size(&input.1, PIPE_BYTES);
    }
    if job.gives_much() {
        let _ = fcntl_setpipe_size(&output.0, PIPE_BYTES);
    }
    Ok((input, output))
}
