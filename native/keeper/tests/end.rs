//! How a program ends, how a keeper does, and what each tells.

mod common;

use std::fs;
use std::time::{Duration, Instant};

use common::*;

#[test]
fn tells_the_exit_code_and_when() {
    let kept = shell("echo out; echo err >&2; exit 3");
    let line = kept.end();
    assert!(line.contains("\"state\":\"ended\",\"exitCode\":3,\"signal\":null"), "{line}");
    assert_eq!((number(&line, "consoleEnd"), number(&line, "errorEnd")), (4, 4));
    assert!(number(&line, "endedAt") >= number(&line, "startedAt"));
    assert_eq!(kept.answer("status"), line);
    assert_eq!(kept.answer("wait"), line, "at once, and then again");
}

#[test]
fn tells_the_signal() {
    let kept = keep(&["sleep", "60"]);
    assert_eq!(kept.answer("signal 9"), "{}\n");
    assert!(kept.end().contains("\"exitCode\":null,\"signal\":9"));
    assert_eq!(kept.answer("signal 9"), "{\"error\":\"ended\"}\n");
}

#[test]
fn tells_everybody_who_waits() {
    let kept = shell("read line; exit 5");
    let mut waiting: Vec<Caller> = (0..10).map(|_| kept.ask("wait")).collect();
    for caller in &mut waiting {
        assert!(caller.line().contains("running"));
    }
    assert_eq!(kept.ask("input 1\n").line(), "{}\n");
    for caller in &mut waiting {
        assert!(caller.line().contains("\"exitCode\":5"));
    }
}

#[test]
fn all_output_is_there_once_it_has_ended() {
    let kept = keep_with(&["--console-bytes", "1048576"], &["head", "-c", "1000000", "/dev/zero"], |_| {});
    assert_eq!(number(&kept.end(), "consoleEnd"), 1_000_000);
    assert_eq!(kept.ask("console 0").counted().len(), 1_000_000);
}

#[test]
fn a_descendant_that_holds_the_pipes_delays_the_end_by_a_second() {
    let kept = shell("sleep 60 & echo $!; exit 3");
    let since = Instant::now();
    let line = kept.end();
    assert!(line.contains("\"exitCode\":3"));
    assert!(since.elapsed() < Duration::from_secs(30), "the descendant lives on");
    assert!(since.elapsed() > Duration::from_millis(500), "it was given time");
    assert_eq!(kept.answer("signal 15"), "{\"error\":\"ended\"}\n");
    let descendant: i32 = kept.console().trim().parse().unwrap();
    // SAFETY: plain system call; nobody else can have that number yet, since it was alive a moment ago.
    assert_eq!(unsafe { libc::kill(descendant, libc::SIGKILL) }, 0, "nobody has ended it");
}

#[test]
fn nothing_changes_after_the_end() {
    let kept = shell("yes & echo $! >&2; exit 0");
    let line = kept.end();
    assert_eq!(kept.answer("status"), line);
    // the descendant's next write fails: its pipe has no reader any more
    let descendant = String::from_utf8(kept.ask("error-output").counted()).unwrap();
    await_death(descendant.lines().next().unwrap().parse().unwrap());
    assert_eq!(kept.answer("status"), line);
}

#[test]
fn a_program_dies_with_its_keeper() {
    let mut kept = shell("trap '' TERM HUP INT; echo ready; while :; do sleep 1; done");
    kept.await_console("ready");
    kept.signal_keeper(libc::SIGKILL);
    assert_eq!(kept.exit_code(), None);
    await_death(kept.vmm);
}

#[test]
fn passes_term_and_int_on_and_stays() {
    for (signal, name) in [(libc::SIGTERM, "TERM"), (libc::SIGINT, "INT")] {
        let kept = shell(&format!("trap 'exit 9' {name}; echo ready; read line"));
        kept.await_console("ready");
        kept.signal_keeper(signal);
        assert!(kept.end().contains("\"exitCode\":9"));
        kept.signal_keeper(signal);
        assert!(kept.answer("status").contains("ended"));
    }
}

#[test]
fn a_hang_up_is_nothing_to_it() {
    let kept = keep(&["sleep", "60"]);
    kept.signal_keeper(libc::SIGHUP);
    kept.signal_keeper(libc::SIGPIPE);
    assert!(kept.answer("status").contains("running"));
}

#[test]
fn is_released_only_after_the_end() {
    let mut kept = keep(&["sleep", "60"]);
    let mut caller = kept.ask("release");
    assert_eq!(caller.line(), "{\"error\":\"running\"}\n");
    caller.send(b"signal 15\n");
    assert_eq!(caller.line(), "{}\n");
    kept.end();
    caller.send(b"release\n");
    assert_eq!(caller.line(), "{}\n");
    assert_eq!(caller.rest(), b"");
    assert!(!kept.socket.exists(), "gone before the connection closed");
    assert_eq!(kept.exit_code(), Some(0));
}

#[test]
fn is_released_even_if_the_caller_does_not_stay_to_hear_it() {
    let mut kept = keep(&["true"]);
    kept.end();
    drop(kept.ask("release"));
    assert_eq!(kept.exit_code(), Some(0));
    assert!(!kept.socket.exists());
}

#[test]
fn release_removes_no_file_but_its_own() {
    let mut kept = keep(&["true"]);
    kept.end();
    let mut caller = kept.connect();
    fs::remove_file(&kept.socket).unwrap();
    fs::write(&kept.socket, "precious").unwrap();
    caller.send(b"release\n");
    assert_eq!(caller.line(), "{}\n");
    assert_eq!(kept.exit_code(), Some(0));
    assert_eq!(fs::read_to_string(&kept.socket).unwrap(), "precious");
}
