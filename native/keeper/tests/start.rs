//! What a keeper makes of its start, and what it says when there is none.

mod common;

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use common::*;

const OPTIONS: &[&str] = &["--console-bytes", "65536"];

#[test]
fn says_who_was_started_and_leaves_its_streams() {
    let mut kept = keep(&["sleep", "60"]);
    assert_eq!(kept.rest_of_output(), "", "the output ends although the keeper lives");
    let vmm = stat(kept.vmm).unwrap();
    assert_eq!(vmm[1], kept.keeper.id().to_string(), "parent");
    assert_eq!(vmm[2], kept.vmm.to_string(), "process group");
    assert_eq!(vmm[19], kept.start_time.to_string());
    assert_eq!(stat(kept.keeper.id()).unwrap()[3], kept.keeper.id().to_string(), "session");
    let mode = fs::metadata(&kept.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
}

#[test]
fn the_program_gets_clean_signals_and_three_descriptors() {
    let dirty = |command: &mut Command| {
        // SAFETY: only async-signal-safe calls.
        unsafe {
            command.pre_exec(|| {
                for signal in [libc::SIGTERM, libc::SIGCHLD, libc::SIGUSR1, libc::SIGPIPE] {
                    libc::signal(signal, libc::SIG_IGN);
                }
                let mut set = std::mem::zeroed();
                libc::sigfillset(&mut set);
                libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
                libc::dup2(2, 77);
                Ok(())
            });
        }
    };
    let kept = keep_with(OPTIONS, &["sh", "-c", "echo ready; read line"], dirty);
    kept.await_console("ready"); // until then its loader has files open
    let status = fs::read_to_string(format!("/proc/{}/status", kept.vmm)).unwrap();
    assert_eq!(field(&status, "SigBlk:"), "0000000000000000");
    assert_eq!(field(&status, "SigIgn:"), "0000000000000000");
    let open = |pid: u32| {
        let mut names: Vec<u32> = fs::read_dir(format!("/proc/{pid}/fd"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap())
            .collect();
        names.sort_unstable();
        names
    };
    assert_eq!(open(kept.vmm), [0, 1, 2]);
    assert!(!open(kept.keeper.id()).contains(&77));
    kept.answer("signal 15");
    assert_eq!(number(&kept.end(), "signal"), 15, "it is reaped although its parent was to ignore CHLD");
}

#[test]
fn passes_directory_and_environment_on() {
    let where_to = Directory::new();
    let cwd = fs::canonicalize(where_to.path(".")).unwrap();
    let options = ["--console-bytes", "4096", "--cwd", cwd.to_str().unwrap()];
    let kept = keep_with(&options, &["sh", "-c", "pwd; echo $NAME"], |command| {
        command.env("NAME", "value");
    });
    kept.end();
    assert_eq!(kept.console(), format!("{}\nvalue\n", cwd.display()));
}

/// Starts what cannot be started: its exit code, and its one line.
fn refused(command: &mut Command) -> (i32, String) {
    let output = command.output().unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.stdout, b"");
    assert!(line.starts_with("keeper: ") && line.ends_with('\n') && line.matches('\n').count() == 1, "{line:?}");
    (output.status.code().unwrap(), line)
}

#[test]
fn wrong_arguments_are_a_2() {
    let directory = Directory::new();
    let socket = directory.path("k");
    for (options, program) in [
        (&[][..], &["true"][..]),
        (&["--console-bytes", "1"], &["true"]),
        (&["--console-bytes", "4096", "--nonsense", "1"], &["true"]),
        (&["--console-bytes", "4096"], &[]),
    ] {
        assert_eq!(refused(&mut command(&socket, options, program)).0, 2);
    }
    assert_eq!(refused(&mut command("".as_ref(), OPTIONS, &["true"])).0, 2);
    assert!(directory.names().is_empty());
}

#[test]
fn a_program_that_cannot_be_executed_is_a_127() {
    let directory = Directory::new();
    let socket = directory.path("k");
    for (program, why) in [
        ("/nowhere/program", "No such file"),
        ("no-such-program-on-path", "No such file"),
        ("/", "Permission denied"),
        ("/dev/null", "Permission denied"),
        ("two\nlines", "two?lines: No such file"),
        ("", "No such file"),
    ] {
        let (code, line) = refused(&mut command(&socket, OPTIONS, &[program]));
        assert_eq!(code, 127, "{line}");
        assert!(line.contains(why), "{line}");
        assert!(directory.names().is_empty());
    }
}

#[test]
fn other_failures_are_a_1_and_leave_nothing() {
    let directory = Directory::new();
    let long = directory.path(&"k".repeat(120));
    for (socket, cwd, why) in [
        (long, None, "path must be shorter"),
        (directory.path("no/k"), None, "No such file"),
        (directory.path("k"), Some("/nowhere"), "/nowhere: No such file"),
        (directory.path("k"), Some("/dev/null"), "/dev/null: Not a directory"),
    ] {
        let options: Vec<&str> = OPTIONS.iter().copied().chain(cwd.iter().flat_map(|cwd| ["--cwd", cwd])).collect();
        let (code, line) = refused(&mut command(&socket, &options, &["true"]));
        assert_eq!(code, 1, "{line}");
        assert!(line.contains(why), "{line}");
        assert!(directory.names().is_empty());
    }
}

#[test]
fn what_lies_at_the_path_is_left_alone() {
    let directory = Directory::new();
    let socket = directory.path("k");
    fs::write(&socket, "precious").unwrap();
    let (code, line) = refused(&mut command(&socket, OPTIONS, &["true"]));
    assert_eq!(code, 1);
    assert!(line.contains("Address already in use"), "{line}");
    assert_eq!(fs::read_to_string(&socket).unwrap(), "precious");
    let kept = keep(&["sleep", "60"]);
    assert_eq!(refused(&mut command(&kept.socket, OPTIONS, &["true"])).0, 1);
    assert!(kept.answer("status").contains("running"));
}

#[test]
fn the_longest_path_is_107_bytes() {
    let directory = Directory::new();
    let room = 107 - directory.path("").as_os_str().len();
    assert_eq!(refused(&mut command(&directory.path(&"k".repeat(room + 1)), OPTIONS, &["true"])).0, 1);
    let mut keeper = command(&directory.path(&"k".repeat(room)), OPTIONS, &["true"]).spawn().unwrap();
    let mut line = [0];
    assert_eq!(keeper.stdout.take().unwrap().read(&mut line).unwrap(), 1);
    keeper.kill().unwrap();
    keeper.wait().unwrap();
}

#[test]
fn a_starter_who_has_gone_means_no_start() {
    let directory = Directory::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let pid_file = directory.path("pid");
    let script = format!("echo $$ > {}; exec sleep 60", pid_file.display());
    let mut keeper = command(&directory.path("k"), OPTIONS, &["sh", "-c", &script]);
    let output = keeper.stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "keeper: standard output: Broken pipe (os error 32)\n");
    assert!(!directory.path("k").exists());
    if let Ok(pid) = fs::read_to_string(pid_file) {
        await_death(pid.trim().parse().unwrap_or(u32::MAX));
    }
}
