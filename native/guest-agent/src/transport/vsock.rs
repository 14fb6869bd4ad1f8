//! AF_VSOCK: real connections, so no hello.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net;
use std::rc::Rc;

use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use super::session;
use crate::http::Agent;
use crate::sys;

const PORT: u32 = 7300;
const MOST_CONNECTIONS: usize = 16;

pub async fn serve(agent: Rc<Agent>) -> io::Result<()> {
    let listener = sys::watch(sys::vsock_listen(PORT)?, Interest::READABLE)?;
    let mut sessions = JoinSet::new();
    loop {
        let accepted = listener.async_io(Interest::READABLE, |fd| sys::accept(fd.as_fd())).await?;
        while sessions.try_join_next().is_some() {}
        if sessions.len() >= MOST_CONNECTIONS {
            continue; // dropping it closes it
        }
        // reads, writes and polls of a stream socket are the same whatever its family
        let stream = UnixStream::from_std(net::UnixStream::from(accepted))?;
        sessions.spawn_local(session::serve(stream, agent.clone()));
    }
}
