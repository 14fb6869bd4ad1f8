//! The machine as a whole: clocks, name, mounts, modules, power.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
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

/// Opens a directory below `root`, making what is missing of it; no link leads out of `root`.
pub fn make_directory(root: &Path, path: &str) -> io::Result<OwnedFd> {
    let root: OwnedFd = File::open(root)?.into();
    let mut parent = root.try_clone()?;
    let mut so_far = String::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        so_far = format!("{so_far}/{part}");
        let opened = match open_in(&root, &so_far) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => {
                let name = text(part)?;
                // SAFETY: an open descriptor and a NUL-terminated name.
                check(unsafe { libc::mkdirat(parent.as_raw_fd(), name.as_ptr(), 0o755) })?;
                open_in(&root, &so_far)
            }
            other => other,
        };
        parent = opened?;
    }
    Ok(parent)
}

/// Opens a directory as if `root` were the root, not by way of /proc's links either.
fn open_in(root: &OwnedFd, path: &str) -> io::Result<OwnedFd> {
    let path = text(path)?;
    // SAFETY: all zeros is a valid request.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC) as u64;
    how.resolve = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;
    // SAFETY: an open descriptor, a NUL-terminated path, and a request with its size.
    let result = unsafe {
        libc::syscall(libc::SYS_openat2, root.as_raw_fd(), path.as_ptr(), &raw const how, size_of::<libc::open_how>())
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that is nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(result as RawFd) })
}

/// Writes a byte to an address of the machine, where a device listens.
pub fn write_physical(address: u64, byte: u8) -> io::Result<()> {
    let memory = File::options().read(true).write(true).open("/dev/mem")?;
    // SAFETY: sysconf touches no memory.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64;
    let offset = libc::off_t::try_from(address - address % page).map_err(io::Error::other)?;
    let (length, access) = (page as usize, libc::PROT_READ | libc::PROT_WRITE);
    // SAFETY: a fresh mapping of one page at an address of the kernel's choice.
    let mapped = unsafe { libc::mmap(ptr::null_mut(), length, access, libc::MAP_SHARED, memory.as_raw_fd(), offset) };
    if mapped == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the byte lies within the page that was mapped for writing and is unmapped only afterwards.
    unsafe {
        mapped.cast::<u8>().add((address % page) as usize).write_volatile(byte);
        libc::munmap(mapped, length);
    }
    Ok(())
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

/// Bytes in all, free, and free to users other than root. Waits for good where a server does not answer.
pub fn file_system_usage(path: &str) -> io::Result<[u64; 3]> {
    let path = text(path)?;
    // SAFETY: all zeros is a valid record, it is valid for writing, and the path is NUL-terminated.
    unsafe {
        let mut about: libc::statvfs = std::mem::zeroed();
        check(libc::statvfs(path.as_ptr(), &mut about))?;
        Ok([about.f_blocks, about.f_bfree, about.f_bavail].map(|blocks| blocks.saturating_mul(about.f_frsize)))
    }
}

pub fn page_bytes() -> u64 {
    // SAFETY: plain system call.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as u64 }
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn directories_are_made_below_the_root_whatever_links_say() {
        let root = std::env::temp_dir().join(format!("guest-agent-root-{}", std::process::id()));
        fs::create_dir_all(root.join("a")).unwrap();
        symlink("/made", root.join("absolute")).unwrap();
        symlink("../../../../..", root.join("a/up")).unwrap();
        symlink("/proc/self/root", root.join("magic")).unwrap();
        symlink("nowhere", root.join("dangling")).unwrap();
        fs::create_dir(root.join("made")).unwrap();
        fs::write(root.join("file"), "").unwrap();
        make_directory(&root, "/b/c//d/").unwrap();
        make_directory(&root, "/absolute/x").unwrap();
        make_directory(&root, "/a/up/y").unwrap();
        for made in ["b/c/d", "made/x", "y"] {
            assert!(root.join(made).is_dir(), "{made}");
        }
        for refused in ["/magic/x", "/dangling/x", "/file/x"] {
            assert!(make_directory(&root, refused).is_err(), "{refused}");
        }
        fs::remove_dir_all(root).unwrap();
    }
}
