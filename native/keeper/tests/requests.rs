//! Every request, every refusal, and callers with bad manners.

mod common;

use std::time::{Duration, Instant};

use common::*;

#[test]
fn status_tells_the_facts() {
    let kept = shell("echo hello; read line");
    kept.await_console("hello");
    let line = kept.answer("status");
    assert_eq!(number(&line, "vmmPid"), u64::from(kept.vmm));
    assert_eq!(number(&line, "vmmStartTime"), kept.start_time);
    assert_eq!(number(&line, "consoleEnd"), 6);
    assert!(line.starts_with("{\"state\":\"running\",") && line.ends_with("}\n"), "{line}");
}

#[test]
fn console_gives_what_the_ring_holds_from_an_offset() {
    let kept = keep_with(&["--console-bytes", "4096"], &["seq", "-f", "%04g", "1", "2000"], |_| {});
    kept.end();
    for (offset, expected) in [(0, (5904, 5904, 4096)), (5904, (5904, 5904, 4096)), (9990, (5904, 9990, 10))] {
        let mut caller = kept.ask(&format!("console {offset}"));
        let line = caller.line();
        let got = (number(&line, "start"), number(&line, "offset"), number(&line, "length"));
        assert_eq!(got, expected);
        assert!(caller.bytes(expected.2 as usize).ends_with(b"1999\n2000\n"));
    }
    let beyond = kept.answer("console 18446744073709551615");
    assert_eq!(beyond, "{\"start\":5904,\"offset\":10000,\"length\":0}\n");
}

#[test]
fn follow_goes_on_until_the_end() {
    let kept = shell("echo one; read line; echo two");
    let mut follower = kept.ask("follow 0");
    follower.line();
    assert_eq!(follower.line(), "one\n");
    assert_eq!(kept.ask("input 1\n").line(), "{}\n");
    assert_eq!(follower.rest(), b"two\n");
    let mut late = kept.ask("follow 2");
    assert_eq!(late.line(), "{\"start\":0,\"offset\":2,\"length\":6}\n");
    assert_eq!(late.rest(), b"e\ntwo\n");
}

#[test]
fn a_burst_beyond_the_ring_reaches_a_follower_who_had_taken_all() {
    let kept = keep_with(
        &["--console-bytes", "4096"],
        &["sh", "-c", "echo ready; read line; head -c 60000 /dev/zero"],
        |_| {},
    );
    let mut follower = kept.ask("follow 0");
    follower.await_text("ready");
    assert_eq!(kept.ask("input 1\n").line(), "{}\n");
    assert_eq!(follower.rest().len(), 60_000);
}

#[test]
fn error_output_gives_the_tail_of_stderr() {
    let options = ["--console-bytes", "4096", "--error-bytes", "4096"];
    let kept = keep_with(&options, &["sh", "-c", "echo out; seq -f %04g 1 2000 >&2"], |_| {});
    kept.end();
    let tail = kept.ask("error-output").counted();
    assert_eq!(tail.len(), 4096);
    assert!(tail.ends_with(b"2000\n"));
    assert_eq!(kept.console(), "out\n");
}

#[test]
fn input_reaches_the_program() {
    let kept = keep(&["cat"]);
    let mut caller = kept.ask("input 6");
    caller.send(b"one\n");
    assert!(kept.answer("status").contains("\"consoleEnd\":0"), "not before all of it has come");
    caller.send(b"t\n");
    assert_eq!(caller.line(), "{}\n");
    kept.await_console("t\n");
    // the line, the bytes and the next request in one go
    caller.send(b"input 6\nstatus");
    caller.send(b"status\n");
    assert_eq!(caller.line(), "{}\n");
    assert!(caller.line().contains("running"));
}

#[test]
fn input_that_nobody_reads_is_refused_as_a_whole() {
    let block = [b'\n'; 4096];
    let stuck = keep(&["sleep", "60"]);
    let mut caller = stuck.connect();
    let mut answers = 0;
    let since = loop {
        let since = Instant::now();
        caller.send(b"input 4096\n");
        caller.send(&block);
        if caller.line() == "{\"error\":\"full\"}\n" {
            break since;
        }
        answers += 1;
    };
    assert_eq!(answers, 16, "a pipe holds 64 KiB");
    assert!(since.elapsed() >= Duration::from_secs(2), "it was given its time");
    assert!(stuck.answer("status").contains("running"), "and held nobody up");
}

#[test]
fn input_for_a_closed_stdin_or_an_ended_program_is_refused_at_once() {
    let kept = shell("exec <&-; echo closed; exec sleep 60");
    kept.await_console("closed");
    let since = Instant::now();
    assert_eq!(kept.ask("input 1\n").line(), "{\"error\":\"full\"}\n");
    assert!(since.elapsed() < Duration::from_secs(2));
    kept.answer("signal 9");
    kept.end();
    let mut caller = kept.ask("input 3\nabc");
    assert_eq!(caller.line(), "{\"error\":\"ended\"}\n");
    // the line's end that `ask` adds is an empty request: the three bytes were not taken for one
    assert_eq!(caller.line(), "{\"error\":\"no such request\"}\n");
}

#[test]
fn a_bad_request_is_refused_and_closed() {
    let kept = keep(&["sleep", "60"]);
    let long = "x".repeat(256);
    for (request, why) in [
        ("", "no such request"),
        ("nonsense", "no such request"),
        ("status ", "no such request"),
        ("status\r", "no such request"),
        ("console 1 2", "too many words"),
        ("signal 65", "a signal is a number from 1 to 64"),
        ("signal TERM", "a signal is a number from 1 to 64"),
        ("console -1", "an offset is a number of bytes"),
        ("follow x", "an offset is a number of bytes"),
        ("input 0", "an input has 1 to 4096 bytes"),
        ("input 4097", "an input has 1 to 4096 bytes"),
        (&long, "the line is too long"),
    ] {
        let mut caller = kept.ask(request);
        assert_eq!(caller.line(), format!("{{\"error\":\"{why}\"}}\n"));
        assert_eq!(caller.rest(), b"");
    }
    let mut caller = kept.connect();
    caller.send(b"\xff\xfe\n");
    assert_eq!(caller.line(), "{\"error\":\"not UTF-8\"}\n");
}

#[test]
fn several_requests_in_a_row_are_answered_in_order() {
    let kept = shell("echo hi; exit 2");
    kept.end();
    let mut caller = kept.ask("console 0\nstatus\nwait\nsignal 9\nerror-output");
    assert_eq!(caller.counted(), b"hi\n");
    assert!(caller.line().contains("\"exitCode\":2"));
    assert!(caller.line().contains("\"exitCode\":2"));
    assert!(caller.line().contains("\"exitCode\":2"));
    assert_eq!(caller.line(), "{\"error\":\"ended\"}\n");
    assert_eq!(caller.counted(), b"");
}

#[test]
fn a_half_written_request_holds_nobody_up() {
    let kept = keep(&["sleep", "60"]);
    let mut slow = kept.connect();
    slow.send(b"sta");
    assert!(kept.answer("status").contains("running"));
    slow.send(b"tus");
    assert!(kept.answer("status").contains("running"));
    slow.send(b"\n");
    assert!(slow.line().contains("running"));
}

#[test]
fn who_stops_sending_still_gets_what_is_owed() {
    let kept = shell("echo hi; read line; exit 4");
    kept.await_console("hi");
    let mut waiting = kept.ask("wait");
    waiting.stop_sending();
    let mut asking = kept.connect();
    asking.send(b"console 0\nstatus\nsta");
    asking.stop_sending();
    assert_eq!(asking.counted(), b"hi\n");
    assert!(asking.line().contains("running"));
    assert_eq!(asking.rest(), b"", "half a request is none");
    assert_eq!(kept.ask("input 1\n").line(), "{}\n");
    assert!(waiting.line().contains("running"));
    assert!(waiting.line().contains("\"exitCode\":4"));
    assert_eq!(waiting.rest(), b"");
}

#[test]
fn who_goes_at_once_has_still_asked() {
    let kept = keep(&["sleep", "60"]);
    drop(kept.ask("signal 9"));
    assert!(kept.end().contains("\"signal\":9"));
}
