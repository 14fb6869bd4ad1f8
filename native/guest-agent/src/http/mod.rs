//! Requests of the host: routed, answered, bounded.

mod failure;
mod query;
mod router;

use std::rc::Rc;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{Request, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use failure::Failure;

use crate::process::Processes;

/// arguments and environment, 1 MiB each, with room for JSON's escapes
const BODY_BYTES: usize = 8 * 1024 * 1024;

/// What every session shares.
pub struct Agent {
    pub userspace_start_ms: f64,
    pub processes: Rc<Processes>,
}

impl Agent {
    pub fn new(userspace_start_ms: f64) -> Self {
        Agent { userspace_start_ms, processes: Rc::new(Processes::default()) }
    }
}

/// Answers one request; whatever goes wrong with the line ends only this answer.
pub async fn answer(agent: Rc<Agent>, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    if let Err(failure) = router::route(&agent, request, &mut respond).await {
        send_json(&mut respond, failure.status, &failure.body());
    }
}

pub fn send_json<T: Serialize>(respond: &mut SendResponse<Bytes>, status: StatusCode, value: &T) {
    let Ok(body) = serde_json::to_vec(value) else { return };
    if let Some(mut stream) = send_head(respond, status, "application/json") {
        let _ = stream.send_data(Bytes::from(body), true);
    }
}

pub fn send_empty(respond: &mut SendResponse<Bytes>, status: StatusCode) {
    let mut head = Response::new(());
    *head.status_mut() = status;
    let _ = respond.send_response(head, true);
}

/// None where the peer has gone.
pub fn send_head(respond: &mut SendResponse<Bytes>, status: StatusCode, media_type: &'static str) -> Option<SendStream<Bytes>> {
    let mut head = Response::new(());
    *head.status_mut() = status;
    head.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(media_type));
    respond.send_response(head, false).ok()
}

/// Reads a JSON body; an absent one counts as `{}`.
async fn read_json<T: DeserializeOwned>(body: &mut RecvStream) -> Result<T, Failure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.map_err(|why| Failure::bad_request(&format!("the body broke off: {why}")))?;
        if bytes.len() + chunk.len() > BODY_BYTES {
            return Err(Failure::too_large(&format!("the body is larger than {BODY_BYTES} bytes")));
        }
        bytes.extend_from_slice(&chunk);
        let _ = body.flow_control().release_capacity(chunk.len());
    }
    let text = if bytes.is_empty() { b"{}" } else { &bytes[..] };
    serde_json::from_slice(text).map_err(|why| Failure::bad_request(&format!("body: {why}")))
}
