//! What a keeper never does: grow, stop, or let one caller stand in another's way.

mod common;

use common::*;

/// Resident beside the rings, kB; what the protocol promises
const OWN: u64 = 2048;
const MIB: u64 = 1024 * 1024;

/// Returns when that much more output has come.
fn await_output(kept: &Kept, bytes: u64) {
    let from = number(&kept.answer("status"), "consoleEnd");
    while number(&kept.answer("status"), "consoleEnd") < from + bytes {}
}

#[test]
fn a_flood_that_nobody_reads_stays_in_its_ring() {
    let kept = keep(&["sh", "-c", "yes >&2 & exec yes"]);
    await_output(&kept, 64 * MIB);
    assert!(kept.resident() < OWN + 2 * 64, "{} kB", kept.resident());
    let ring = kept.ask("console 0").counted();
    assert_eq!(ring.len(), 65_536);
    assert!(ring.iter().all(|byte| b"y\n".contains(byte)));
}

#[test]
fn a_ring_becomes_resident_as_bytes_come() {
    let kept = keep_with(&["--console-bytes", "16777216"], &["sh", "-c", "echo one; read line"], |_| {});
    kept.await_console("one");
    assert!(kept.resident() < OWN, "{} kB", kept.resident());
}

#[test]
fn a_follower_who_never_reads_is_dropped_and_held_nobody_up() {
    let kept = keep(&["yes"]);
    let mut followers: Vec<Caller> = (0..10).map(|_| kept.ask("follow 0")).collect();
    await_output(&kept, 16 * MIB);
    assert!(kept.resident() < OWN + 64, "{} kB", kept.resident());
    for follower in &mut followers {
        follower.rest(); // it ends although the program does not
    }
}

#[test]
fn unread_answers_cost_next_to_nothing() {
    let size = 4 * MIB;
    let script = format!("head -c {size} /dev/zero; echo done >&2; read line");
    let kept = keep_with(&["--console-bytes", &size.to_string()], &["sh", "-c", &script], |_| {});
    while number(&kept.answer("status"), "consoleEnd") < size {}
    let mut callers: Vec<Caller> = (0..15).map(|_| kept.ask("console 0\nconsole 0\nconsole 0")).collect();
    for caller in &mut callers {
        assert_eq!(number(&caller.line(), "length"), size);
    }
    assert!(kept.resident() < OWN + size / 1024, "{} kB", kept.resident());
    assert!(kept.answer("status").contains("running"));
    assert_eq!(callers[7].bytes(size as usize).len() as u64, size, "and are still to be had");
}

#[test]
fn callers_who_never_stop_asking_stay_bounded() {
    let kept = keep(&["sleep", "60"]);
    let mut caller = kept.connect();
    caller.send(&b"status\n".repeat(600));
    let mut other = kept.ask("status");
    assert!(other.line().contains("running"));
    for _ in 0..600 {
        assert!(caller.line().contains("running"));
    }
    assert!(kept.resident() < OWN, "{} kB", kept.resident());
}

#[test]
fn the_seventeenth_is_closed_at_once() {
    let kept = keep(&["sleep", "60"]);
    let mut callers: Vec<Caller> = (0..16).map(|_| kept.ask("status")).collect();
    for caller in &mut callers {
        assert!(caller.line().contains("running"));
    }
    assert_eq!(kept.connect().rest(), b"");
    drop(callers.pop());
    assert!(kept.answer("status").contains("running"), "one who has gone makes room");
    callers[0].send(b"status\n");
    assert!(callers[0].line().contains("running"));
}

#[test]
fn thousands_of_callers_one_after_another() {
    let kept = keep(&["sleep", "60"]);
    for _ in 0..3000 {
        assert!(kept.answer("status").contains("running"));
    }
    assert!(kept.resident() < OWN, "{} kB", kept.resident());
}

#[test]
fn sleeps_when_there_is_nothing_to_do() {
    let kept = shell("exec <&-; echo ready; exec sleep 60");
    kept.await_console("ready");
    // callers who wait, who have stopped sending, and who have half sent: none may keep it awake
    let mut idle: Vec<Caller> = ["wait", "follow 0", "input 9", "status"].map(|request| kept.ask(request)).into();
    idle[0].stop_sending();
    idle[1].stop_sending();
    for (caller, lines) in [(0, 1), (1, 2), (3, 1)] {
        (0..lines).for_each(|_| drop(idle[caller].line()));
    }
    kept.answer("status");
    let awakenings = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", kept.keeper.id())).unwrap();
        field(&status, "voluntary_ctxt_switches:").parse::<u64>().unwrap()
    };
    // the time that is measured, not one that is waited for: what it was asked before is done when it sleeps again
    while stat(kept.keeper.id()).unwrap()[0] != "S" {
        std::thread::yield_now();
    }
    let before = awakenings();
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(awakenings() - before <= 3, "{} in half a second", awakenings() - before);
    idle[2].send(b"123456789");
    assert_eq!(idle[2].line(), "{\"error\":\"full\"}\n");
}
