//! How full the guest's disks are.
//!
//! A file system that does not answer (a server that has gone) holds whoever asks it, for good. So it is asked on a
//! thread of its own, and not again while that waits.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::oneshot;

use super::beside;
use crate::{boot, guest_file, sys};

const MOST: usize = 32;
/// threads that may wait for good
const MOST_STUCK: usize = 8;
const PATIENCE: Duration = Duration::from_millis(500);
const TEXT_CHARACTERS: usize = 256;
/// those with storage behind them that is no device of this machine
const REMOTE: [&str; 7] = ["nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "ceph"];

/// paths that are being asked
static ASKED: Mutex<Option<HashSet<String>>> = Mutex::new(None);

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileSystem {
    device: String,
    path: String,
    kind: String,
    /// null where it has not answered
    usage: Option<Usage>,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    size_bytes: u64,
    free_bytes: u64,
    /// to users other than root
    available_bytes: u64,
}

/// In the order of their mounting, what has not answered in time without its usage.
pub async fn measure() -> Vec<FileSystem> {
    let found = real_ones(&guest_file::read("/proc/self/mounts"));
    let paths: Vec<String> = found.iter().map(|one| one.path.clone()).collect();
    let shared = Arc::new(Mutex::new(found));
    let (tell, told) = oneshot::channel();
    let results = shared.clone();
    let work = move || {
        for (place, path) in paths.iter().enumerate() {
            let usage = ask(path);
            lock(&results)[place].usage = usage;
        }
        tell.send(())
    };
    if beside(work).is_ok() {
        let _ = tokio::time::timeout(PATIENCE, told).await; // what is there by then counts
    }
    lock(&shared).clone()
}

/// None where it is being asked already, or fails.
fn ask(path: &str) -> Option<Usage> {
    {
        let mut asked = lock(&ASKED);
        let asked = asked.get_or_insert_default();
        if asked.len() >= MOST_STUCK || !asked.insert(path.to_string()) {
            return None;
        }
    }
    let usage = sys::file_system_usage(path).ok();
    lock(&ASKED).get_or_insert_default().remove(path);
    usage.map(|[size_bytes, free_bytes, available_bytes]| Usage { size_bytes, free_bytes, available_bytes })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The first mount of each device, and what servers give.
fn real_ones(mounts: &str) -> Vec<FileSystem> {
    let mut devices = HashSet::new();
    let rows = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        let (device, path, kind) = (fields.next()?, fields.next()?, fields.next()?);
        let is_remote = REMOTE.contains(&kind) || kind.starts_with("fuse.");
        let is_real = (device.starts_with('/') && devices.insert(device)) || is_remote;
        let text = |field: &str| boot::unmount::unescape(field).to_string_lossy().into_owned();
        let short = |field: &str| text(field).chars().take(TEXT_CHARACTERS).collect();
        is_real.then(|| FileSystem { device: short(device), path: text(path), kind: short(kind), usage: None })
    });
    rows.take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_storage_is_passed_over_and_a_device_counts_once() {
        let mounts = "proc /proc proc rw 0 0\n/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n\
            /dev/vdb /my\\040work ext4 rw 0 0\n/dev/vda /again ext4 rw 0 0\nhost:/x /n nfs4 rw 0 0\n\
            s /f fuse.sshfs rw 0 0\nbroken\n";
        let found = real_ones(mounts);
        let paths: Vec<&str> = found.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(paths, ["/", "/my work", "/n", "/f"]);
        let many: String = (0..100).map(|number| format!("/dev/{number} /{number} ext4 rw 0 0\n")).collect();
        assert_eq!(real_ones(&many).len(), MOST);
    }

    #[test]
    fn one_that_is_being_asked_is_not_asked_again() {
        assert!(ask("/").is_some());
        lock(&ASKED).get_or_insert_default().insert("/proc".into());
        assert!(ask("/proc").is_none());
        assert!(ask("/").is_some() && ask("/no/such/path").is_none());
        lock(&ASKED).get_or_insert_default().remove("/proc");
        assert!(ask("/proc").is_some());
    }
}
