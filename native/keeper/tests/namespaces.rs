//! The namespaces that a program is put into, by root and by a user who is nobody.

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use common::*;

/// nobody, who runs the keeper and owns the namespaces where a test is root
const NOBODY: u32 = 65534;
const CAPABILITIES: [&str; 5] = ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"];
/// what a shell and its tools need
const SYSTEM: &[&str] = &["--may-read", "/usr", "--may-read", "/bin", "--may-read", "/lib", "--may-read", "/lib64"];
const WAITING: &str = "echo ready; read line";

fn is_root() -> bool {
    // SAFETY: cannot fail.
    unsafe { libc::geteuid() == 0 }
}

fn become_nobody(command: &mut Command) {
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
}

/// a process that keeps namespaces alive
struct Holder(Child);

impl Holder {
    /// of a user who is not root: a user and a network namespace
    fn of_nobody() -> Self {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net"]);
        become_nobody(&mut command);
        Self::hold(command)
    }

    /// of root: a network namespace
    fn of_root() -> Self {
        let mut command = Command::new("unshare");
        command.arg("--net");
        Self::hold(command)
    }

    fn hold(mut command: Command) -> Self {
        command.args(["sh", "-c", "echo held; exec sleep infinity"]).current_dir("/").stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "held\n");
        Holder(child)
    }

    fn namespace(&self, kind: &str) -> String {
        format!("/proc/{}/ns/{kind}", self.0.id())
    }

    /// the words for a keeper that enters both
    fn both(&self) -> [String; 4] {
        let [network, user] = ["net", "user"].map(|kind| self.namespace(kind));
        ["--network-namespace".into(), network, "--user-namespace".into(), user]
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A keeper of a user who is not root, in a directory of that user; the keeper's program lies there, too, since where
/// it was built may be closed to others.
fn command_of_nobody(options: &[&str], program: &[&str]) -> (Directory, Command) {
    let directory = Directory::new();
    // by another process: a program that is open for writing, in a fork of another test's as well, cannot be executed
    let mut copy = Command::new("cp");
    copy.args([env!("CARGO_BIN_EXE_keeper").as_ref(), directory.path("keeper").as_os_str()]);
    assert!(copy.status().unwrap().success());
    if is_root() {
        chown(directory.path("."), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let mut command = Command::new(directory.path("keeper"));
    command.arg("--socket").arg(directory.path("k")).args(["--console-bytes", "65536"]).args(options);
    command.arg("--").args(program).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    become_nobody(&mut command);
    (directory, command)
}

fn keep_of_nobody(options: &[&str], script: &str) -> Kept {
    let (directory, command) = command_of_nobody(options, &["sh", "-c", script]);
    keep_command(directory, command)
}

fn words(own: &[String]) -> Vec<&str> {
    own.iter().map(String::as_str).collect()
}

fn namespace(pid: u32, kind: &str) -> String {
    fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap().to_str().unwrap().into()
}

#[test]
fn a_user_s_program_is_within_and_holds_no_capability_and_its_keeper_is_without() {
    let holder = Holder::of_nobody();
    let kept = keep_of_nobody(&words(&holder.both()), WAITING);
    kept.await_console("ready");
    for kind in ["user", "net"] {
        assert_eq!(namespace(kept.vmm, kind), namespace(holder.0.id(), kind));
        assert_eq!(namespace(kept.keeper.id(), kind), namespace(std::process::id(), kind));
    }
    let status = fs::read_to_string(format!("/proc/{}/status", kept.vmm)).unwrap();
    for set in CAPABILITIES {
        assert_eq!(field(&status, set), "0000000000000000", "{set}");
    }
    assert_eq!(field(&status, "NoNewPrivs:"), "1");
    assert_eq!(kept.answer("signal 15"), "{}\n");
    assert_eq!(number(&kept.end(), "signal"), 15);
}

#[test]
fn root_of_the_user_namespace_may_change_nothing_of_it() {
    let holder = Holder::of_nobody();
    let script = "id -u; unshare --net true; echo $?; unshare --mount true; echo $?";
    let kept = keep_of_nobody(&words(&holder.both()), script);
    kept.end();
    assert_eq!(kept.console(), "0\n1\n1\n");
}

#[test]
fn a_program_in_namespaces_dies_with_its_keeper() {
    let holder = Holder::of_nobody();
    let mut kept =
        keep_of_nobody(&words(&holder.both()), "trap '' TERM HUP INT; echo ready; while :; do sleep 1; done");
    kept.await_console("ready");
    kept.signal_keeper(libc::SIGKILL);
    assert_eq!(kept.exit_code(), None);
    await_death(kept.vmm);
}

#[test]
fn a_program_in_namespaces_outlives_who_made_them() {
    let holder = Holder::of_nobody();
    let kept = keep_of_nobody(&words(&holder.both()), WAITING);
    kept.await_console("ready");
    drop(holder);
    assert!(kept.answer("status").contains("running"));
    assert_ne!(namespace(kept.vmm, "net"), namespace(kept.keeper.id(), "net"));
}

#[test]
fn confinement_and_log_are_what_they_are_without() {
    let holder = Holder::of_nobody();
    let here = Directory::new();
    fs::write(here.path("secret"), "secret").unwrap();
    if is_root() {
        chown(here.path("."), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let log = here.path("log");
    let script = format!(
        "echo logged > {}; (cat {}) 2>&1; (kill -0 {}) 2>&1; read line; echo heard $line",
        log.display(),
        here.path("secret").display(),
        holder.0.id(),
    );
    let both = holder.both();
    let own = ["--log", log.to_str().unwrap(), "--may-write", log.to_str().unwrap()];
    let kept = keep_of_nobody(&[SYSTEM, &own, &words(&both)].concat(), &script);
    let mut caller = kept.ask("input 3");
    caller.send(b"it\n");
    assert_eq!(caller.line(), "{}\n");
    assert_eq!(number(&kept.end(), "exitCode"), 0);
    let said = kept.console();
    assert!(said.contains("Permission denied") && said.contains("not permitted"), "{said}");
    assert!(said.ends_with("heard it\n"), "{said}");
    assert_eq!(kept.ask("error-output").counted(), b"logged\n");
}

#[test]
fn root_s_program_enters_a_network_namespace_and_stays_what_it_is() {
    if !is_root() {
        return refuses_what_only_root_may();
    }
    let holder = Holder::of_root();
    let options = ["--console-bytes", "65536", "--network-namespace", &holder.namespace("net")];
    let mut kept = keep_with(&options, &["sh", "-c", WAITING], |_| {});
    kept.await_console("ready");
    assert_eq!(namespace(kept.vmm, "net"), namespace(holder.0.id(), "net"));
    assert_eq!(namespace(kept.vmm, "user"), namespace(kept.keeper.id(), "user"));
    let sets = [kept.vmm, kept.keeper.id()].map(|pid| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        CAPABILITIES.map(|set| field(&status, set).to_string())
    });
    assert_eq!(sets[0], sets[1]);
    kept.signal_keeper(libc::SIGKILL);
    assert_eq!(kept.exit_code(), None);
    await_death(kept.vmm);
}

#[test]
fn root_s_program_holds_no_capability_where_it_is_to_have_none() {
    if !is_root() {
        return;
    }
    let holder = Holder::of_root();
    let namespace = holder.namespace("net");
    let options = ["--console-bytes", "65536", "--network-namespace", &namespace, "--no-capabilities"];
    let script = "id -u; ip link add v0 type veth 2>/dev/null; echo $?; chroot / true 2>/dev/null; echo $?; read line";
    let kept = keep_with(&options, &["sh", "-c", script], |_| {});
    kept.await_console("0\n2\n125\n");
    let status = fs::read_to_string(format!("/proc/{}/status", kept.vmm)).unwrap();
    for set in CAPABILITIES {
        assert_eq!(field(&status, set), "0000000000000000", "{set}");
    }
}

#[test]
fn a_root_without_the_right_to_lose_them_for_ever_keeps_none_either() {
    const CAP_SETPCAP: libc::c_ulong = 8; // linux/capability.h
    if !is_root() {
        return;
    }
    let script = "id -u; chroot / true 2>/dev/null; echo $?; read line";
    let kept = keep_with(&["--console-bytes", "65536", "--no-capabilities"], &["sh", "-c", script], |command| {
        // SAFETY: one system call.
        unsafe {
            command.pre_exec(|| match libc::prctl(libc::PR_CAPBSET_DROP, CAP_SETPCAP, 0, 0, 0) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
    });
    kept.await_console("0\n125\n");
    let status = fs::read_to_string(format!("/proc/{}/status", kept.vmm)).unwrap();
    for set in ["CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(field(&status, set), "0000000000000000", "{set}");
    }
}

#[test]
fn refuses_what_only_root_may() {
    let (directory, mut command) = command_of_nobody(&["--network-namespace", "/proc/self/ns/net"], &["true"]);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "keeper: /proc/self/ns/net: Operation not permitted (os error 1)\n");
    assert_eq!((output.status.code(), directory.names()), (Some(1), vec!["keeper".to_string()]));
}

#[test]
fn a_path_that_is_no_such_namespace_is_told_before_anything_is_executed() {
    let here = Directory::new();
    let made = here.path("made");
    for (option, path, why) in [
        ("--network-namespace", "/nowhere", "No such file or directory (os error 2)"),
        ("--network-namespace", "/proc/self/ns/user", "this is no network namespace"),
        ("--user-namespace", "/proc/self/ns/net", "this is no user namespace"),
        ("--user-namespace", "/dev/null", "this is no user namespace"),
        ("--user-namespace", "/proc/self/ns/user", "Invalid argument (os error 22)"), // its own
    ] {
        let options = ["--console-bytes", "4096", option, path];
        let output = command(&here.path("k"), &options, &["touch", made.to_str().unwrap()]).output().unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), format!("keeper: {path}: {why}\n"));
        assert_eq!(output.status.code(), Some(1));
    }
    assert_eq!(here.names(), [""; 0]);
}

#[test]
fn files_are_at_second_places_for_the_program_alone() {
    if !is_root() {
        return;
    }
    let here = Directory::new();
    let path = |name: &str| here.path(name).display().to_string();
    for (name, text) in [("kernel", "kernel "), ("disk", "disk "), ("at-kernel", ""), ("at-disk", "")] {
        fs::write(here.path(name), text).unwrap();
    }
    let [kernel, disk, at_kernel, at_disk, log] = ["kernel", "disk", "at-kernel", "at-disk", "log"].map(path);
    let options = ["--console-bytes", "65536", "--log", &log, "--log-owner", "65534"];
    let mounts = ["--mount-read-only", &kernel, &at_kernel, "--mount", &disk, &at_disk];
    let script =
        format!("cat {at_kernel} {at_disk}; echo more >> {at_disk}; stat -c %u {log}; (echo x > {at_kernel}) 2>&1");
    let kept = keep_with(&[&options[..], &mounts].concat(), &["sh", "-c", &script], |_| {});
    kept.end();
    let said = kept.console();
    assert!(said.starts_with("kernel disk 65534\n") && said.contains("Read-only file system"), "{said}");
    assert_eq!(fs::read_to_string(here.path("disk")).unwrap(), "disk more\n");
    assert_eq!(fs::read_to_string(here.path("at-disk")).unwrap(), "");
    assert!(!fs::read_to_string("/proc/self/mountinfo").unwrap().contains(&at_disk));
}

#[test]
fn what_cannot_be_given_is_told_by_its_name() {
    if !is_root() {
        return;
    }
    let here = Directory::new();
    let socket = here.path("k");
    for (options, why) in [
        (["--mount", "/nowhere", "/dev/null"], "/dev/null: No such file or directory (os error 2)"),
        (["--own-tap", "much-too-long-a-name", "7"], "much-too-long-a-name: Invalid argument (os error 22)"),
    ] {
        let output =
            command(&socket, &[&["--console-bytes", "4096"][..], &options].concat(), &["true"]).output().unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), format!("keeper: {why}\n"));
        assert_eq!(output.status.code(), Some(1));
    }
    assert_eq!(here.names(), [""; 0]);
}
