//! The end of the VM: every process is asked to go, then made to, then the disk is left clean.
//!
//! Outside a VM the same happens to this program's own processes, and then the program ends.

use std::fs;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use crate::boot::{self, unmount};
use crate::process::Processes;
use crate::sys;

/// for the answer to the host to be on its way
const FAREWELL: Duration = Duration::from_millis(10);
const STEP: Duration = Duration::from_millis(5);
/// for killed processes to be gone; one that hangs in the kernel may never be
const KILL_GRACE: Duration = Duration::from_secs(2);
/// for processes to go after Ctrl-Alt-Del; the host names none
const KEYS_GRACE: Duration = Duration::from_secs(3);
/// 0 where the keys are told to PID 1, 1 where the kernel resets the machine at once
const KEYS_SETTING: &str = "/proc/sys/kernel/ctrl-alt-del";
/// in /proc/<pid>/stat
const KERNEL_THREAD: u64 = 0x0020_0000;

/// Ctrl-Alt-Del ends the VM in order; the kernel's own way leaves the disks as they are.
pub async fn heed_ctrl_alt_del(processes: Rc<Processes>) {
    let Ok(mut pressed) = signal(SignalKind::interrupt()) else { return };
    if let Err(why) = fs::write(KEYS_SETTING, "0") {
        boot::say(&format!("guest-agent: Ctrl-Alt-Del resets at once: {why}"));
    }
    if pressed.recv().await.is_some() && processes.close() {
        end(processes, KEYS_GRACE).await;
    }
}

pub async fn end(processes: Rc<Processes>, grace: Duration) {
    tokio::time::sleep(FAREWELL).await;
    let in_vm = std::process::id() == 1;
    let signal_all = |signal| match in_vm {
        true => drop(sys::kill(-1, signal)),
        false => processes.signal_all(signal),
    };
    let any_left = || if in_vm { any_user_process() } else { processes.any_running() };

    signal_all(libc::SIGTERM);
    signal_all(libc::SIGCONT); // or a stopped one could not go
    let mut begun = Instant::now();
    while any_left() && begun.elapsed() < grace {
        tokio::time::sleep(STEP).await; // the reaper collects them meanwhile
    }
    begun = Instant::now();
    while any_left() && begun.elapsed() < KILL_GRACE {
        signal_all(libc::SIGKILL);
        tokio::time::sleep(STEP).await;
    }
    if !in_vm {
        std::process::exit(0);
    }
    unmount::all();
    let refused = sys::reboot();
    boot::fatal(&format!("the VM cannot be ended: {refused}"));
}

/// Whether anything runs in the VM but the kernel's own threads and this program.
fn any_user_process() -> bool {
    let Ok(entries) = fs::read_dir("/proc") else { return false };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| *pid != 1)
        .any(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| is_user_process(&stat)))
}

/// `pid (name) state ppid pgrp session tty tpgid flags …`, where the name may hold anything
fn is_user_process(stat: &str) -> bool {
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let (Some(state), Some(flags)) = (fields.first(), fields.get(6)) else { return false };
    !matches!(*state, "Z" | "X") && flags.parse().is_ok_and(|flags: u64| flags & KERNEL_THREAD == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_user_processes_from_the_rest() {
        assert!(is_user_process("71 (sh) S 1 71 71 0 -1 4194560 144 0"));
        assert!(is_user_process("72 (a) Z (b) R 1 72 72 0 -1 4194304 0 0"));
        assert!(!is_user_process("73 (sh) Z 1 73 73 0 -1 4194560 0 0"));
        assert!(!is_user_process("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0"));
        assert!(!is_user_process("garbage"));
    }
}
