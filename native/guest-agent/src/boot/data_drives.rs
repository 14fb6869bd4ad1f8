//! The data drives: each mounted where the host has said, before the agent is ready. One that cannot be mounted is told
//! on the console and to the host; the rest of the system does not wait for it longer than for its device.

use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use serde::Serialize;

use super::arguments::Mount;
use super::{say, wait_for_device};
use crate::sys;

#[derive(Serialize)]
pub struct FailedMount {
    device: String,
    path: String,
    why: String,
}

pub fn mount_all(mounts: Vec<Mount>) -> Vec<FailedMount> {
    mounts.into_iter().filter_map(try_mount).collect()
}

fn try_mount(wanted: Mount) -> Option<FailedMount> {
    let why = mount(&wanted).err()?;
    let Mount { device, path, .. } = wanted;
    say(&format!("guest-agent: the drive {device} cannot be mounted on {path:?}: {why}"));
    Some(FailedMount { device, path, why })
}

fn mount(Mount { device, path, read_only }: &Mount) -> Result<(), String> {
    let device = format!("/dev/{device}");
    wait_for_device(&device)?;
    let directory =
        sys::make_directory(Path::new("/"), path).map_err(|why| format!("the directory cannot be used: {why}"))?;
    let target = format!("/proc/self/fd/{}", directory.as_raw_fd());
    let mut flags = libc::MS_NODEV | libc::MS_NOSUID | libc::MS_NOATIME;
    if *read_only {
        flags |= libc::MS_RDONLY;
    }
    // a journal cannot be replayed on a device that cannot be written; the host has done it
    let data = if *read_only { "noload" } else { "" };
    sys::mount(&device, &target, "ext4", flags, data).map_err(|why: io::Error| why.to_string())
}
