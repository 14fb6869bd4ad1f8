//! `ip` and `nft`, by their absolute paths, with nothing of the caller's environment.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::failure::{Failure, Outcome};
use crate::sys;

const IP: [&str; 3] = ["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip"];
const NFT: [&str; 3] = ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"];

/// Runs `ip` in a network namespace, the caller's own where there is none.
pub fn ip(words: &[&str], namespace: Option<&File>) -> Outcome<String> {
    run(&IP, words, "", namespace)
}

/// Runs many commands of `ip` by one process; the first that fails ends it.
pub fn ip_batch(commands: &str, namespace: Option<&File>) -> Outcome<()> {
    run(&IP, &["-batch", "-"], commands, namespace).map(drop)
}

pub fn nft(words: &[&str]) -> Outcome<String> {
    run(&NFT, words, "", None)
}

/// Runs a script, as a whole or not at all.
pub fn nft_script(script: &str) -> Outcome<()> {
    run(&NFT, &["-f", "-"], script, None).map(drop)
}

fn run(places: &[&str], words: &[&str], input: &str, namespace: Option<&File>) -> Outcome<String> {
    let name = places[0].rsplit('/').next().unwrap_or_default();
    let Some(program) = places.iter().find(|path| std::path::Path::new(path).exists()) else {
        return Err(Failure::new(name, "it is not installed"));
    };
    let mut command = Command::new(program);
    command.args(words).env_clear().env("LC_ALL", "C").current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(namespace) = namespace {
        let namespace = namespace.as_raw_fd();
        // SAFETY: only a system call, on a descriptor that stays open until the child has been executed.
        unsafe { command.pre_exec(move || sys::enter_network_namespace(namespace)) };
    }
    let fail = |why: String| Failure::new(format!("{name} {}", words.join(" ")), why);
    let mut child = command.spawn().map_err(|why| fail(why.to_string()))?;
    // no more than a pipe holds, so that it cannot block
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).map_err(|why| fail(why.to_string()))?;
    }
    let output = child.wait_with_output().map_err(|why| fail(why.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(fail(String::from_utf8_lossy(&output.stderr).trim().into()))
}
