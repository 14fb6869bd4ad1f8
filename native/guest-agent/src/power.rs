//! The end of the VM: everything is asked to go, then made to, then the disk is left clean.

use std::time::{Duration, Instant};

use crate::{boot, sys};

/// for the answer to the host to be on its way
const FAREWELL: Duration = Duration::from_millis(10);
const STEP: Duration = Duration::from_millis(5);
/// for killed processes to be gone
const KILL_GRACE: Duration = Duration::from_secs(2);

pub async fn end(grace: Duration) {
    tokio::time::sleep(FAREWELL).await;
    if std::process::id() != 1 {
        std::process::exit(0);
    }
    end_processes(libc::SIGTERM, grace).await;
    end_processes(libc::SIGKILL, KILL_GRACE).await;
    sys::sync();
    if let Err(why) = sys::mount("", "/", "", libc::MS_REMOUNT | libc::MS_RDONLY, "") {
        boot::say(&format!("guest-agent: the root stays writable: {why}"));
    }
    sys::sync();
    let refused = sys::reboot();
    boot::fatal(&format!("the VM cannot be ended: {refused}"));
}

/// Signals all other processes and waits until none is left, at most `patience`.
async fn end_processes(signal: i32, patience: Duration) {
    let begun = Instant::now();
    if sys::kill(-1, signal).is_err() {
        return; // there are none
    }
    while sys::kill(-1, 0).is_ok() && begun.elapsed() < patience {
        tokio::time::sleep(STEP).await; // the reaper collects them meanwhile
    }
}
