//! Requests about terminals.

use std::rc::Rc;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::request::Parts;
use http::{Method, StatusCode};
use serde_json::json;

use super::query::Query;
use super::{Agent, Failure, read_json, send_empty, send_head, send_json};
use crate::terminal::{self, CreateRequest, Size, Viewer};

const VIEWER_STREAM: &str = "application/vnd.workfort.terminal";

/// `path` is what follows `/v1/terminals`.
pub async fn route(
    agent: &Rc<Agent>,
    head: &Parts,
    path: &[&str],
    query: &Query<'_>,
    body: &mut RecvStream,
    respond: &mut SendResponse<Bytes>,
) -> Result<(), Failure> {
    let terminals = &agent.terminals;
    match (&head.method, path) {
        (&Method::POST, []) => {
            let request: CreateRequest = read_json(body).await?;
            let terminal = terminal::create(terminals, request)?;
            send_json(respond, StatusCode::CREATED, &terminal.describe());
        }
        (&Method::GET, []) => {
            let all = terminals.all();
            let described: Vec<_> = all.iter().map(|terminal| terminal.describe()).collect();
            send_json(respond, StatusCode::OK, &json!({ "terminals": described }));
        }
        (&Method::GET, [id]) => send_json(respond, StatusCode::OK, &terminals.find(id)?.describe()),
        (&Method::DELETE, [id]) => {
            // goes on if the line is lost
            let _ = tokio::task::spawn_local(terminals.clone().delete(terminals.find(id)?)).await;
            send_empty(respond, StatusCode::NO_CONTENT);
        }
        (&Method::POST, [id, "resize"]) => {
            let size: Size = read_json(body).await?;
            let terminal = terminals.find(id)?;
            terminals.resize(&terminal, size.check()?)?;
            send_json(respond, StatusCode::OK, &terminal.describe());
        }
        (&Method::POST, [id, "input"]) => {
            let accepted = terminals.find(id)?.write_input(body).await?;
            send_json(respond, StatusCode::OK, &json!({ "accepted": accepted }));
        }
        (&Method::GET, [id, "attach"]) => {
            let terminal = terminals.find(id)?;
            let viewer = Viewer::new(terminal.clone())?;
            if let Some(size) = wanted_size(query)?
                && !terminal.has_ended()
            {
                terminals.resize(&terminal, size)?;
            }
            if let Some(stream) = send_head(respond, StatusCode::OK, VIEWER_STREAM) {
                viewer.follow(stream).await;
            }
        }
        (method, _) => return Err(Failure::unsupported(&format!("there is no {method} {}", head.uri.path()))),
    }
    Ok(())
}

fn wanted_size(query: &Query<'_>) -> Result<Option<Size>, Failure> {
    match (query.number("columns")?, query.number("rows")?) {
        (None, None) => Ok(None),
        (Some(columns), Some(rows)) => {
            // more than fits is refused as too large
            let bounded = |number| u16::try_from(number).unwrap_or(u16::MAX);
            Size { columns: bounded(columns), rows: bounded(rows) }.check().map(Some)
        }
        _ => Err(Failure::bad_request("query: columns and rows go together")),
    }
}
