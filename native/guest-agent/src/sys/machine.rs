//! The machine as a whole: clocks, name, mounts, modules, power.

use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::ptr;

use super::{check, text};

/// Milliseconds since the kernel started.
pub fn since_boot_ms() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writing.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut time) };
    time.tv_sec as f64 * 1000.0 + time.tv_nsec as f64 / 1e6
}

pub fn set_realtime_clock(unix_ns: i64) -> io::Result<()> {
    let time = libc::timespec { tv_sec: unix_ns.div_euclid(1_000_000_000), tv_nsec: unix_ns.rem_euclid(1_000_000_000) };
    // SAFETY: `time` is valid for reading.
    check(unsafe { libc::clock_settime(libc::CLOCK_REALTIME, &time) }).map(drop)
}

pub fn set_host_name(name: &str) -> io::Result<()> {
    // SAFETY: pointer and length belong together.
    check(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) }).map(drop)
}

pub fn mount(source: &str, target: &str, kind: &str, flags: libc::c_ulong, data: &str) -> io::Result<()> {
    let (source, target, kind, data) = (text(source)?, text(target)?, text(kind)?, text(data)?);
    // SAFETY: all four are NUL-terminated and outlive the call.
    check(unsafe { libc::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, data.as_ptr().cast()) })
        .map(drop)
}

pub fn remount_read_only(target: &Path) -> io::Result<()> {
    let target = text(target)?;
    // SAFETY: the target is NUL-terminated; a remount ignores the rest.
    check(unsafe {
        libc::mount(ptr::null(), target.as_ptr(), ptr::null(), libc::MS_REMOUNT | libc::MS_RDONLY, ptr::null())
    })
    .map(drop)
}

pub fn unmount(target: &Path) -> io::Result<()> {
    let target = text(target)?;
    // SAFETY: the target is NUL-terminated.
    check(unsafe { libc::umount(target.as_ptr()) }).map(drop)
}

pub fn swap_off(file: &Path) -> io::Result<()> {
    let file = text(file)?;
    // SAFETY: the name is NUL-terminated.
    check(unsafe { libc::swapoff(file.as_ptr()) }).map(drop)
}

pub fn is_root_read_only() -> bool {
    // SAFETY: all zeros is a valid record, and it is valid for writing.
    unsafe {
        let mut about: libc::statvfs = std::mem::zeroed();
        libc::statvfs(c"/".as_ptr(), &mut about) == 0 && about.f_flag & libc::ST_RDONLY != 0
    }
}

/// Loads a kernel module from an open file.
pub fn load_module(file: &impl AsRawFd) -> io::Result<()> {
    // SAFETY: an open descriptor and an empty parameter string.
    let result = unsafe { libc::syscall(libc::SYS_finit_module, file.as_raw_fd(), c"".as_ptr(), 0) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

pub fn sync() {
    // SAFETY: cannot fail.
    unsafe { libc::sync() };
}

/// Ends the VM; returns only if that was refused.
pub fn reboot() -> io::Error {
    // SAFETY: plain system call.
    unsafe { libc::reboot(libc::RB_AUTOBOOT) };
    io::Error::last_os_error()
}
