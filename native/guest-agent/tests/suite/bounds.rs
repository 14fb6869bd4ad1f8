//! How much there may be of everything.

use std::time::Instant;

use serde_json::{Value, json};

use crate::agent::{Agent, eventually};
use crate::client::Client;
use crate::frames::Frame;

async fn count(client: &mut Client) -> usize {
    client.get("/v1/processes").await.1["processes"].as_array().unwrap().len()
}

/// Both take more than 30 s, so they do it together.
#[tokio::test]
async fn a_stuck_reader_loses_its_privilege_after_30_s_and_an_idle_one_does_not() {
    tokio::join!(stuck_reader(), idle_reader());
}

async fn stuck_reader() {
    let agent = Agent::start();
    let mut client = Client::greet_with_window(agent.connect().await, 65_536).await;
    let begun = Instant::now();
    let request = json!({ "id": "k", "argv": ["sh", "-c", "yes | head -c 4000000"], "ringBytes": 65536 });
    let mut stream = client.attach(request).await;
    client.wait("k").await;
    assert!((29..40).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    let mut gaps = 0;
    let mut end = 0;
    while let Some(frame) = stream.next().await {
        match frame {
            Frame::Gap(_) => gaps += 1,
            Frame::Stdout(offset, bytes) => end = offset + bytes.len() as u64,
            _ => {}
        }
    }
    assert_eq!((gaps, end), (1, 4_000_000));
}

async fn idle_reader() {
    let (_agent, mut client) = Agent::with_client().await;
    let script = "sleep 32; yes 0123456789abcde | head -c 8000000";
    let stream = client.attach(json!({ "argv": ["sh", "-c", script], "ringBytes": 4096 })).await;
    let whole = stream.whole().await;
    assert_eq!((whole.gaps.len(), whole.stdout.len()), (0, 8_000_000));
}

#[tokio::test]
async fn at_most_512_processes_run() {
    let (_agent, mut client) = Agent::with_client().await;
    for _ in 0..512 {
        client.start(json!({ "argv": ["sleep", "1000"], "stdin": "open" })).await;
    }
    let (status, body) = client.post("/v1/processes", json!({ "argv": ["true"] })).await;
    assert_eq!((status, &body["error"]["code"]), (429, &json!("too_many")));
    client.signal("p1", "KILL").await;
    client.wait("p1").await;
    assert_eq!(client.run("ulimit -n").await.process["exitCode"], 0);
}

#[tokio::test]
async fn at_most_256_ended_ones_are_kept_the_first_to_end_goes_first() {
    let (_agent, mut client) = Agent::with_client().await;
    client.start(json!({ "id": "last-to-end", "argv": ["cat"], "stdin": "open" })).await;
    for number in 0..300 {
        let whole = client.attach(json!({ "id": format!("e{number}"), "argv": ["true"] })).await.whole().await;
        assert_eq!(whole.process["exitCode"], 0);
    }
    assert_eq!(count(&mut client).await, 257);
    client.raw("POST", "/v1/processes/last-to-end/stdin?close=true", "").await;
    client.wait("last-to-end").await;
    assert_eq!(client.get("/v1/processes/e44").await.0, 404);
    assert_eq!(client.get("/v1/processes/e45").await.0, 200);
    assert_eq!(client.get("/v1/processes/last-to-end").await.0, 200);
}

const RING_BYTES: u64 = 16 * 1024 * 1024;

/// Has a process write so much, and gives how much of it is held.
async fn fill(client: &mut Client, id: &str, bytes: u64) -> u64 {
    let script = format!("head -c {bytes} /dev/zero; exec sleep 1000");
    client.start(json!({ "id": id, "argv": ["sh", "-c", script], "ringBytes": bytes })).await;
    eventually("all was written", async || client.process(id).await["stdout"]["end"] == bytes).await;
    held(&client.process(id).await)
}

fn held(process: &Value) -> u64 {
    process["stdout"]["end"].as_u64().unwrap() - process["stdout"]["start"].as_u64().unwrap()
}

#[tokio::test]
async fn rings_share_64_mib_and_ended_ones_give_way() {
    let (_agent, mut client) = Agent::with_client().await;
    for (id, expected) in [("a", RING_BYTES), ("b", RING_BYTES), ("c", RING_BYTES), ("d", RING_BYTES), ("e", 4096)] {
        assert_eq!(fill(&mut client, id, RING_BYTES).await, expected, "{id}");
    }
    assert!(client.resident_bytes().await < 90_000_000);
    for id in ["b", "a"] {
        client.signal(id, "KILL").await;
        client.wait(id).await;
    }
    assert_eq!(fill(&mut client, "f", RING_BYTES / 2).await, RING_BYTES / 2);
    assert_eq!((held(&client.process("b").await), held(&client.process("a").await)), (0, RING_BYTES));
    let lost = client.output("b", "").await.whole().await;
    assert_eq!((lost.stdout.len(), lost.process["stdout"]["end"].as_u64()), (0, Some(RING_BYTES)));
}
