//! What a program may do, and the log that it writes beside its standard streams.

mod common;

use std::fs;

use common::*;

const OPTIONS: &[&str] = &["--console-bytes", "65536"];
/// what a shell and its tools need
const SYSTEM: &[&str] = &["--may-read", "/usr", "--may-read", "/bin", "--may-read", "/lib", "--may-read", "/lib64"];

fn keep_within(own: &[&str], script: &str) -> Kept {
    keep_with(&[OPTIONS, SYSTEM, own].concat(), &["sh", "-c", script], |_| {})
}

#[test]
fn a_program_gains_no_privilege_and_leaves_no_core() {
    let kept = shell("echo ready; read line");
    kept.await_console("ready");
    let status = fs::read_to_string(format!("/proc/{}/status", kept.vmm)).unwrap();
    assert_eq!(field(&status, "NoNewPrivs:"), "1");
    let limits = fs::read_to_string(format!("/proc/{}/limits", kept.vmm)).unwrap();
    let cores: Vec<&str> = field(&limits, "Max core file size").split_whitespace().collect();
    assert_eq!(cores[..2], ["0", "0"]);
}

#[test]
fn a_program_opens_what_it_may_and_nothing_else() {
    let here = Directory::new();
    for name in ["read", "written", "secret"] {
        fs::write(here.path(name), name).unwrap();
    }
    fs::create_dir(here.path("own")).unwrap();
    let [read, written, secret, own] = ["read", "written", "secret", "own"].map(|name| here.path(name));
    let script = format!(
        "cat {read}; echo x >> {written} && echo appended; echo y > {own}/new && echo made
         (cat {secret}) 2>&1; (echo z >> {read}) 2>&1; (echo z > {secret}) 2>&1; ls {parent} 2>&1
         (kill -0 {outside}) 2>&1",
        read = read.display(),
        written = written.display(),
        secret = secret.display(),
        own = own.display(),
        parent = here.path("").display(),
        outside = std::process::id(),
    );
    let paths = [&read, &written, &own].map(|path| path.to_str().unwrap());
    let own = ["--may-read", paths[0], "--may-write", paths[1], "--may-write", paths[2]];
    let kept = keep_within(&own, &script);
    assert_eq!(number(&kept.end(), "exitCode"), 1);
    let said = kept.console();
    assert!(said.starts_with("readappended\nmade\n"), "{said}");
    assert_eq!(said.matches("Permission denied").count(), 4, "{said}");
    assert_eq!(said.matches("not permitted").count(), 1, "a signal to a process outside: {said}");
    assert_eq!(fs::read_to_string(here.path("secret")).unwrap(), "secret");
}

#[test]
fn a_confined_program_has_no_tcp() {
    let script = "exec 3<>/dev/tcp/127.0.0.1/9";
    let kept = keep_with(&[OPTIONS, SYSTEM].concat(), &["bash", "-c", script], |_| {});
    kept.end();
    let said = String::from_utf8(kept.ask("error-output").counted()).unwrap();
    assert!(said.contains("Permission denied"), "{said}");
}

#[test]
fn a_log_goes_where_errors_go() {
    let here = Directory::new();
    let log = here.path("log");
    let options = [OPTIONS, &["--log", log.to_str().unwrap()]].concat();
    let script = format!("exec 3<>{}; echo first >&3; echo second >&2; echo third >&3", log.display());
    let kept = keep_with(&options, &["sh", "-c", &script], |_| {});
    kept.end();
    let said = String::from_utf8(kept.ask("error-output").counted()).unwrap();
    for word in ["first\n", "second\n", "third\n"] {
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn a_log_that_nobody_opens_holds_nothing_up() {
    let here = Directory::new();
    let log = here.path("log");
    let kept = keep_with(&[OPTIONS, &["--log", log.to_str().unwrap()]].concat(), &["sh", "-c", "exit 3"], |_| {});
    assert_eq!(number(&kept.end(), "exitCode"), 3);
}

#[test]
fn a_flood_of_log_leaves_its_end_and_the_keeper_small() {
    let here = Directory::new();
    let log = here.path("log");
    let options = [OPTIONS, &["--log", log.to_str().unwrap()]].concat();
    let script = format!(
        "exec 3<>{}; i=0; while [ $i -lt 4000 ]; do printf %0999d\\\\n $i >&3; i=$((i+1)); done; echo last >&3",
        log.display()
    );
    let kept = keep_with(&options, &["sh", "-c", &script], |_| {});
    kept.end();
    let said = kept.ask("error-output").counted();
    assert!(said.len() <= 65_536 && said.ends_with(b"last\n"));
    assert!(kept.resident() < 3 * 1024);
}

#[test]
fn what_cannot_be_prepared_is_a_1() {
    let here = Directory::new();
    let socket = here.path("k");
    fs::write(here.path("there"), "").unwrap();
    for option in [["--cgroup", "/nowhere"], ["--log", here.path("there").to_str().unwrap()], ["--log", "/nowhere/log"]]
    {
        let output = command(&socket, &[OPTIONS, &option].concat(), &["true"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{option:?}");
        assert!(String::from_utf8(output.stderr).unwrap().starts_with(&format!("keeper: {}", option[1])));
    }
    assert_eq!(here.names(), ["there"]);
}
