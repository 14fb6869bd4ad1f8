//! Everything the agent says no to, and how.

use serde_json::json;

use crate::agent::Agent;
use crate::client::code;

#[tokio::test]
async fn bad_requests_to_start_name_the_field() {
    let (_agent, mut client) = Agent::with_client().await;
    let words: Vec<&str> = vec!["x"; 4097];
    for (field, request) in [
        ("argv", json!({})),
        ("argv", json!({ "argv": [] })),
        ("argv", json!({ "argv": [""] })),
        ("argv", json!({ "argv": "true" })),
        ("argv", json!({ "argv": ["a\0b"] })),
        ("argv", json!({ "argv": words })),
        ("argv", json!({ "argv": ["x", "y".repeat(1024 * 1024)] })),
        ("argv[1]", json!({ "argv": ["true", 1] })),
        ("id", json!({ "argv": ["true"], "id": "-a" })),
        ("id", json!({ "argv": ["true"], "id": "A" })),
        ("id", json!({ "argv": ["true"], "id": "" })),
        ("id", json!({ "argv": ["true"], "id": "a".repeat(65) })),
        ("env", json!({ "argv": ["true"], "env": { "A=B": "" } })),
        ("env", json!({ "argv": ["true"], "env": { "": "" } })),
        ("env", json!({ "argv": ["true"], "env": { "A": "\0" } })),
        ("env.A", json!({ "argv": ["true"], "env": { "A": null } })),
        ("cwd", json!({ "argv": ["true"], "cwd": "a\0" })),
        ("user", json!({ "argv": ["true"], "user": "nobody-of-that-name" })),
        ("user", json!({ "argv": ["true"], "user": "root:no-group-of-that-name" })),
        ("stdin", json!({ "argv": ["true"], "stdin": "tty" })),
        ("attach", json!({ "argv": ["true"], "attach": "yes" })),
        ("timeoutMs", json!({ "argv": ["true"], "timeoutMs": 0 })),
        ("timeoutMs", json!({ "argv": ["true"], "timeoutMs": 604_800_001 })),
        ("timeoutMs", json!({ "argv": ["true"], "timeoutMs": -1 })),
        ("timeoutMs", json!({ "argv": ["true"], "timeoutMs": 1.5 })),
        ("ringBytes", json!({ "argv": ["true"], "ringBytes": 4095 })),
        ("ringBytes", json!({ "argv": ["true"], "ringBytes": 16_777_217 })),
    ] {
        let answer = client.post("/v1/processes", request.clone()).await;
        let short: String = request.to_string().chars().take(80).collect();
        assert_eq!(code(&answer), (400, "bad_request"), "{short}");
        let message = answer.1["error"]["message"].as_str().unwrap();
        assert!(message.contains(field), "{short}: {message}");
    }
    let (_, all) = client.get("/v1/processes").await;
    assert_eq!(all, json!({ "processes": [] }));
}

#[tokio::test]
async fn bodies_that_are_no_json_object_are_refused() {
    let (_agent, mut client) = Agent::with_client().await;
    for body in ["{", "null", "[]", "[null,[\"true\"]]", "{\"argv\":[\"true\"]}x", "\u{feff}{}", &"[".repeat(100_000)] {
        let answer = client.raw("POST", "/v1/processes", body.to_string()).await;
        assert_eq!(code(&answer), (400, "bad_request"), "{}", &body[..body.len().min(40)]);
    }
    let answer = client.raw("POST", "/v1/processes", &b"{\"argv\":[\"\xff\"]}"[..]).await;
    assert_eq!(code(&answer), (400, "bad_request"));
}

#[tokio::test]
async fn a_body_beyond_its_bound_is_too_large() {
    let (_agent, mut client) = Agent::with_client().await;
    let answer = client.raw("POST", "/v1/processes", vec![b' '; 8 * 1024 * 1024 + 1]).await;
    assert_eq!(code(&answer), (413, "too_large"));
    assert_eq!(client.get("/v1/agent").await.0, 200);
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let (_agent, mut client) = Agent::with_client().await;
    for (method, path) in [
        ("GET", "/v1/processes/none"),
        ("GET", "/v1/processes/none/wait"),
        ("GET", "/v1/processes/none/output"),
        ("POST", "/v1/processes/none/stdin"),
        ("DELETE", "/v1/processes/none"),
        ("GET", "/v1/processes/%2e%2e/wait"),
    ] {
        let answer = client.raw(method, path, "").await;
        assert_eq!(code(&answer), (404, "not_found"), "{method} {path}");
    }
    assert_eq!(code(&client.signal("none", "TERM").await), (404, "not_found"));
}

#[tokio::test]
async fn what_a_later_protocol_may_know_is_unsupported() {
    let (_agent, mut client) = Agent::with_client().await;
    client.start(json!({ "id": "q", "argv": ["true"] })).await;
    for (method, path, body) in [
        ("GET", "/", ""),
        ("GET", "/v1", ""),
        ("GET", "/v2/agent", ""),
        ("GET", "//v1/agent", ""),
        ("GET", "/v1/agent/", ""),
        ("POST", "/v1/agent", ""),
        ("PUT", "/v1/processes", ""),
        ("GET", "/v1/files/none?path=/", ""),
        ("GET", "/v1/terminals/t/none", ""),
        ("GET", "/v1/agent?verbose=true", ""),
        ("GET", "/v1/processes/q/output?bogus=1", ""),
        ("POST", "/v1/processes", r#"{"argv":["true"],"priority":3}"#),
    ] {
        assert_eq!(code(&client.raw(method, path, body).await), (501, "unsupported"), "{method} {path}");
    }
}

#[tokio::test]
async fn queries_are_checked() {
    let (_agent, mut client) = Agent::with_client().await;
    client.start(json!({ "id": "q", "argv": ["cat"], "stdin": "open" })).await;
    for (method, path) in [
        ("GET", "/v1/processes/q/output?stdout=x"),
        ("GET", "/v1/processes/q/output?stdout=-1"),
        ("GET", "/v1/processes/q/output?stdout=1"), // nothing was written
        ("GET", "/v1/processes/q/output?stderr=9007199254740992"),
        ("GET", "/v1/processes/q/output?follow=1"),
        ("GET", "/v1/processes/q/output?stdout=0&stdout=0"),
        ("POST", "/v1/processes/q/stdin?offset=+1"),
        ("POST", "/v1/processes/q/stdin?close=maybe"),
    ] {
        let answer = client.raw(method, path, "").await;
        assert_eq!(code(&answer), (400, "bad_request"), "{method} {path}");
    }
}

#[tokio::test]
async fn a_program_that_cannot_be_started_says_why() {
    let (_agent, mut client) = Agent::with_client().await;
    for (errno, request) in [
        ("ENOENT", json!({ "argv": ["/no/such/program"] })),
        ("ENOENT", json!({ "argv": ["no-such-program"] })),
        ("ENOENT", json!({ "argv": ["true"], "cwd": "/no/such/directory" })),
        ("ENOTDIR", json!({ "argv": ["true"], "cwd": "/etc/passwd" })),
        ("EACCES", json!({ "argv": ["/etc/passwd"] })),
        ("EACCES", json!({ "argv": ["/"] })),
        ("E2BIG", json!({ "argv": ["true", "x".repeat(200_000)] })),
    ] {
        let (status, body) = client.post("/v1/processes", request).await;
        let error = &body["error"];
        assert_eq!((status, &error["code"], &error["errno"]), (422, &json!("cannot_start"), &json!(errno)), "{body}");
        assert!(error["message"].as_str().unwrap().len() <= 2000);
    }
    let (_, all) = client.get("/v1/processes").await;
    assert_eq!(all, json!({ "processes": [] }));
}
