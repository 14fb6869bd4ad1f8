//! Many of everything.

use serde_json::json;

use crate::agent::{Agent, eventually};
use crate::client::Client;

#[tokio::test]
async fn ten_thousand_processes_cost_no_memory_and_leave_none_behind() {
    let (agent, mut client) = Agent::with_client().await;
    run_many(&client, 1000).await;
    let before = client.resident_bytes().await;
    run_many(&client, 9000).await;
    let after = client.resident_bytes().await;
    assert!(after < before + 1_000_000, "{before} bytes resident at first, {after} at last");
    assert_eq!(agent.children(), []);
}

/// Runs processes one after the other, a few at a time.
async fn run_many(client: &Client, count: usize) {
    const LANES: usize = 8;
    let lanes: Vec<_> = (0..LANES).map(|_| tokio::spawn(run_in_a_row(client.share(), count / LANES))).collect();
    for lane in lanes {
        lane.await.unwrap();
    }
}

async fn run_in_a_row(mut client: Client, count: usize) {
    for number in 0..count {
        let mut stream = client.attach(json!({ "argv": ["/bin/true"] })).await;
        stream.process().await;
        let last = stream.process().await;
        assert_eq!((&last["state"], &last["exitCode"]), (&json!("exited"), &json!(0)), "{number}");
        assert_eq!(stream.next().await, None);
    }
}

#[tokio::test]
async fn a_storm_of_orphans_is_reaped() {
    let (agent, mut client) = Agent::with_client().await;
    // each orphan holds the pipe until it ends, so the end of the pipe is the end of all of them
    let script = "i=0; while [ $i -lt 500 ]; do (sh -c 'exit 3' &); i=$((i+1)); done";
    client.script("storm", script).await;
    assert_eq!(client.wait("storm").await["exitCode"], 0);
    eventually("the end of the pipe", async || client.process("storm").await["stdout"]["closed"] == true).await;
    eventually("no child is left", async || agent.children().is_empty()).await;
}

#[tokio::test]
async fn two_hundred_streams_side_by_side() {
    let (_agent, mut client) = Agent::with_client().await;
    let mut wholes = Vec::new();
    for number in 0..200 {
        let script = format!("seq 1 2000; exit {}", number % 7);
        wholes.push(tokio::spawn(client.attach(json!({ "argv": ["sh", "-c", script] })).await.whole()));
    }
    let all: String = (1..=2000).map(|number| format!("{number}\n")).collect();
    for (number, whole) in wholes.into_iter().enumerate() {
        let whole = whole.await.unwrap();
        assert_eq!(whole.process["exitCode"], number as u64 % 7);
        assert!(whole.text() == all);
    }
}
