//! The mounts of a booted system.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::arguments::Arguments;
use super::say;
use crate::sys;

const NEW_ROOT: &str = "/newroot";
const HARMLESS: libc::c_ulong = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;

/// What loading modules and finding the root needs.
pub fn mount_first() -> Result<(), String> {
    for (kind, target, flags) in
        [("proc", "/proc", HARMLESS), ("sysfs", "/sys", HARMLESS), ("devtmpfs", "/dev", libc::MS_NOSUID)]
    {
        let _ = fs::create_dir(target);
        sys::mount(kind, target, kind, flags, "").map_err(|why| format!("{target}: {why}"))?;
    }
    Ok(())
}

/// Mounts the root drive and makes it the root.
pub fn mount_root(arguments: &Arguments) -> Result<(), String> {
    let _ = fs::create_dir(NEW_ROOT);
    let flags = if arguments.read_only { libc::MS_RDONLY } else { 0 };
    let about = |why| format!("the root drive {} cannot be mounted as {}: {why}", arguments.root, arguments.root_type);
    sys::mount(&arguments.root, NEW_ROOT, &arguments.root_type, flags | libc::MS_NOATIME, "").map_err(about)?;
    for directory in ["/proc", "/sys", "/dev"] {
        let target = format!("{NEW_ROOT}{directory}");
        let _ = fs::create_dir(&target);
        sys::mount(directory, &target, "", libc::MS_MOVE, "")
            .map_err(|why| format!("{directory} cannot be moved: {why}"))?;
    }
    let _ = fs::remove_file("/init"); // the program itself stays in memory
    std::env::set_current_dir(NEW_ROOT).map_err(|why| format!("{NEW_ROOT}: {why}"))?;
    sys::mount(".", "/", "", libc::MS_MOVE, "").map_err(|why| format!("the root cannot be moved: {why}"))?;
    std::os::unix::fs::chroot(".").map_err(|why| format!("the root cannot be changed: {why}"))?;
    std::env::set_current_dir("/").map_err(|why| format!("/: {why}"))
}

/// What programs expect to find.
pub fn mount_rest() {
    let tmpfs = libc::MS_NOSUID | libc::MS_NODEV;
    for (kind, target, flags, data) in [
        ("devpts", "/dev/pts", libc::MS_NOSUID | libc::MS_NOEXEC, "mode=0620,gid=5,ptmxmode=0666"),
        ("tmpfs", "/dev/shm", tmpfs, "mode=1777"),
        ("tmpfs", "/run", tmpfs, "mode=0755"),
        ("tmpfs", "/tmp", tmpfs, "mode=1777"),
        ("cgroup2", "/sys/fs/cgroup", HARMLESS, ""),
    ] {
        let _ = fs::create_dir(target);
        if let Err(why) = sys::mount(kind, target, kind, flags, data) {
            say(&format!("guest-agent: {target}: {why}"));
        }
    }
    let _ = fs::create_dir("/run/lock");
    let _ = fs::set_permissions("/run/lock", PermissionsExt::from_mode(0o1777));
    for (target, link) in
        [("/proc/self/fd", "/dev/fd"), ("fd/0", "/dev/stdin"), ("fd/1", "/dev/stdout"), ("fd/2", "/dev/stderr")]
    {
        let _ = symlink(target, link); // devtmpfs starts without them
    }
}
