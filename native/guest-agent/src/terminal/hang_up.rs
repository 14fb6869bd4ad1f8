//! The end of a terminal that is not waited for: hung up, then killed with all of its session.

use std::fs;
use std::rc::Rc;
use std::time::Duration;

use super::Terminal;
use crate::sys;

/// between hanging up and killing
const GRACE: Duration = Duration::from_secs(2);
/// for killed processes to be gone; one that hangs in the kernel may never be
const KILL_GRACE: Duration = Duration::from_secs(2);

impl Terminal {
    /// Returns when it has ended, or after a few seconds if it cannot.
    pub async fn hang_up(self: Rc<Self>) {
        if self.has_ended() {
            return;
        }
        self.signal_session(libc::SIGHUP);
        self.signal_session(libc::SIGCONT); // or a stopped one could not go
        if tokio::time::timeout(GRACE, self.ended()).await.is_err() {
            self.signal_session(libc::SIGKILL);
            let _ = tokio::time::timeout(KILL_GRACE, self.ended()).await;
        }
    }

    /// Signals every process of its session, in whichever group the shell has put it.
    fn signal_session(&self, number: i32) {
        let Ok(entries) = fs::read_dir("/proc") else { return };
        for pid in entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()) {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if session_of(&stat) == Some(self.pid) {
                let _ = sys::kill(pid, number); // one that has just ended needs none
            }
        }
    }
}

/// `pid (name) state ppid pgrp session …`, where the name may hold anything
fn session_of(stat: &str) -> Option<i32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_session() {
        assert_eq!(session_of("72 (a) Z (b) R 1 70 71 0 -1 4194304 0 0"), Some(71));
        assert_eq!(session_of("garbage"), None);
    }
}
