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
    assert_eq!((&about["failedMounts"], &about["networkTrouble"]), (&json!([]), &json!(null)));
    assert_eq!(about.as_object().unwrap().len(), 15);
}

#[tokio::test]
async fn outside_a_vm_nothing_of_the_system_is_set() {
    let (_agent, mut client) = Agent::with_client().await;
    for body in [json!({ "hostname": "-x" }), json!({ "clockUnixNs": "soon" }), json!({ "clockUnixNs": 5 })] {
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

#[tokio::test]
async fn the_guests_use_of_what_it_has_is_told() {
    let (agent, mut client) = Agent::with_client().await;
    client.script("busy", "ulimit -t 20; while :; do :; done").await;
    let pid = client.get("/v1/processes/busy").await.1["pid"].as_u64().unwrap();
    let busy_ms = async |client: &mut crate::client::Client| {
        let (status, stats) = client.get("/v1/stats").await;
        assert_eq!(status, 200, "{stats}");
        let processes = stats["processes"].as_array().unwrap().clone();
        let busy = processes.iter().find(|process| process["pid"].as_u64() == Some(pid)).cloned();
        (stats, busy.unwrap_or_default())
    };
    let (stats, _) = busy_ms(&mut client).await;
    for number in ["uptimeMs", "processorCount", "processCount", "threadCount"] {
        assert!(stats[number].as_f64().unwrap() > 0.0, "{number}");
    }
    assert!(stats["cpu"]["idleMs"].as_u64().is_some() && stats["load"].as_array().unwrap().len() == 3);
    let memory = &stats["memory"];
    assert!(memory["totalBytes"].as_u64().unwrap() > memory["availableBytes"].as_u64().unwrap());
    assert!(stats["fileSystems"].is_array());
    assert!(stats["interfaces"].as_array().unwrap().iter().any(|one| one["name"] == "lo"));
    eventually("the busy process has used processor time", async || {
        busy_ms(&mut client).await.1["cpuMs"].as_u64().unwrap_or(0) >= 50
    })
    .await;
    let (_, busy) = busy_ms(&mut client).await;
    assert_eq!((&busy["command"], &busy["threads"]), (&json!("sh"), &json!(1)));
    assert!(busy["residentBytes"].as_u64().unwrap() > 0 && busy["startedMs"].as_u64().unwrap() > 0);
    assert!(agent.children().iter().any(|(child, _)| *child as u64 == busy["pid"].as_u64().unwrap()));
    client.post("/v1/processes/busy/signal", json!({ "signal": "KILL" })).await; // it would outlive the agent
    client.wait("busy").await;
}

#[tokio::test]
async fn many_may_ask_for_it_at_once() {
    let (_agent, mut client) = Agent::with_client().await;
    let asked: Vec<_> = (0..50)
        .map(|_| {
            let mut other = client.share();
            tokio::spawn(async move { other.get("/v1/stats").await.0 })
        })
        .collect();
    for one in asked {
        assert_eq!(one.await.unwrap(), 200);
    }
    assert_eq!(client.get("/v1/stats?bogus=1").await.0, 501);
}
