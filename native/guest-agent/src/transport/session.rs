//! One stretch of HTTP/2 on a stream.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http::{self, Agent};

/// windows and frames of the protocol: HTTP/2's defaults cost two thirds of the throughput (measured)
const STREAM_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
const MAX_FRAME_BYTES: u32 = 1024 * 1024;
const MAX_STREAMS: u32 = 256;
const HEADER_LIST_BYTES: u32 = 65_536;
/// queued for one stream before its sender has to wait
const SEND_BUFFER_BYTES: usize = 1024 * 1024;

/// Serves until the peer goes or breaks the protocol; either ends this session and nothing else.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, agent: Rc<Agent>) {
    let builder = h2::server::Builder::new()
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(MAX_FRAME_BYTES)
        .max_concurrent_streams(MAX_STREAMS)
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

/// A stream of which some bytes have been read already.
pub struct Prefixed<S> {
    pub prefix: BytesMut,
    pub stream: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.prefix.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let take = self.prefix.len().min(buffer.remaining());
        buffer.put_slice(&self.prefix[..take]);
        self.prefix.advance(take);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
