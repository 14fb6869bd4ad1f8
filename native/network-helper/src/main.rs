//! Joins the network namespace of a workplace to the host, and nothing more: a veth pair, one table of rules, and the
//! forwarding that these need. Run by root, or installed setuid for the users that root has named (`nexusctl network
//! setup`); then it takes no word, path or environment of the caller's but the few in `words`, each checked.
#![deny(unsafe_op_in_unsafe_fn)]

mod addresses;
mod configuration;
mod failure;
mod forwarding;
mod link;
mod rules;
mod sys;
mod tools;
mod words;

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::process::ExitCode;

use configuration::Configuration;
use failure::{Failure, Outcome};
use link::Caller;
use words::Request;

/// root's alone, so that nobody else can hold it
const LOCK: &str = "/run/workfort-network.lock";

fn main() -> ExitCode {
    match serve() {
        Ok(line) => {
            print!("{line}");
            ExitCode::SUCCESS
        }
        Err(failure) => failure.tell(),
    }
}

fn serve() -> Outcome<String> {
    let uid = sys::real_uid();
    if sys::effective_uid() != 0 {
        return Err(Failure::forbidden("it is not installed for users; as root: nexusctl network setup"));
    }
    let words: Option<Vec<String>> = std::env::args_os().skip(1).map(|word| word.into_string().ok()).collect();
    let request = words::parse(&words.ok_or_else(|| Failure::usage("its words are text"))?)?;
    sys::become_root_alone().map_err(|why| Failure::new("root", why))?;
    let configuration = if uid == 0 { Configuration::of_root() } else { Configuration::read()? };
    if uid != 0 && !configuration.allows(uid) {
        return Err(Failure::forbidden(format!("uid {uid} may not; as root: nexusctl network setup")));
    }
    let caller = Caller { uid, configuration };
    let _lock = lock()?;
    match request {
        Request::Up { tag, pid } => link::up(&tag, pid, &caller).map(|text| text + "\n"),
        Request::Down { tag } => link::down(&tag, &caller).map(|()| String::new()),
        Request::Status { tag } => link::status(&tag, &caller).map(|text| text + "\n"),
    }
}

/// One at a time changes the host.
fn lock() -> Outcome<File> {
    let fail = |why: std::io::Error| Failure::new(LOCK, why);
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(LOCK)
        .map_err(fail)?;
    sys::lock(&file).map_err(fail)?;
    Ok(file)
}
