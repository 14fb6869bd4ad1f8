//! Both directions of a connection. A piece is read only once there is room for it on the other side, so that what a
//! slow reader leaves lies in the sender's own buffers.

use std::future::poll_fn;
use std::io;
use std::pin::pin;

use bytes::{Bytes, BytesMut};
use h2::{Reason, RecvStream, SendStream};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::{ReadHalf, WriteHalf};

use super::socket::Socket;

const PIECE_BYTES: usize = 64 * 1024;

/// who has gone before the end
enum Gone {
    Host,
    Guest,
}

pub async fn relay(Socket(mut stream): Socket, body: RecvStream, mut answer: SendStream<Bytes>) {
    match relay_both(&mut stream, body, &mut answer).await {
        Ok(()) => Socket(stream).release(),
        Err(Gone::Host) => {} // its end aborts it
        Err(Gone::Guest) => answer.send_reset(Reason::CONNECT_ERROR),
    }
}

async fn relay_both(stream: &mut UnixStream, body: RecvStream, answer: &mut SendStream<Bytes>) -> Result<(), Gone> {
    let (from_guest, to_guest) = stream.split();
    let mut inward = pin!(pass_in(body, to_guest));
    let inward_ended = tokio::select! {
        ended = &mut inward => {
            ended?;
            true
        }
        ended = pass_out(&from_guest, answer) => {
            ended?;
            false
        }
    };
    if inward_ended {
        return pass_out(&from_guest, answer).await;
    }
    tokio::select! {
        ended = inward => ended,
        _ = poll_fn(|context| answer.poll_reset(context)) => Err(Gone::Host),
    }
}

async fn pass_in(mut body: RecvStream, mut to_guest: WriteHalf<'_>) -> Result<(), Gone> {
    while let Some(piece) = body.data().await {
        let piece = piece.map_err(|_| Gone::Host)?;
        match to_guest.write_all(&piece).await {
            Ok(()) => {}
            // it takes no more, and may have something to say yet
            Err(why) if why.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Err(_) => return Err(Gone::Guest),
        }
        let _ = body.flow_control().release_capacity(piece.len());
    }
    let _ = to_guest.shutdown().await;
    Ok(())
}

/// Can be dropped and begun again: nothing is between having been read and having been sent.
async fn pass_out(from_guest: &ReadHalf<'_>, answer: &mut SendStream<Bytes>) -> Result<(), Gone> {
    loop {
        tokio::select! {
            ready = from_guest.readable() => ready.map_err(|_| Gone::Guest)?,
            _ = poll_fn(|context| answer.poll_reset(context)) => return Err(Gone::Host),
        }
        let room = room(answer).await?;
        let mut piece = BytesMut::with_capacity(room);
        match from_guest.try_read_buf(&mut piece) {
            Ok(0) => return answer.send_data(Bytes::new(), true).map_err(|_| Gone::Host),
            Ok(_) => answer.send_data(piece.freeze(), false).map_err(|_| Gone::Host)?,
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return Err(Gone::Guest),
        }
        answer.reserve_capacity(0); // what a silent connection has reserved, others would lack
    }
}

/// How much the host takes now, at least a byte and at most a piece.
async fn room(answer: &mut SendStream<Bytes>) -> Result<usize, Gone> {
    answer.reserve_capacity(PIECE_BYTES);
    let mut room = answer.capacity();
    while room == 0 {
        match poll_fn(|context| answer.poll_capacity(context)).await {
            Some(Ok(capacity)) => room = capacity,
            _ => return Err(Gone::Host),
        }
    }
    Ok(room.min(PIECE_BYTES))
}
