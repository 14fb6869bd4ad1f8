//! Signals and time limits.

use serde_json::{Value, json};

use crate::agent::Agent;

#[tokio::test]
async fn signals_go_by_name_and_number() {
    let (_agent, mut client) = Agent::with_client().await;
    for (id, signal, name) in
        [("a", json!("TERM"), "TERM"), ("b", json!(9), "KILL"), ("c", json!("USR1"), "USR1"), ("d", json!(34), "34")]
    {
        client.start(json!({ "id": id, "argv": ["sleep", "1000"] })).await;
        assert_eq!(client.signal(id, signal).await, (200, json!({})));
        let ended = client.wait(id).await;
        assert_eq!((&ended["signal"], &ended["exitCode"]), (&json!(name), &Value::Null));
    }
    client.start(json!({ "id": "e", "argv": ["sleep", "1000"] })).await;
    for bad in [json!("SIGTERM"), json!("term"), json!(0), json!(65), json!(-9), json!(null), json!("9"), json!(9.5)] {
        assert_eq!(client.signal("e", bad.clone()).await.0, 400, "{bad}");
    }
}

#[tokio::test]
async fn a_signal_goes_to_the_whole_group() {
    let (_agent, mut client) = Agent::with_client().await;
    let mut stream = client.attach(json!({ "id": "g", "argv": ["sh", "-c", "sleep 1000 & echo ready; wait"] })).await;
    stream.process().await;
    assert_eq!(stream.line().await, "ready\n");
    client.signal("g", "TERM").await;
    while stream.next().await.is_some() {}
    let ended = client.wait("g").await;
    // the sleeping child would hold the pipe otherwise
    crate::agent::eventually("the child is gone", async || client.process("g").await["stdout"]["closed"] == true).await;
    assert_eq!(ended["signal"], "TERM");
}

#[tokio::test]
async fn an_ended_process_takes_no_signal() {
    let (_agent, mut client) = Agent::with_client().await;
    client.script("x", "exit 0").await;
    client.wait("x").await;
    let (status, body) = client.signal("x", "TERM").await;
    assert_eq!((status, &body["error"]["code"]), (409, &json!("conflict")));
}

#[tokio::test]
async fn a_process_whose_time_is_up_is_asked_to_go() {
    let (_agent, mut client) = Agent::with_client().await;
    let whole = client.attach(json!({ "argv": ["sleep", "1000"], "timeoutMs": 50 })).await.whole().await;
    assert_eq!((&whole.process["timedOut"], &whole.process["signal"]), (&json!(true), &json!("TERM")));
    let whole = client.attach(json!({ "argv": ["true"], "timeoutMs": 60_000 })).await.whole().await;
    assert_eq!((&whole.process["timedOut"], &whole.process["exitCode"]), (&json!(false), &json!(0)));
}

#[tokio::test]
async fn one_that_does_not_go_is_killed_five_seconds_later() {
    let (_agent, mut client) = Agent::with_client().await;
    let begun = std::time::Instant::now();
    let request = json!({ "argv": ["sh", "-c", "trap '' TERM; while :; do sleep 1000; done"], "timeoutMs": 100 });
    let whole = client.attach(request).await.whole().await;
    assert_eq!((&whole.process["timedOut"], &whole.process["signal"]), (&json!(true), &json!("KILL")));
    assert!((5000..8000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
}
