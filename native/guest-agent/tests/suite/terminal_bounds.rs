//! How much a terminal may cost, and what nobody may do to the agent by way of one.

use serde_json::json;

use crate::agent::{Agent, eventually};
use crate::client::Client;
use crate::terminal_client::Frame;

#[tokio::test]
async fn a_slow_viewer_holds_nobody_up_and_gets_the_screen_anew() {
    let agent = Agent::start();
    let mut client = Client::greet_with_window(agent.connect().await, 65_536).await;
    client.create_terminal("t", "read x; yes 0123456789abcdef | head -c 4000000; echo; echo done; read x").await;
    let mut slow = client.view("t", "").await;
    let mut quick = client.view("t", "").await;
    client.type_in("t", "\r").await;
    quick.until("done").await;
    slow.until("done").await;
    assert!(slow.screens > 1, "it was never skipped forward");
    assert!(client.resident_bytes().await < 60_000_000);
    client.type_in("t", "\r").await;
    assert_eq!(slow.end().await["exitCode"], 0);
    assert_eq!(quick.end().await["exitCode"], 0);
}

#[tokio::test]
async fn without_viewers_a_program_is_not_held_up() {
    let (_agent, mut client) = Agent::with_client().await;
    client.create_terminal("t", "yes | head -c 2000000; echo; echo end").await;
    eventually("it ends", async || client.terminal("t").await["state"] == "ended").await;
    let mut view = client.view("t", "").await;
    view.end().await;
    assert!(view.shown.contains("end"));
}

#[tokio::test]
async fn input_that_nobody_reads_waits_outside() {
    let (_agent, mut client) = Agent::with_client().await;
    client.create_terminal("t", "stty raw -echo; echo ready; exec sleep 1000").await;
    let mut view = client.view("t", "").await;
    view.until("ready").await;
    let before = client.resident_bytes().await;
    let (answer, mut body) = client.open("POST", "/v1/terminals/t/input").await;
    body.send_data(vec![b'x'; 4_000_000].into(), false).unwrap();
    assert_eq!(client.run("echo through").await.text(), "through\n");
    assert!(client.resident_bytes().await < before + 4_000_000);
    assert_eq!(client.raw("DELETE", "/v1/terminals/t", "").await.0, 204);
    assert_eq!(answer.await.unwrap().status(), 409);
}

#[tokio::test]
async fn garbage_in_any_amount_leaves_the_agent_as_it_is() {
    let (_agent, mut client) = Agent::with_client().await;
    client
        .create_terminal("t", "head -c 500000 /dev/urandom; printf '\\033\\\\\\033c'; echo; echo survived; read x")
        .await;
    client.create_terminal("o", "printf '\\033]0;'; yes | head -c 2000000; read x").await;
    let big =
        "for i in $(seq 100); do printf '\\033[65535S\\033[2J\\033[65535b\\033[8;65535;65535t'; done; echo big; read x";
    client.create_terminal_as(json!({ "id": "b", "argv": ["sh", "-c", big], "columns": 1000, "rows": 500 })).await;
    let mut view = client.view("t", "").await;
    view.until("survived").await;
    let mut view = client.view("b", "").await;
    view.until("big").await;
    assert_eq!(view.size, (1000, 500));
    assert!(client.resident_bytes().await < 150_000_000, "{}", client.resident_bytes().await);
    assert_eq!(client.terminal("o").await["title"], "");
}

#[tokio::test]
async fn at_most_64_and_the_first_to_end_gives_way() {
    let (_agent, mut client) = Agent::with_client().await;
    client.create_terminal("e1", "true").await;
    eventually("it ends", async || client.terminal("e1").await["state"] == "ended").await;
    for number in 0..64 {
        client.create_terminal(&format!("t{number}"), "exec sleep 1000").await;
    }
    assert_eq!(client.get("/v1/terminals/e1").await.0, 404);
    let (status, body) = client.post("/v1/terminals", json!({ "id": "x" })).await;
    assert_eq!((status, &body["error"]["code"]), (429, &json!("too_many")));
    assert_eq!(client.raw("DELETE", "/v1/terminals/t5", "").await.0, 204);
    client.create_terminal("x", "true").await;
    assert_eq!(client.get("/v1/terminals").await.1["terminals"].as_array().unwrap().len(), 64);
}

#[tokio::test]
async fn screens_have_a_bound_in_all() {
    let (_agent, mut client) = Agent::with_client().await;
    let request = |id: &str| json!({ "id": id, "argv": ["sleep", "1000"], "columns": 1000, "rows": 1000 });
    client.create_terminal_as(request("a")).await;
    assert_eq!(client.post("/v1/terminals", request("b")).await.0, 429);
    client.create_terminal("c", "exec sleep 1000").await;
    assert_eq!(client.resize("c", 1000, 1000).await.0, 429);
    assert_eq!(client.resize("a", 80, 24).await.0, 200);
    assert_eq!(client.resize("c", 1000, 1000).await.0, 200);
}

#[tokio::test]
async fn nonsense_is_refused() {
    let (_agent, mut client) = Agent::with_client().await;
    client.create_terminal("t", "exec sleep 1000").await;
    for (columns, rows) in [(0, 0), (0, 24), (80, 0), (1001, 24), (80, 1001), (70_000, 24)] {
        let (status, body) = client.resize("t", columns, rows).await;
        assert_eq!((status, &body["error"]["code"]), (400, &json!("bad_request")), "{columns}x{rows}");
        let request = json!({ "id": "n", "argv": ["true"], "columns": columns, "rows": rows });
        assert_eq!(client.post("/v1/terminals", request).await.0, 400);
        let (status, _) =
            client.send("GET", &format!("/v1/terminals/t/attach?columns={columns}&rows={rows}"), "").await;
        assert_eq!(status, 400);
    }
    for (request, status) in [
        (json!({}), 400),
        (json!({ "id": "T" }), 400),
        (json!({ "id": "n", "argv": [] }), 400),
        (json!({ "id": "n", "bogus": 1 }), 501),
        (json!({ "id": "n", "user": "nobody-here" }), 400),
        (json!({ "id": "n", "argv": ["/no/such"] }), 422),
        (json!({ "id": "n", "cwd": "/no/such" }), 422),
        (json!({ "id": "t" }), 409),
    ] {
        assert_eq!(client.post("/v1/terminals", request.clone()).await.0, status, "{request}");
    }
    for path in ["/v1/terminals/none", "/v1/terminals/none/attach"] {
        assert_eq!(client.get(path).await.0, 404, "{path}");
    }
    for query in ["columns=80", "rows=24", "columns=x&rows=1"] {
        assert_eq!(client.get(&format!("/v1/terminals/t/attach?{query}")).await.0, 400, "{query}");
    }
    assert_eq!(client.terminal("t").await["columns"], 80);
}

#[tokio::test]
async fn at_most_32_look_on() {
    let (_agent, mut client) = Agent::with_client().await;
    client.create_terminal("t", "exec sleep 1000").await;
    let mut views = Vec::new();
    for _ in 0..32 {
        let mut view = client.view("t", "").await;
        assert_eq!(view.next().await, Some(Frame::Screen(80, 24)));
        views.push(view);
    }
    assert_eq!(client.get("/v1/terminals/t/attach").await.0, 429);
    drop(views);
    eventually("they are gone", async || client.terminal("t").await["viewers"] == 0).await;
}
