//! The system calls that the standard library does not offer; all unsafe code is here.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Leaves the caller's session and closes what it left open; hang-ups and broken pipes are no reason to die.
pub fn detach() {
    // SAFETY: plain system calls; descriptors above 2 belong to nobody in this process yet.
    unsafe {
        libc::setsid(); // fails only where this process leads a group already, as a job of an interactive shell
        libc::signal(libc::SIGHUP, libc::SIG_IGN);
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        libc::signal(libc::SIGCHLD, libc::SIG_DFL); // ignored by a careless parent, it would reap behind our back
        libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32);
    }
}

/// Points 0, 1 and 2 at `/dev/null`, so that whoever started the keeper sees the end of its pipes.
pub fn leave_standard_streams(null: &File) {
    for fd in 0..=2 {
        // SAFETY: both descriptors are open.
        unsafe { libc::dup2(null.as_raw_fd(), fd) };
    }
}

pub fn set_umask(mask: u32) -> u32 {
    // SAFETY: cannot fail.
    unsafe { libc::umask(mask) }
}

/// of the kernel's signal sets, not libc's
const SIGNAL_SET_BYTES: usize = 8;

/// The child dies with this process, has a group of its own, default signals and none of them blocked; it gains no
/// privilege by what it executes, and leaves no core, which would hold a guest's memory.
pub fn bind_to_parent(command: &mut Command) {
    let parent = std::process::id() as libc::pid_t;
    let default = [0_u64; 8]; // no smaller than the kernel's `struct sigaction`; SIG_DFL, no flags, an empty mask
    // SAFETY: only async-signal-safe calls between fork and exec.
    unsafe {
        command.pre_exec(move || {
            libc::setpgid(0, 0);
            for signal in 1..=64 {
                // the call itself, since libc keeps 32 and 33 to itself, and posix_spawn hands them on ignored
                libc::syscall(libc::SYS_rt_sigaction, signal, &default, 0_usize, SIGNAL_SET_BYTES);
            }
            let mut none = std::mem::zeroed();
            libc::sigemptyset(&mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
            let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            if libc::setrlimit(libc::RLIMIT_CORE, &none) != 0 || libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            {
                return Err(io::Error::last_os_error());
            }
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                return Err(io::Error::last_os_error());
            }
            if libc::getppid() != parent {
                libc::_exit(1); // the keeper died before the line above
            }
            Ok(())
        });
    }
}

/// Which kind of namespace a descriptor is of, a CLONE_NEW… number.
pub fn namespace_kind(file: &File) -> io::Result<libc::c_int> {
    // SAFETY: the request takes nothing but an open descriptor.
    let kind = unsafe { libc::ioctl(file.as_raw_fd(), libc::NS_GET_NSTYPE) };
    if kind < 0 { Err(io::Error::last_os_error()) } else { Ok(kind) }
}

pub fn enter_namespace(namespace: &File) -> io::Result<()> {
    // SAFETY: plain system call; 0 takes any kind.
    if unsafe { libc::setns(namespace.as_raw_fd(), 0) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Gives this process a mount namespace of its own. What the host unmounts goes there as well, or it would live on.
pub fn own_mounts() -> io::Result<()> {
    // SAFETY: plain system calls with constant strings.
    unsafe {
        if libc::unshare(libc::CLONE_NEWNS) != 0 {
            return Err(io::Error::last_os_error());
        }
        mount(None, c"/", libc::MS_SLAVE | libc::MS_REC)
    }
}

/// Mounts a file of data at a second place, where a file has to be.
pub fn bind_mount(source: &CStr, target: &CStr, read_only: bool) -> io::Result<()> {
    mount(Some(source), target, libc::MS_BIND)?;
    if !read_only {
        return Ok(());
    }
    let flags = libc::MS_RDONLY | libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    mount(None, target, libc::MS_BIND | libc::MS_REMOUNT | flags) // a bind alone takes no flags
}

fn mount(source: Option<&CStr>, target: &CStr, flags: libc::c_ulong) -> io::Result<()> {
    let none = std::ptr::null();
    let source = source.map_or(none, CStr::as_ptr);
    // SAFETY: the paths are C strings, and these calls take neither a type nor data.
    let result = unsafe { libc::mount(source, target.as_ptr(), none, flags, none.cast()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

const TUNSETIFF: libc::Ioctl = 0x4004_54ca;
const TUNSETOWNER: libc::Ioctl = 0x4004_54cc;
/// how WorkFort's taps are made; one of other flags is not taken
const TAP_FLAGS: u16 = (libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as u16;

/// Makes a user the owner of a tap that nobody has open, and that is there.
pub struct TapRequest {
    /// `struct ifreq` of netdevice(7): the name, then the flags
    interface: [u8; 40],
    owner: u32,
}

impl TapRequest {
    pub fn new(name: &[u8], owner: u32) -> io::Result<Self> {
        let mut interface = [0; 40];
        if name.is_empty() || name.len() >= libc::IFNAMSIZ {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        interface[..name.len()].copy_from_slice(name);
        interface[libc::IFNAMSIZ..libc::IFNAMSIZ + 2].copy_from_slice(&TAP_FLAGS.to_ne_bytes());
        Ok(TapRequest { interface, owner })
    }

    pub fn make(&self) -> io::Result<()> {
        // SAFETY: the request is as long as the kernel's struct; the descriptor is fresh and ours.
        unsafe {
            let tun = libc::open(c"/dev/net/tun".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
            if tun < 0 {
                return Err(io::Error::last_os_error());
            }
            let tun = OwnedFd::from_raw_fd(tun);
            let mut interface = self.interface;
            if libc::ioctl(tun.as_raw_fd(), TUNSETIFF, interface.as_mut_ptr()) < 0
                || libc::ioctl(tun.as_raw_fd(), TUNSETOWNER, libc::c_ulong::from(self.owner)) < 0
            {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }
}

/// Leaves this process no capability, nor a way to one by what it executes. Without CAP_SETPCAP the bounding set stays,
/// out of which one that has no_new_privs gains nothing (capabilities(7), prctl(2)).
pub fn drop_capabilities() -> io::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0]; // of this thread
    let none = [0_u32; 6]; // effective, permitted, inheritable, twice 32 of each
    // SAFETY: plain system calls; header and sets have the size of this version.
    unsafe {
        let mut capability: libc::c_ulong = 0;
        // what this program does not know by name as well, up to the kernel's last
        while libc::prctl(libc::PR_CAPBSET_READ, capability, 0, 0, 0) >= 0 {
            if libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 {
                let why = io::Error::last_os_error();
                if why.raw_os_error() == Some(libc::EPERM) {
                    break;
                }
                return Err(why);
            }
            capability += 1;
        }
        if libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0
            || libc::syscall(libc::SYS_capset, &header, &none) != 0
        {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The newest version of Landlock that the kernel knows, 0 where it has none.
pub fn landlock_version() -> i64 {
    const ASK_FOR_VERSION: u32 = 1;
    // SAFETY: asked for its version, the call takes nothing else.
    unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0_usize, ASK_FOR_VERSION) }.max(0)
}

/// A descriptor that becomes readable on CHLD, TERM and INT, which are blocked otherwise.
pub fn signal_descriptor() -> io::Result<File> {
    // SAFETY: `set` is initialised by sigemptyset; the returned descriptor is fresh and ours.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in [libc::SIGCHLD, libc::SIGTERM, libc::SIGINT] {
            libc::sigaddset(&mut set, signal);
        }
        if libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
        let fd = libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(File::from(OwnedFd::from_raw_fd(fd)))
    }
}

/// size of `struct signalfd_siginfo`; its first field is the signal's number
pub const SIGNAL_RECORD_BYTES: usize = 128;

pub fn send_signal(pid: u32, signal: i32) -> io::Result<()> {
    // SAFETY: plain system call; the pid is that of an unreaped child, so it cannot be anybody else's.
    if unsafe { libc::kill(pid as libc::pid_t, signal) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A FIFO that only its owner may open.
pub fn make_fifo(path: &Path) -> io::Result<()> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the name is a C string.
    if unsafe { libc::mkfifo(name.as_ptr(), 0o600) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

pub fn set_nonblocking(fd: RawFd) -> io::Result<()> {
    // SAFETY: plain system calls on an open descriptor.
    unsafe {
        let flags = libc::fcntl(fd, libc::F_GETFL);
        if flags < 0 || libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Waits for events, at most `timeout_ms` (-1: as long as it takes).
pub fn poll(entries: &mut [libc::pollfd], timeout_ms: i32) -> io::Result<()> {
    // SAFETY: the slice is valid for its length.
    let count = unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, timeout_ms) };
    if count >= 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) }
}
