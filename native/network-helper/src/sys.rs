//! The system calls that the standard library does not offer; all unsafe code but the entering of a namespace is here.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// ioctls of nsfs, ioctl_ns(2)
const NS_GET_USERNS: libc::c_ulong = 0xb701;
const NS_GET_NSTYPE: libc::c_ulong = 0xb703;
const NS_GET_OWNER_UID: libc::c_ulong = 0xb704;

pub fn real_uid() -> u32 {
    // SAFETY: cannot fail.
    unsafe { libc::getuid() }
}

pub fn effective_uid() -> u32 {
    // SAFETY: cannot fail.
    unsafe { libc::geteuid() }
}

/// Nothing of the caller's reaches what follows: neither descriptors, signals, limits nor its identity.
pub fn become_root_alone() -> io::Result<()> {
    // SAFETY: plain system calls; descriptors above 2 belong to nobody in this process yet.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32);
        libc::setsid(); // so that the caller's terminal cannot stop it half-way
        libc::umask(0o077);
        for signal in 1..=64 {
            if signal != libc::SIGKILL && signal != libc::SIGSTOP {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
        libc::alarm(0);
        let enough = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
        for limit in [libc::RLIMIT_FSIZE, libc::RLIMIT_CPU, libc::RLIMIT_AS, libc::RLIMIT_DATA, libc::RLIMIT_STACK] {
            libc::setrlimit(limit, &enough);
        }
        let files = libc::rlimit { rlim_cur: 256, rlim_max: 256 };
        libc::setrlimit(libc::RLIMIT_NOFILE, &files);
        let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::setrlimit(libc::RLIMIT_CORE, &no_core);
        let failed =
            libc::setgroups(0, std::ptr::null()) != 0 || libc::setresgid(0, 0, 0) != 0 || libc::setresuid(0, 0, 0) != 0;
        if failed {
            return Err(io::Error::last_os_error());
        }
    }
    std::env::set_current_dir("/")
}

/// Whether this is a network namespace.
pub fn is_network_namespace(file: &File) -> bool {
    // SAFETY: the ioctl takes nothing; on what is no namespace it fails.
    unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_NSTYPE) == libc::CLONE_NEWNET }
}

/// The uid that made the user namespace to which a namespace belongs.
pub fn namespace_owner(file: &File) -> io::Result<u32> {
    // SAFETY: the first ioctl returns a fresh descriptor, the second writes one uid.
    unsafe {
        let fd = libc::ioctl(file.as_raw_fd(), NS_GET_USERNS);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let user = OwnedFd::from_raw_fd(fd);
        let mut uid: libc::uid_t = u32::MAX;
        if libc::ioctl(user.as_raw_fd(), NS_GET_OWNER_UID, &mut uid) < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(uid)
    }
}

/// For a child between fork and exec.
pub fn enter_network_namespace(namespace: RawFd) -> io::Result<()> {
    // SAFETY: a plain system call.
    if unsafe { libc::setns(namespace, libc::CLONE_NEWNET) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// So that a child can name it by its number.
pub fn keep_open_for_children(file: &File) -> io::Result<()> {
    // SAFETY: a plain system call on an open descriptor.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFD, 0) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Waits for its turn; the lock ends with the file.
pub fn lock(file: &File) -> io::Result<()> {
    // SAFETY: a plain system call on an open descriptor.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
