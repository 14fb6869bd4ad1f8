//! One keeper per running VM is the parent of its VMM. It outlives nexusd and holds what would be lost without a
//! parent: the exit status and the console. The protocol is in codex/reference/keeper-protocol.md.
//!
//! One thread, one `poll` loop (`server`). The program's output goes into rings (`ring`); callers ask over a Unix
//! socket (`connection`, `request`). Nothing a caller does can block the loop or make the keeper grow.
//!
//! The order of the start is its safety: signals are held back before there is a program that they could miss, the
//! socket listens before the program runs, and whatever fails takes both away again.
#![deny(unsafe_op_in_unsafe_fn)]

mod arguments;
mod clock;
mod confinement;
mod connection;
mod failure;
mod namespaces;
mod program;
mod request;
mod ring;
mod server;
mod socket;
mod sys;

use std::fs::File;
use std::io::{self, Write};
use std::process::ExitCode;

use arguments::Arguments;
use failure::Failure;
use program::Program;
use server::Server;
use socket::Socket;

fn main() -> ExitCode {
    match keep() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}

fn keep() -> Result<(), Failure> {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    if words == ["--counter-khz"] {
        println!("{}", clock::counter_khz().map_or("null".into(), |khz| khz.to_string()));
        return Ok(());
    }
    if words == ["--landlock"] {
        println!("{}", sys::landlock_version());
        return Ok(());
    }
    let arguments = arguments::parse(words).map_err(Failure::arguments)?;
    sys::detach();
    confinement::enter(&arguments.cgroups)?;
    let signals = sys::signal_descriptor().map_err(|why| Failure::new("signals", why))?;
    let socket = Socket::bind(&arguments.socket)?;
    let served = start(&arguments).and_then(|program| {
        let server = Server::new(&socket, program, signals);
        server.run().map_err(|why| Failure::new("poll", why))
    });
    socket.remove();
    served
}

/// Starts the program and says so; from then on nobody holds the keeper's standard streams open.
fn start(arguments: &Arguments) -> Result<Program, Failure> {
    let null =
        File::options().read(true).write(true).open("/dev/null").map_err(|why| Failure::new("/dev/null", why))?;
    let mut program = program::start(arguments)?;
    if let Err(why) = say_ready(&program) {
        program.kill(); // whoever asked for it can no longer be told
        return Err(Failure::new("standard output", why));
    }
    sys::leave_standard_streams(&null);
    Ok(program)
}

fn say_ready(program: &Program) -> io::Result<()> {
    let (keeper, vmm, start_time) = (std::process::id(), program.pid(), program.start_time());
    let line = format!("{{\"keeper\":1,\"keeperPid\":{keeper},\"vmmPid\":{vmm},\"vmmStartTime\":{start_time}}}\n");
    let mut output = io::stdout();
    output.write_all(line.as_bytes())?;
    output.flush()
}
