//! The guest agent: PID 1 of a VM, through which the host runs commands in it.
//! The protocol is in codex/reference/guest-protocol.md.
//!
//! One thread, but for `stats`. `boot` turns the initramfs into a running system; `transport` keeps the lines to the
//! host; `http` answers requests on them; `process` and `terminal` hold what outlives any line; `files` has workers read
//! and change files; `connections` carries the host to what listens in the guest; `stats` tells what the guest uses; `power` ends the VM.
#![deny(unsafe_op_in_unsafe_fn)]

mod boot;
mod connections;
mod device_events;
mod files;
mod guest_file;
mod http;
mod identity;
mod memory_file;
mod network;
mod power;
mod process;
mod stats;
mod sys;
mod terminal;
mod transport;

use std::process::ExitCode;
use std::rc::Rc;

use transport::Transports;

fn main() -> ExitCode {
    let first_instruction_ms = sys::since_boot_ms();
    let as_init = std::process::id() == 1;
    if !as_init && std::env::args_os().nth(1).is_some_and(|word| word == files::WORKER_ARGUMENT) {
        return files::work();
    }
    let mut booted = boot::Booted::default();
    let transports = if as_init {
        booted = boot::run();
        Ok(Transports { port: None, find_port: true, unix: None, vsock: true })
    } else {
        transport::parse_arguments(std::env::args_os().skip(1))
    };
    let transports = match transports {
        Ok(transports) => transports,
        Err(why) => {
            eprintln!("guest-agent: arguments: {why}");
            return ExitCode::from(2);
        }
    };
    sys::become_reaper();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(why) => boot::fatal(&format!("no event loop: {why}")),
    };
    let agent = Rc::new(http::Agent::new(first_instruction_ms, booted, sys::raise_file_limit()));
    tokio::task::LocalSet::new().block_on(&runtime, async move {
        let (terminals, crew) = (agent.terminals.clone(), agent.crew.clone());
        let note_other = move |pid, ended| {
            terminals.note_exit(pid, ended);
            crew.note_exit(pid, ended);
        };
        tokio::task::spawn_local(process::reap(agent.processes.clone(), note_other));
        if as_init {
            tokio::task::spawn_local(power::heed_ctrl_alt_del(agent.processes.clone()));
            boot::say(&format!("guest-agent {} ready", env!("CARGO_PKG_VERSION")));
        }
        transport::serve(transports, agent).await;
    });
    ExitCode::FAILURE // every transport failed; as PID 1 this ends the VM with a panic that says so
}
