//! Children: starting, signalling and collecting them.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;

use super::{check, text};

/// What is done once so that children need not do it: orphans of the guest become this process's children, and nothing
/// that this program itself inherited goes on to them, be it a signal's disposition, the signal mask or an open file.
pub fn become_reaper() {
    // SAFETY: plain system calls, and a record of zeros is a valid action or mask.
    unsafe {
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1); // PID 1 gets the orphans anyway
        for signal in 1..=64 {
            // not by way of the C library, which keeps 32 and 33 to itself
            libc::syscall(libc::SYS_rt_sigaction, signal, &DEFAULT_ACTION, 0, size_of::<u64>());
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut());
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
        libc::signal(libc::SIGPIPE, libc::SIG_IGN); // the standard library gives it back to children
    }
}

/// One ended child: its pid, and its exit code or signal. None while there is none.
pub fn reap_one() -> Option<(i32, Ended)> {
    let mut status = 0;
    // SAFETY: `status` is valid for writing.
    let pid = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) };
    if pid <= 0 {
        return None;
    }
    let ended = if libc::WIFSIGNALED(status) {
        Ended::Signal(libc::WTERMSIG(status))
    } else {
        Ended::Code(libc::WEXITSTATUS(status))
    };
    Some((pid, ended))
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ended {
    Code(i32),
    Signal(i32),
}

/// `pid` may be negative (a group) or -1 (everything but this process).
pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: plain system call.
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// who a child runs as
#[derive(Clone, Debug)]
pub struct Credentials {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
}

/// What a child is to be before it becomes its program.
pub struct Child {
    pub credentials: Credentials,
    pub cwd: String,
    pub files: FileLimit,
    /// its stdin is a terminal that is to be its session's
    pub on_terminal: bool,
}

/// the kernel's own record of a signal's action, all of it zero
const DEFAULT_ACTION: [u64; 4] = [0; 4];

/// Lets this program go before all that the guest runs: whatever that is, it can still be looked at and ended.
pub fn take_precedence() {
    // SAFETY: plain system call.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -20) };
}

/// The child leads a session of its own, as `Child` has it, with no protection from the OOM killer and no precedence.
pub fn prepare_child(command: &mut Command, child: Child) -> io::Result<()> {
    let cwd = text(&child.cwd)?;
    let Child { credentials: who, files: FileLimit(files), on_terminal, .. } = child;
    // SAFETY: between fork and exec only system calls are made, on what was allocated before.
    unsafe {
        command.pre_exec(move || {
            libc::setsid();
            if on_terminal {
                check(libc::ioctl(0, libc::TIOCSCTTY, 0))?;
            }
            libc::setrlimit(libc::RLIMIT_NOFILE, &files);
            libc::setpriority(libc::PRIO_PROCESS, 0, 0);
            let file = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
            if file >= 0 {
                libc::write(file, c"0".as_ptr().cast(), 1);
                libc::close(file);
            }
            if libc::geteuid() == 0 {
                check(libc::setgroups(who.groups.len(), who.groups.as_ptr()))?;
                check(libc::setgid(who.gid))?;
                check(libc::setuid(who.uid))?;
            }
            check(libc::chdir(cwd.as_ptr())).map(drop)
        });
    }
    Ok(())
}

/// how many files a process may have open
#[derive(Clone, Copy)]
pub struct FileLimit(libc::rlimit);

/// Lets this program have as many files open as it may, and gives the limit that children are to have: its own, or,
/// as init, what systemd gives (the kernel starts init with less than the agent itself needs).
pub fn raise_file_limit() -> FileLimit {
    let mut limit = libc::rlimit { rlim_cur: 1024, rlim_max: 524_288 };
    // SAFETY: `limit` is valid for writing and reading.
    unsafe {
        if std::process::id() != 1 {
            libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        }
        let own = libc::rlimit { rlim_cur: limit.rlim_max, rlim_max: limit.rlim_max };
        libc::setrlimit(libc::RLIMIT_NOFILE, &own);
    }
    FileLimit(limit)
}
