//! What the agent tells of itself, and what it sets outside a VM: nothing.

use serde_json::json;

use crate::agent::{Agent, eventually};

#[tokio::test]
async fn the_agent_describes_itself() {
    let (_agent, mut client) = Agent::with_client().await;
    let (status, about) = client.get("/v1/agent").await;
    assert_eq!((status, &about["protocol"], &about["version"]), (200, &json!(1), &json!(env!("CARGO_PKG_VERSION"))));
    assert_eq!(about["bootId"].as_str().unwrap().len(), 36);
    for text in ["hostname", "kernel"] {
        assert!(!about[text].as_str().unwrap().is_empty());
    }
    for number in [
        "pid",
        "uptimeMs",
        "userspaceStartMs",
        "clockUnixMs",
        "memoryTotalBytes",
        "memoryAvailableBytes",
        "residentBytes",
    ] {
        assert!(about[number].as_f64().unwrap() > 0.0, "{number}");
    }
    assert!(about["rootReadOnly"].is_boolean());
    assert_eq!(about["failedMounts"], json!([]));
    assert_eq!(about.as_object().unwrap().len(), 14);
}

#[tokio::test]
async fn outside_a_vm_nothing_of_the_system_is_set() {
    let (_agent, mut client) = Agent::with_client().await;
    for body in [
        json!({ "hostname": "-x" }),
        json!({ "clockUnixNs": "soon" }),
        json!({ "clockUnixNs": 5 }),
        json!({ "name": "x" }),
    ] {
        assert_eq!(client.post("/v1/identity", body.clone()).await.0, 400, "{body}");
    }
    let (status, body) = client.post("/v1/identity", json!({ "hostname": "another" })).await;
    assert_eq!((status, &body["error"]["code"]), (409, &json!("conflict")));
}

#[tokio::test]
async fn power_ends_the_processes_and_then_the_agent() {
    let (mut agent, mut client) = Agent::with_client().await;
    for bad in [
        json!({}),
        json!({ "action": "halt" }),
        json!({ "action": "reboot", "graceMs": 60_001 }),
        json!({ "action": "reboot", "graceMs": -1 }),
    ] {
        assert_eq!(client.post("/v1/power", bad.clone()).await.0, 400, "{bad}");
    }
    let mut stubborn =
        client.attach(json!({ "argv": ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1000; done"] })).await;
    stubborn.process().await;
    assert_eq!(stubborn.line().await, "ready\n");
    client.script("meek", "exec sleep 1000").await;
    assert_eq!(client.post("/v1/power", json!({ "action": "poweroff", "graceMs": 100 })).await, (202, json!({})));
    assert_eq!(client.post("/v1/processes", json!({ "argv": ["true"] })).await.0, 409);
    assert_eq!(client.wait("meek").await["signal"], "TERM");
    eventually("the agent has ended", async || agent.has_ended()).await;
    assert_eq!(agent.children(), []);
}
