//! AF_VSOCK: real connections, so no hello.
//!
//! The guest can connect to itself here, and whoever does is root through the agent. So besides the host only those
//! are served who could be root anyway: ports below 1024 are reserved for them.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net;
use std::rc::Rc;

use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use super::session;
use crate::http::Agent;
use crate::sys::{self, VsockPeer};

const PORT: u32 = 7300;
const MOST_CONNECTIONS: usize = 16;
const FIRST_FREE_PORT: u32 = 1024;

pub async fn serve(agent: Rc<Agent>) -> io::Result<()> {
    let listener = sys::watch(sys::vsock_listen(PORT)?, Interest::READABLE)?;
    let mut sessions = JoinSet::new();
    loop {
        let accepted = listener.async_io(Interest::READABLE, |fd| sys::vsock_accept(fd.as_fd())).await;
        while sessions.try_join_next().is_some() {}
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(why) if why.kind() == io::ErrorKind::ConnectionAborted => continue, // it has gone again
            Err(why) => return Err(why),
        };
        if sessions.len() >= MOST_CONNECTIONS || !may_ask(&peer) {
            continue; // dropping it closes it
        }
        // reads, writes and polls of a stream socket are the same whatever its family
        let stream = UnixStream::from_std(net::UnixStream::from(socket))?;
        sessions.spawn_local(session::serve(stream, agent.clone()));
    }
}

fn may_ask(peer: &VsockPeer) -> bool {
    peer.cid == libc::VMADDR_CID_HOST || peer.port < FIRST_FREE_PORT
}
