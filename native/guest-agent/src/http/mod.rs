//! Requests of the host: routed, answered, bounded.

mod failure;
mod query;
mod router;
mod terminals;

use std::future::poll_fn;
use std::rc::Rc;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{Request, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use failure::Failure;
pub use query::Query;

use crate::boot::Booted;
use crate::connections::Connections;
use crate::files::Crew;
use crate::process::Processes;
use crate::sys::FileLimit;
use crate::terminal::Terminals;

/// arguments and environment, 1 MiB each, with room for JSON's escapes
const BODY_BYTES: usize = 8 * 1024 * 1024;

/// What every session shares.
pub struct Agent {
    pub userspace_start_ms: f64,
    pub booted: Booted,
    pub processes: Rc<Processes>,
    pub terminals: Rc<Terminals>,
    /// who works on files
    pub crew: Rc<Crew>,
    pub connections: Rc<Connections>,
}

impl Agent {
    pub fn new(userspace_start_ms: f64, booted: Booted, file_limit: FileLimit) -> Self {
        let processes = Rc::new(Processes::new(file_limit));
        let terminals = Rc::new(Terminals::new(processes.clone()));
        Agent { userspace_start_ms, booted, processes, terminals, crew: Rc::default(), connections: Rc::default() }
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
pub fn send_head(
    respond: &mut SendResponse<Bytes>,
    status: StatusCode,
    media_type: &'static str,
) -> Option<SendStream<Bytes>> {
    let mut head = Response::new(());
    *head.status_mut() = status;
    head.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(media_type));
    respond.send_response(head, false).ok()
}

/// What `work` gives; None once nobody waits for the answer any more, so that work that may take for ever is not kept.
pub async fn while_wanted<T>(respond: &mut SendResponse<Bytes>, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        done = work => Some(done),
        _ = poll_fn(|context| respond.poll_reset(context)) => None,
    }
}

/// Reads a JSON object; an absent body counts as an empty one.
pub async fn read_json<T: DeserializeOwned>(body: &mut RecvStream) -> Result<T, Failure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.map_err(|why| Failure::bad_request(&format!("the body broke off: {why}")))?;
        if bytes.len() + chunk.len() > BODY_BYTES {
            return Err(Failure::too_large(&format!("the body is larger than {BODY_BYTES} bytes")));
        }
        bytes.extend_from_slice(&chunk);
        let _ = body.flow_control().release_capacity(chunk.len());
    }
    parse_json(if bytes.is_empty() { b"{}" } else { &bytes })
}

fn parse_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, Failure> {
    // the parser would take an array's elements for the fields in their order
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err(Failure::bad_request("body: not a JSON object"));
    }
    let mut parser = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut parser).map_err(|why| {
        let told = format!("body: {why}");
        // serde has no other sign of it
        if why.inner().to_string().starts_with("unknown field") {
            Failure::unsupported(&told)
        } else {
            Failure::bad_request(&told)
        }
    })?;
    parser.end().map_err(|why| Failure::bad_request(&format!("body: {why}")))?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::StartRequest;

    fn refusal(text: &str) -> String {
        let Err(failure) = parse_json::<StartRequest>(text.as_bytes()) else { panic!("taken: {text}") };
        failure.body()["error"]["message"].to_string()
    }

    #[test]
    fn names_the_field_that_is_wrong() {
        assert!(refusal(r#"{"argv":["a"],"bogus":1}"#).contains("bogus"));
        assert!(refusal(r#"{"argv":"a"}"#).contains("argv"));
        assert!(refusal(r#"{"argv":["a",7]}"#).contains("argv[1]"));
        assert!(refusal(r#"{"argv":["a"],"env":{"A":1}}"#).contains("env.A"));
        assert!(refusal(r#"{"argv":["a"],"timeoutMs":"soon"}"#).contains("timeoutMs"));
        assert!(refusal("{}").contains("argv"));
    }

    #[test]
    fn takes_one_object_and_nothing_else() {
        for text in [
            "",
            "[]",
            "null",
            r#"["id",["a"]]"#,
            r#"{"argv":["a"]} {}"#,
            "{",
            r#"{"argv":["a"],"argv":["b"]}"#,
            "\u{feff}{}",
        ] {
            refusal(text);
        }
        assert!(parse_json::<StartRequest>(b" \n{\"argv\":[\"a\"]}\n").is_ok());
    }
}
