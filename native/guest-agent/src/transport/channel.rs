//! A byte stream without connections, for the length of one session. What was read before the session comes first;
//! small writes go out together, as each costs the host an interrupt; and the last bytes read are remembered, as they
//! may be the hello of a host that came back unnoticed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::hello::LINE_BYTES;

/// the virtio-serial driver takes at most this in one write
const WRITE_BYTES: usize = 32 * 1024;

pub struct Channel<'a, S> {
    stream: &'a mut S,
    read_before: BytesMut,
    tail: BytesMut,
    unsent: BytesMut,
}

impl<'a, S> Channel<'a, S> {
    pub fn new(stream: &'a mut S, read_before: BytesMut) -> Self {
        Channel {
            stream,
            read_before,
            tail: BytesMut::with_capacity(2 * LINE_BYTES),
            unsent: BytesMut::with_capacity(WRITE_BYTES),
        }
    }

    /// The end of what was read, as long as a hello.
    pub fn into_tail(self) -> BytesMut {
        self.tail
    }

    fn remember(&mut self, read: &[u8]) {
        let new = &read[read.len().saturating_sub(LINE_BYTES)..];
        let surplus = (self.tail.len() + new.len()).saturating_sub(LINE_BYTES);
        self.tail.advance(surplus);
        self.tail.extend_from_slice(new);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Channel<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.read_before.is_empty() {
            ready!(Pin::new(&mut *self.stream).poll_read(context, buffer))?;
        } else {
            let length = self.read_before.len().min(buffer.remaining());
            buffer.put_slice(&self.read_before.split_to(length));
        }
        let read = &buffer.filled()[before..];
        if read.is_empty() {
            self.tail.clear(); // that host has gone
        }
        self.remember(read);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Channel<'_, S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.unsent.len() == WRITE_BYTES {
            ready!(self.as_mut().poll_send(context))?;
        }
        if self.unsent.is_empty() && bytes.len() >= WRITE_BYTES {
            return Pin::new(&mut *self.stream).poll_write(context, &bytes[..WRITE_BYTES]);
        }
        let length = bytes.len().min(WRITE_BYTES - self.unsent.len());
        self.unsent.extend_from_slice(&bytes[..length]);
        Poll::Ready(Ok(length))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_send(context))?;
        Pin::new(&mut *self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // the stream itself stays open for the next session
        self.as_mut().poll_flush(context)
    }
}

impl<S: AsyncWrite + Unpin> Channel<'_, S> {
    fn poll_send(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Channel { stream, unsent, .. } = &mut *self;
        while !unsent.is_empty() {
            match ready!(Pin::new(&mut **stream).poll_write(context, unsent))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                length => unsent.advance(length),
            }
        }
        unsent.clear();
        Poll::Ready(Ok(()))
    }
}
