//! Which path does what.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{Method, Request, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::query::Query;
use super::{Agent, Failure, read_json, send_empty, send_head, send_json, terminals, while_wanted};
use crate::process::{self, Process, SignalRequest, StartRequest};
use crate::{connections, files, identity, power, stats};

const OUTPUT_STREAM: &str = "application/vnd.workfort.output";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PowerRequest {
    action: PowerAction,
    #[serde(default = "default_grace_ms")]
    grace_ms: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum PowerAction {
    Poweroff,
    Reboot,
}

fn default_grace_ms() -> u64 {
    2000
}

pub async fn route(
    agent: &Rc<Agent>,
    request: Request<RecvStream>,
    respond: &mut SendResponse<Bytes>,
) -> Result<(), Failure> {
    let (head, mut body) = request.into_parts();
    let path: Vec<&str> = head.uri.path().split('/').skip(1).collect();
    if let ["v1", "files", what] = path.as_slice() {
        return files::serve(agent, what, &head, body, respond).await;
    }
    let query = match path.as_slice() {
        ["v1", "processes", _, "output"] => Query::parse(head.uri.query(), &["stdout", "stderr", "follow"]),
        ["v1", "processes", _, "stdin"] => Query::parse(head.uri.query(), &["offset", "close"]),
        ["v1", "ends"] => Query::parse(head.uri.query(), &["after", "wait"]),
        ["v1", "connections"] => Query::parse(head.uri.query(), &["port", "socket"]),
        ["v1", "terminals", _, "attach"] => Query::parse(head.uri.query(), &["columns", "rows"]),
        _ => Query::parse(head.uri.query(), &[]),
    }?;
    if let ["v1", "terminals", rest @ ..] = path.as_slice() {
        return terminals::route(agent, &head, rest, &query, &mut body, respond).await;
    }
    match (&head.method, path.as_slice()) {
        (&Method::GET, ["v1", "agent"]) => {
            send_json(respond, StatusCode::OK, &identity::describe(agent.userspace_start_ms, &agent.booted))
        }
        (&Method::GET, ["v1", "stats"]) => {
            if let Some(stats) = while_wanted(respond, stats::collect()).await {
                send_json(respond, StatusCode::OK, &*stats?);
            }
        }
        (&Method::POST, ["v1", "identity"]) => {
            identity::apply(&read_json(&mut body).await?)?;
            send_json(respond, StatusCode::OK, &json!({}));
        }
        (&Method::POST, ["v1", "connections"]) => {
            connections::serve(&agent.connections, &query, body, respond).await?;
        }
        (&Method::POST, ["v1", "power"]) => {
            let PowerRequest { action: PowerAction::Poweroff | PowerAction::Reboot, grace_ms } =
                read_json(&mut body).await?;
            if grace_ms > 60_000 {
                return Err(Failure::bad_request("graceMs: 0 to 60000"));
            }
            if !agent.processes.close() {
                return Err(Failure::conflict("the VM is ending already"));
            }
            send_json(respond, StatusCode::ACCEPTED, &json!({}));
            // the session that asked may end before the VM does
            agent.processes.run_detached(power::end(agent.processes.clone(), Duration::from_millis(grace_ms)));
        }
        (&Method::POST, ["v1", "processes"]) => {
            let start: StartRequest = read_json(&mut body).await?;
            let attach = start.attach;
            let process = process::start(&agent.processes, start)?;
            if attach {
                stream_output(process, respond, [0, 0], true).await;
            } else {
                send_json(respond, StatusCode::CREATED, &process.describe());
            }
        }
        (&Method::GET, ["v1", "processes"]) => {
            let all = agent.processes.all();
            let described: Vec<_> = all.iter().map(|process| process.describe()).collect();
            send_json(respond, StatusCode::OK, &json!({ "processes": described }));
        }
        (&Method::GET, ["v1", "processes", id]) => {
            send_json(respond, StatusCode::OK, &agent.processes.find(id)?.describe())
        }
        (&Method::DELETE, ["v1", "processes", id]) => {
            agent.processes.forget(id)?;
            send_empty(respond, StatusCode::NO_CONTENT);
        }
        (&Method::GET, ["v1", "processes", id, "wait"]) => {
            let process = agent.processes.find(id)?;
            if while_wanted(respond, process.ended()).await.is_some() {
                send_json(respond, StatusCode::OK, &process.describe());
            }
        }
        (&Method::GET, ["v1", "processes", id, "output"]) => {
            let (from, follow) = ([query.offset("stdout")?, query.offset("stderr")?], query.flag("follow")?);
            let process = agent.processes.find(id)?;
            process.check_offsets(from)?;
            stream_output(process, respond, from, follow).await;
        }
        (&Method::GET, ["v1", "ends"]) => {
            let (after, processes) = (query.offset("after")?, &agent.processes);
            if query.flag("wait")? && while_wanted(respond, processes.ends.wait(after)).await.is_none() {
                return Ok(());
            }
            let (last, ends) = (processes.ends.last(), processes.ends.after(after));
            let running = processes.running_ids();
            send_json(respond, StatusCode::OK, &json!({ "last": last, "ends": ends, "running": running }));
        }
        (&Method::POST, ["v1", "processes", id, "stdin"]) => {
            let process = agent.processes.find(id)?;
            let accepted = process.write_stdin(&mut body, query.offset("offset")?, query.flag("close")?).await?;
            send_json(respond, StatusCode::OK, &json!({ "accepted": accepted }));
        }
        (&Method::POST, ["v1", "processes", id, "signal"]) => {
            let signal: SignalRequest = read_json(&mut body).await?;
            agent.processes.find(id)?.signal(signal.number()?)?;
            send_json(respond, StatusCode::OK, &json!({}));
        }
        (method, _) => return Err(Failure::unsupported(&format!("there is no {method} {}", head.uri.path()))),
    }
    Ok(())
}

async fn stream_output(process: Rc<Process>, respond: &mut SendResponse<Bytes>, from: [u64; 2], follow: bool) {
    if let Some(stream) = send_head(respond, StatusCode::OK, OUTPUT_STREAM) {
        process.send_output(stream, from, follow).await;
    }
}
