//! Every process of the guest, and those that have used the most.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;

use serde::Serialize;

use super::ticks_to_ms;
use crate::guest_file;
use crate::sys;

/// those that are told of, by processor time and then by memory
const MOST_TOLD: usize = 256;
/// those that are looked at
const MOST_SEEN: usize = 65_536;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessList {
    /// all there are, as far as they are looked at
    process_count: usize,
    thread_count: u64,
    processes: Vec<Seen>,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Seen {
    pid: u32,
    parent_pid: u32,
    user: String,
    /// the kernel's short name of it: a command line cannot be read of a process that is stuck
    command: String,
    state: String,
    threads: u64,
    cpu_ms: u64,
    resident_bytes: u64,
    /// after the kernel's start; a pid may be another's later
    started_ms: u64,
}

pub fn list() -> ProcessList {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).take(MOST_SEEN);
    // one that has ended meanwhile has no file any more
    let mut processes: Vec<Seen> =
        pids.filter_map(|pid| read_stat(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?)).collect();
    let (process_count, thread_count) = (processes.len(), processes.iter().map(|process| process.threads).sum());
    processes.sort_unstable_by_key(|process| (Reverse(process.cpu_ms), Reverse(process.resident_bytes), process.pid));
    processes.truncate(MOST_TOLD);
    let names = user_names(&guest_file::read("/etc/passwd"));
    for process in &mut processes {
        let uid = fs::metadata(format!("/proc/{}", process.pid)).map_or(0, |found| found.uid());
        process.user = names.get(&uid).cloned().unwrap_or_else(|| uid.to_string());
    }
    ProcessList { process_count, thread_count, processes }
}

/// A name may hold anything, parentheses and spaces as well.
fn read_stat(pid: u32, stat: &[u8]) -> Option<Seen> {
    let text = String::from_utf8_lossy(stat);
    let (head, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |place: usize| fields.get(place).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    Some(Seen {
        pid,
        parent_pid: number(1) as u32,
        user: String::new(),
        command: head.split_once('(')?.1.to_string(),
        state: fields.first()?.to_string(),
        threads: number(17),
        cpu_ms: ticks_to_ms(number(11).saturating_add(number(12))),
        resident_bytes: number(21).saturating_mul(sys::page_bytes()),
        started_ms: ticks_to_ms(number(19)),
    })
}

/// of a number with several names the first
fn user_names(passwd: &str) -> HashMap<u32, String> {
    let mut names = HashMap::new();
    for line in passwd.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(uid)) = (fields.next(), fields.nth(1).and_then(|uid| uid.parse().ok())) {
            names.entry(uid).or_insert_with(|| name.chars().take(32).collect());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_processes_may_hold_anything() {
        let stat = b"7 (a) b (\xff) S 1 7 7 0 -1 4194560 0 0 0 0 150 50 0 0 20 0 3 0 1234 9999 10 18446744073709551615";
        let seen = read_stat(7, stat).unwrap();
        assert_eq!((seen.command.as_str(), seen.state.as_str(), seen.parent_pid), ("a) b (\u{fffd}", "S", 1));
        assert_eq!((seen.threads, seen.cpu_ms, seen.started_ms), (3, 2000, 12_340));
        assert_eq!(seen.resident_bytes, 10 * sys::page_bytes());
        for broken in [&b""[..], b"7", b"7 (a", b"7 (a)"] {
            assert_eq!(read_stat(7, broken), None);
        }
    }

    #[test]
    fn users_have_their_first_name() {
        let names = user_names("root:x:0:0::/:\ntoor:x:0:0::/:\nbroken\na:x:many:\n:::\ndev:x:1000:\n");
        assert_eq!((names.get(&0).unwrap().as_str(), names.get(&1000).unwrap().as_str()), ("root", "dev"));
        assert_eq!(names.len(), 2);
    }
}
