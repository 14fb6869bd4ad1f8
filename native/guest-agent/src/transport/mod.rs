//! The lines to the host. Each carries HTTP/2; losing one never touches a process.

mod channel;
mod hello;
mod serial;
mod session;
mod unix;
mod vsock;

use std::ffi::OsString;
use std::path::PathBuf;
use std::rc::Rc;

use crate::boot;
use crate::http::Agent;

/// which lines to serve
#[derive(Default)]
pub struct Transports {
    pub port: Option<PathBuf>,
    /// look for the virtio-serial port by its name
    pub find_port: bool,
    pub unix: Option<PathBuf>,
    pub vsock: bool,
}

pub fn parse_arguments(words: impl Iterator<Item = OsString>) -> Result<Transports, String> {
    let mut transports = Transports::default();
    let mut words = words;
    while let Some(word) = words.next() {
        let mut value = || words.next().map(PathBuf::from).ok_or_else(|| format!("{} needs a value", word.display()));
        match word.to_str() {
            Some("--port") => transports.port = Some(value()?),
            Some("--unix") => transports.unix = Some(value()?),
            Some("--vsock") => transports.vsock = true,
            _ => return Err(format!("there is no option {}", word.display())),
        }
    }
    if transports.port.is_none() && transports.unix.is_none() && !transports.vsock {
        return Err("one of --unix <path>, --vsock and --port <device> is needed".into());
    }
    Ok(transports)
}

/// Serves all of them for as long as any works.
pub async fn serve(transports: Transports, agent: Rc<Agent>) {
    let port = async {
        if transports.find_port {
            tell("virtio-serial", serial::find_and_serve(&agent).await);
        } else if let Some(path) = transports.port {
            tell("virtio-serial", serial::serve(&path, &agent).await);
        }
    };
    let unix = async {
        if let Some(path) = transports.unix {
            tell("Unix socket", unix::serve(&path, agent.clone()).await);
        }
    };
    let vsock = async {
        // a kernel without the transport is no failure of a VM that is reached another way
        if transports.vsock
            && let Err(why) = vsock::serve(agent.clone()).await
            && why.raw_os_error() != Some(libc::EAFNOSUPPORT)
        {
            tell("vsock", Err(why));
        }
    };
    tokio::join!(port, unix, vsock);
}

fn tell(what: &str, result: std::io::Result<()>) {
    if let Err(why) = result {
        let line = format!("guest-agent: {what}: {why}");
        if std::process::id() == 1 { boot::say(&line) } else { eprintln!("{line}") }
    }
}
