//! A host that breaks every rule ends its session and nothing else.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::agent::Agent;
use crate::client::{Client, NONCE, await_ready, say_hello};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A line in the middle of a session, on an agent that has a process.
async fn session() -> (Agent, UnixStream) {
    let (agent, mut client) = Agent::with_client().await;
    client.script("lives", "exec sleep 1000").await;
    client.cut().await;
    let mut line = agent.connect().await;
    say_hello(&mut line, NONCE).await;
    (agent, line)
}

/// The agent goes back to waiting for a hello on the same line, and has lost nothing.
async fn assert_recovers(agent: Agent, mut line: UnixStream) {
    let nonce = NONCE.replace('0', "e");
    line.write_all(format!("WORKFORT/1 HELLO {nonce}\n").as_bytes()).await.unwrap();
    await_ready(&mut line, &nonce).await;
    let mut client = Client::begin(line, 65_535).await;
    assert_eq!(client.process("lives").await["state"], "running");
    drop(agent);
}

#[tokio::test]
async fn garbage_instead_of_http() {
    let (agent, mut line) = session().await;
    line.write_all(b"GET / HTTP/1.1\r\nHost: guest\r\n\r\n").await.unwrap();
    assert_recovers(agent, line).await;
}

#[tokio::test]
async fn garbage_after_the_preface() {
    let (agent, mut line) = session().await;
    line.write_all(PREFACE).await.unwrap();
    line.write_all(&[0xff; 10_000]).await.unwrap();
    assert_recovers(agent, line).await;
}

#[tokio::test]
async fn frames_out_of_place() {
    for bad in [
        frame(0, 1, 1, b"data of a stream that was never opened"),
        frame(1, 5, 2, b"\x82"),
        frame(8, 0, 0, &[0; 4]),
        frame(4, 0, 0, &[0; 5]),
        frame(9, 4, 1, b"a continuation of nothing"),
        [0x10, 0, 1, 0, 0, 0, 0, 0, 1].to_vec(),
    ] {
        let (agent, mut line) = session().await;
        line.write_all(&[PREFACE, &bad].concat()).await.unwrap();
        assert_recovers(agent, line).await;
    }
}

#[tokio::test]
async fn headers_that_never_end() {
    let (agent, mut line) = session().await;
    let (mut reading, mut writing) = line.split();
    let talk = async {
        writing.write_all(&[PREFACE, &frame(1, 1, 1, b"\x82")].concat()).await.unwrap();
        let mut sent = 0;
        let header = [&b"\x00\x01a\x7f\x81\x1f"[..], &[b'x'; 288]].concat();
        let more = frame(9, 0, 1, &header.repeat(16));
        while sent < 64 * 1024 * 1024 {
            writing.write_all(&more).await.unwrap();
            sent += more.len();
        }
    };
    let listen = async {
        let mut heard = [0; 4096];
        loop {
            let length = reading.read(&mut heard).await.unwrap();
            if heard[..length].windows(9).any(|head| head[3] == 7) {
                return; // a GOAWAY
            }
        }
    };
    tokio::select! {
        () = talk => {} // all of it was swallowed as garbage between sessions
        () = listen => {}
    }
    drop(line); // it may hold half a frame
    let mut client = agent.client().await;
    assert_eq!(client.process("lives").await["state"], "running");
    assert!(client.resident_bytes().await < 12_000_000);
}

#[tokio::test]
async fn a_header_list_beyond_its_bound() {
    let (_agent, mut client) = Agent::with_client().await;
    let (status, _) = client.send("GET", &format!("/{}", "x".repeat(50_000)), "").await;
    assert_eq!(status, 501);
    let answer = client.open_with_headers(&[("x-long", "y".repeat(40_000)), ("x-longer", "z".repeat(40_000))]).await;
    assert!(answer.await.map_or(true, |answer| answer.status() == 431));
}

#[tokio::test]
async fn streams_opened_and_reset_without_end_cost_neither_the_session_nor_memory() {
    let (_agent, mut client) = Agent::with_client().await;
    client.script("lives", "exec sleep 1000").await;
    let paths = ["/v1/processes/lives/wait", "/v1/ends?after=0&wait=true", "/v1/stats"];
    let (mut before, mut after) = (0, 0);
    for round in 0..100 {
        for path in paths.iter().cycle().take(200) {
            let (answer, mut body) = client.open("GET", path).await;
            body.send_reset(h2::Reason::CANCEL);
            drop(answer);
        }
        after = client.resident_bytes().await; // on the same session
        if round == 2 {
            before = after;
        }
    }
    assert!(after < before + 4_000_000, "{before} {after}");
    assert_eq!(client.process("lives").await["state"], "running");
}

#[tokio::test]
async fn a_body_that_breaks_off_starts_nothing() {
    let (agent, mut client) = Agent::with_client().await;
    let (_answer, mut body) = client.open("POST", "/v1/processes").await;
    body.send_data("{\"argv\":[\"true\"]".into(), false).unwrap();
    assert_eq!(client.get("/v1/agent").await.0, 200);
    client.cut().await;
    let (_, all) = agent.client().await.get("/v1/processes").await;
    assert_eq!(all, json!({ "processes": [] }));
}
