//! Writing to a process.

use bytes::Bytes;
use serde_json::json;

use crate::agent::{Agent, eventually};
use crate::client::{read_json, send_all};

#[tokio::test]
async fn offsets_make_a_retry_safe() {
    let (_agent, mut client) = Agent::with_client().await;
    let stream = client.attach(json!({ "id": "i", "argv": ["cat"], "stdin": "open" })).await;
    assert_eq!(client.raw("POST", "/v1/processes/i/stdin", "abc").await, (200, json!({ "accepted": 3 })));
    let (status, body) = client.raw("POST", "/v1/processes/i/stdin?offset=0", "abc").await;
    assert_eq!((status, &body["error"]["code"]), (409, &json!("conflict")));
    assert!(body["error"]["message"].as_str().unwrap().contains("accepted 3 bytes"), "{body}");
    assert_eq!(
        client.raw("POST", "/v1/processes/i/stdin?offset=3&close=true", "def").await,
        (200, json!({ "accepted": 6 }))
    );
    assert_eq!(client.process("i").await["stdin"], json!({ "state": "closed", "accepted": 6 }));
    assert_eq!(client.raw("POST", "/v1/processes/i/stdin?offset=6", "x").await.0, 409);
    assert_eq!(stream.whole().await.text(), "abcdef");
}

#[tokio::test]
async fn a_process_without_stdin_reads_its_end_at_once() {
    let (_agent, mut client) = Agent::with_client().await;
    assert_eq!(client.attach(json!({ "id": "n", "argv": ["cat"] })).await.whole().await.process["exitCode"], 0);
    assert_eq!(client.raw("POST", "/v1/processes/n/stdin", "x").await.0, 409);
}

#[tokio::test]
async fn much_goes_through_unchanged() {
    let (_agent, mut client) = Agent::with_client().await;
    let bytes: Bytes =
        (0..20_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<_>>().into();
    let stream = client.attach(json!({ "id": "b", "argv": ["cat"], "stdin": "open" })).await;
    let whole = tokio::spawn(stream.whole());
    let (answer, mut body) = client.open("POST", "/v1/processes/b/stdin?close=true").await;
    send_all(&mut body, bytes.clone(), true).await;
    let answer = read_json(answer.await.unwrap().into_body()).await;
    assert_eq!(answer, json!({ "accepted": 20_000_000 }));
    assert!(whole.await.unwrap().stdout == bytes);
}

#[tokio::test]
async fn the_pipe_is_the_buffer_and_one_request_writes_at_a_time() {
    let (_agent, mut client) = Agent::with_client().await;
    client.start(json!({ "id": "h", "argv": ["sleep", "1000"], "stdin": "open" })).await;
    let (answer, mut body) = client.open("POST", "/v1/processes/h/stdin").await;
    body.send_data(vec![b'x'; 1_000_000].into(), true).unwrap();
    eventually("the pipe is full", async || client.process("h").await["stdin"]["accepted"] == 65_536).await;
    assert_eq!(client.raw("POST", "/v1/processes/h/stdin?offset=65536", "y").await.0, 409);
    client.signal("h", "KILL").await;
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), 409);
    let message = read_json(answer.into_body()).await;
    assert!(message["error"]["message"].as_str().unwrap().contains("65536"), "{message}");
}

#[tokio::test]
async fn processes_that_read_nothing_hold_no_other_up() {
    let (_agent, mut client) = Agent::with_client().await;
    let mut held = Vec::new();
    for number in 0..40 {
        let id = format!("s{number}");
        client.start(json!({ "id": id, "argv": ["sleep", "1000"], "stdin": "open" })).await;
        let (answer, mut body) = client.open("POST", &format!("/v1/processes/{id}/stdin")).await;
        body.send_data(vec![b'x'; 2_000_000].into(), true).unwrap();
        held.push((answer, body));
    }
    let whole = client.run("echo through").await;
    assert_eq!(whole.text(), "through\n");
    client.start(json!({ "id": "c", "argv": ["wc", "-c"], "stdin": "open" })).await;
    let (answer, mut body) = client.open("POST", "/v1/processes/c/stdin?close=true").await;
    send_all(&mut body, vec![b'x'; 3_000_000].into(), true).await;
    assert_eq!(read_json(answer.await.unwrap().into_body()).await, json!({ "accepted": 3_000_000 }));
}

#[tokio::test]
async fn a_cut_line_keeps_stdin_open_and_tells_where_to_go_on() {
    let (agent, mut client) = Agent::with_client().await;
    client.start(json!({ "id": "k", "argv": ["wc", "-c"], "stdin": "open" })).await;
    let (_answer, mut body) = client.open("POST", "/v1/processes/k/stdin").await;
    body.send_data("0123456789".into(), false).unwrap();
    eventually("it has arrived", async || client.process("k").await["stdin"]["accepted"] == 10).await;
    client.cut().await;
    let mut client = agent.client().await;
    assert_eq!(
        client.raw("POST", "/v1/processes/k/stdin?offset=10&close=true", "ab").await,
        (200, json!({ "accepted": 12 }))
    );
    client.wait("k").await;
    assert_eq!(client.output("k", "").await.whole().await.text().trim(), "12");
}

#[tokio::test]
async fn a_process_that_closes_its_stdin_is_told_of() {
    let (_agent, mut client) = Agent::with_client().await;
    client
        .start(json!({ "id": "e", "argv": ["sh", "-c", "exec <&-; echo closed; exec sleep 1000"], "stdin": "open" }))
        .await;
    eventually("it has closed its stdin", async || client.process("e").await["stdout"]["end"] == 7).await;
    let (status, body) = client.raw("POST", "/v1/processes/e/stdin", "x").await;
    assert_eq!((status, &body["error"]["code"]), (409, &json!("conflict")));
    assert_eq!(client.process("e").await["stdin"], json!({ "state": "closed", "accepted": 0 }));
}
