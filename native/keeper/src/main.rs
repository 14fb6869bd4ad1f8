//! One keeper per running VM is the parent of its VMM. It outlives nexusd and holds what would be lost without a
//! parent: the exit status and the console. The protocol is in codex/reference/keeper-protocol.md.
//!
//! One thread, one `poll` loop (`server`). The program's output goes into rings (`ring`); callers ask over a Unix
//! socket (`connection`, `request`). Nothing a caller does can block the loop or make the keeper grow.
#![deny(unsafe_op_in_unsafe_fn)]

mod arguments;
mod connection;
mod program;
mod request;
mod ring;
mod server;
mod sys;

use std::os::unix::net::UnixListener;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = match arguments::parse(std::env::args_os().skip(1).collect()) {
        Ok(arguments) => arguments,
        Err(why) => return fail(2, &format!("arguments: {why}")),
    };
    sys::detach();
    let listener = match bind(&arguments.socket) {
        Ok(listener) => listener,
        Err(why) => return fail(1, &format!("{}: {why}", arguments.socket.display())),
    };
    let socket = server::Socket::new(listener, arguments.socket.clone());
    let program = match program::start(&arguments) {
        Ok(program) => program,
        Err(why) => {
            socket.remove();
            let code = if why.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 };
            return fail(code, &format!("{}: {why}", arguments.program[0].display()));
        }
    };
    println!(
        "{{\"keeper\":1,\"keeperPid\":{},\"vmmPid\":{},\"vmmStartTime\":{}}}",
        std::process::id(),
        program.pid(),
        program.start_time(),
    );
    sys::leave_standard_streams();
    match server::Server::new(socket, program).run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE, // nobody is left to be told; the VMM goes with this process
    }
}

/// Binds with mode 0600 from the first moment.
fn bind(path: &std::path::Path) -> std::io::Result<UnixListener> {
    let before = sys::set_umask(0o177);
    let listener = UnixListener::bind(path);
    sys::set_umask(before);
    let listener = listener?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn fail(code: u8, message: &str) -> ExitCode {
    eprintln!("keeper: {message}");
    ExitCode::from(code)
}
