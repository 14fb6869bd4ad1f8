//! The hello, sessions, and lines that break.

use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::agent::Agent;
use crate::client::{Client, NONCE, await_ready, say_hello};

const WINDOW_BYTES: u32 = 65_535;

#[tokio::test]
async fn garbage_before_the_hello_is_discarded() {
    let agent = Agent::start();
    let mut line = agent.connect().await;
    let mut garbage: Vec<u8> = (0..300_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    garbage.extend(b"WORKFORT/1 HELLO 0123\nWORKFORT/1 HELLO WORKFORT/1 HELLO ");
    line.write_all(&garbage).await.unwrap();
    say_hello(&mut line, NONCE).await;
    assert_eq!(Client::begin(line, WINDOW_BYTES).await.get("/v1/agent").await.0, 200);
}

#[tokio::test]
async fn a_hello_may_come_in_pieces() {
    let agent = Agent::start();
    let mut line = agent.connect().await;
    for byte in format!("WORKFORT/1 HELLO {NONCE}\n").bytes() {
        line.write_all(&[byte]).await.unwrap();
        line.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
    await_ready(&mut line, NONCE).await;
    assert_eq!(Client::begin(line, WINDOW_BYTES).await.get("/v1/agent").await.0, 200);
}

#[tokio::test]
async fn a_second_hello_on_the_same_line_begins_anew() {
    let agent = Agent::start();
    let mut line = agent.connect().await;
    say_hello(&mut line, NONCE).await;
    let other = NONCE.replace('0', "f");
    say_hello(&mut line, &other).await;
    say_hello(&mut line, NONCE).await;
    assert_eq!(Client::begin(line, WINDOW_BYTES).await.get("/v1/agent").await.0, 200);
}

#[tokio::test]
async fn a_hello_within_a_session_begins_anew_once_http_has_failed() {
    let agent = Agent::start();
    let mut line = agent.connect().await;
    say_hello(&mut line, NONCE).await;
    line.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    say_hello(&mut line, &NONCE.replace('0', "f")).await;
    assert_eq!(Client::begin(line, WINDOW_BYTES).await.get("/v1/agent").await.0, 200);
}

#[tokio::test]
async fn a_hello_in_a_body_is_nothing_but_bytes() {
    let (_agent, mut client) = Agent::with_client().await;
    let text = format!("WORKFORT/1 HELLO {NONCE}\n");
    let stream = client.attach(json!({ "id": "h", "argv": ["cat"], "stdin": "open" })).await;
    client.raw("POST", "/v1/processes/h/stdin?close=true", text.clone()).await;
    assert_eq!(stream.whole().await.text(), text);
    assert_eq!(client.get("/v1/agent").await.0, 200);
}

#[tokio::test]
async fn one_session_at_a_time_and_the_next_as_soon_as_it_ends() {
    let (agent, mut client) = Agent::with_client().await;
    client.script("lives", "exec sleep 1000").await;
    for _ in 0..50 {
        client.cut().await;
        client = agent.client().await;
        assert_eq!(client.process("lives").await["state"], "running");
    }
}

#[tokio::test]
async fn an_idle_agent_takes_no_processor_time() {
    let (agent, mut client) = Agent::with_client().await;
    client.script("idle", "exec sleep 1000").await;
    client.cut().await;
    let _line = agent.connect().await;
    let before = agent.ticks();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await; // what is measured, not waited for
    assert!(agent.ticks() - before <= 1);
}
