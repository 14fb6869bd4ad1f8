//! One stretch of HTTP/2 on a stream.

use std::io;
use std::rc::Rc;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};

use super::channel::Channel;
use super::hello;
use crate::http::{self, Agent};

/// held for a process that does not read its stdin
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// for all streams, so that processes that do not read cannot hold up those that do
const CONNECTION_WINDOW_BYTES: u32 = MAX_STREAMS * STREAM_WINDOW_BYTES;
const MAX_FRAME_BYTES: u32 = 1024 * 1024;
/// as many for connections into the guest as there may be, and as many for everything else
const MAX_STREAMS: u32 = 512;
/// streams that the host opened and gave up before they were seen here: many at once where a guest is busy and its
/// client goes away. HTTP/2 libraries take twenty for an attack and end the session, with all that goes on in it
const MAX_GIVEN_UP: usize = 16 * MAX_STREAMS as usize;
const HEADER_LIST_BYTES: u32 = 65_536;
/// queued for one stream before its sender has to wait
const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// Serves until the peer goes or breaks the protocol; either ends this session and nothing else.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, agent: Rc<Agent>) {
    let builder = h2::server::Builder::new()
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(MAX_FRAME_BYTES)
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_GIVEN_UP)
        .max_header_list_size(HEADER_LIST_BYTES)
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .handshake(stream);
    let Ok(mut connection) = builder.await else { return };
    let mut requests = tokio::task::JoinSet::new(); // dropped with the session, and every reader with it
    while let Some(accepted) = connection.accept().await {
        let Ok((request, respond)) = accepted else { break };
        requests.spawn_local(http::answer(agent.clone(), request, respond));
        while requests.try_join_next().is_some() {}
    }
}

/// Serves one session after the other on a stream that has no notion of a connection, each after a hello, until the
/// stream reports its end.
pub async fn serve_greeted<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, agent: &Rc<Agent>) -> io::Result<()> {
    let mut unread = BytesMut::new();
    while let Some(rest) = hello::greet(stream, unread).await? {
        let mut channel = Channel::new(stream, rest);
        serve(&mut channel, agent.clone()).await;
        unread = channel.into_tail();
    }
    Ok(())
}
