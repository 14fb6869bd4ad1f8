//! Between the host and a worker: the order and the body in, the head and the body out.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::io;
use std::rc::Rc;
use std::task::Poll;

use bytes::{Buf, Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::{Receiver, Sender};

use super::crew::Hired;
use super::order::{Asked, Order};
use crate::http::{Agent, Failure};
use crate::process::find_user;
use crate::sys::Ended;

/// of the line that a worker's answer begins with; worker and agent are the same program, but the user may meddle
const HEAD_BYTES: usize = 65_536;
/// larger ones are mapped and unmapped for each read
const READ_BYTES: usize = 64 * 1024;
/// of a body that are handed over at once, where so much has come
const PIECE_BYTES: usize = 128 * 1024;

/// the line that a worker's answer begins with
#[derive(Serialize, Deserialize)]
pub struct Head {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
}

/// Answers `/v1/files/<what>`.
pub async fn serve(
    agent: &Rc<Agent>,
    what: &str,
    head: &Parts,
    mut body: RecvStream,
    respond: &mut SendResponse<Bytes>,
) -> Result<(), Failure> {
    let owner_of = |name: &str| find_user(name).map(|user| (user.credentials.uid, user.credentials.gid));
    let Asked { user, job } = Asked::read(head, what, &mut body, owner_of).await?;
    let user = find_user(&user)?;
    agent.processes.check_open()?;
    let body = job.takes_body().then_some(body);
    let (mut hired, input) = agent.crew.hire(&user, &job, agent.processes.file_limit)?;
    let order = serde_json::to_vec(&Order { home: user.home, job }).unwrap_or_default();
    tokio::select! {
        answered = answer(&mut hired, respond) => answered,
        never = feed(input, order, body) => match never {},
    }
}

/// Writes the order and the body, each piece after its length, and a length of 0 after the last: a body that breaks
/// off is not taken for a whole one.
async fn feed(mut input: Sender, order: Vec<u8>, body: Option<RecvStream>) -> Infallible {
    let _ = feed_all(&mut input, order, body).await; // a worker that reads no more has its reason, and answers
    drop(input);
    pending().await
}

async fn feed_all(input: &mut Sender, order: Vec<u8>, body: Option<RecvStream>) -> io::Result<()> {
    write_piece(input, &order).await?;
    if let Some(mut body) = body {
        let mut piece = BytesMut::with_capacity(PIECE_BYTES);
        while gather(&mut body, &mut piece).await? {
            write_piece(input, &piece).await?;
            let _ = body.flow_control().release_capacity(piece.len());
        }
    }
    input.write_u32(0).await
}

/// Fills a piece with what has come of the body, at least something; false at its end. Each piece wakes the worker, and
/// under software emulation that costs more than the work on a frame's 16 KiB.
async fn gather(body: &mut RecvStream, piece: &mut BytesMut) -> io::Result<bool> {
    piece.clear();
    poll_fn(|context| {
        while piece.len() < PIECE_BYTES {
            match body.poll_data(context) {
                Poll::Ready(Some(Ok(chunk))) => piece.extend_from_slice(&chunk),
                Poll::Ready(Some(Err(why))) => return Poll::Ready(Err(io::Error::other(why))),
                Poll::Pending if piece.is_empty() => return Poll::Pending,
                Poll::Pending | Poll::Ready(None) => break,
            }
        }
        Poll::Ready(Ok(!piece.is_empty()))
    })
    .await
}

async fn write_piece(input: &mut Sender, piece: &[u8]) -> io::Result<()> {
    let length = (piece.len() as u32).to_be_bytes();
    input.write_all_buf(&mut Buf::chain(&length[..], piece)).await
}

async fn answer(hired: &mut Hired, respond: &mut SendResponse<Bytes>) -> Result<(), Failure> {
    let mut held = BytesMut::new();
    let head = loop {
        if let Some(end) = held.iter().position(|byte| *byte == b'\n') {
            break held.split_to(end + 1);
        }
        let length = tokio::select! {
            read = read(&mut hired.output, &mut held) => read.unwrap_or(0),
            _ = poll_fn(|context| respond.poll_reset(context)) => return Ok(()), // nobody waits for it any more
        };
        if length == 0 {
            return Err(Failure::internal(&format!("the worker {} before it had answered", told(hired).await)));
        }
        if held.len() > HEAD_BYTES + READ_BYTES {
            return Err(Failure::internal("the worker's answer has no head"));
        }
    };
    let head = parse_head(&head).ok_or_else(|| Failure::internal("the worker's answer has no head"))?;
    if let Ok(stream) = respond.send_response(head, false) {
        send_body(hired, held, stream).await;
    }
    Ok(())
}

fn parse_head(line: &[u8]) -> Option<Response<()>> {
    let head: Head = serde_json::from_slice(line).ok()?;
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(head.status).ok()?;
    for (name, value) in &head.headers {
        response.headers_mut().insert(HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
    }
    Some(response)
}

/// Sends what the worker writes, as far as the peer has room for it. An answer that is not whole ends with a reset.
async fn send_body(hired: &mut Hired, mut held: BytesMut, mut stream: SendStream<Bytes>) {
    loop {
        if !held.is_empty() && send(&mut stream, held.split().freeze()).await.is_none() {
            return;
        }
        let length = tokio::select! {
            read = read(&mut hired.output, &mut held) => read.unwrap_or(0),
            _ = poll_fn(|context| stream.poll_reset(context)) => return,
        };
        if length == 0 {
            break;
        }
    }
    if hired.ended().await == Ended::Code(0) {
        let _ = stream.send_data(Bytes::new(), true);
    } else {
        stream.send_reset(Reason::INTERNAL_ERROR);
    }
}

/// None where the peer has gone.
async fn send(stream: &mut SendStream<Bytes>, mut bytes: Bytes) -> Option<()> {
    while !bytes.is_empty() {
        stream.reserve_capacity(bytes.len());
        let capacity = match stream.capacity() {
            0 => poll_fn(|context| stream.poll_capacity(context)).await?.ok()?,
            capacity => capacity,
        };
        stream.send_data(bytes.split_to(capacity.min(bytes.len())), false).ok()?;
    }
    Some(())
}

async fn read(output: &mut Receiver, held: &mut BytesMut) -> io::Result<usize> {
    held.reserve(READ_BYTES);
    output.read_buf(held).await
}

async fn told(hired: &Hired) -> String {
    match hired.ended().await {
        Ended::Code(code) => format!("ended with code {code}"),
        Ended::Signal(signal) => format!("was ended by signal {signal}"),
    }
}
