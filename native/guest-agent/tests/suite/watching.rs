//! Searching and watching directories, and how many may work on files at once.

use std::fs;
use std::os::unix::fs::symlink;

use h2::RecvStream;
use serde_json::{Value, json};

use crate::agent::{Agent, eventually};
use crate::client::Client;
use crate::place::Place;

async fn search(client: &mut Client, mut request: Value, place: &Place) -> Value {
    request["path"] = place.text("").into();
    let (status, answer) = client.post("/v1/files/search", request).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

#[tokio::test]
async fn text_and_names_are_found() {
    let (_agent, mut client) = Agent::with_client().await;
    let place = Place::new();
    fs::create_dir_all(place.join("src/.hidden")).unwrap();
    place.write("src/a.rs", "one\nneedle here\r\nNEEDLE\n");
    place.write("src/b.txt", "a needle");
    place.write("src/.hidden/c.rs", "needle");
    place.write("binary", b"\0needle");
    symlink(place.join("src"), place.join("src/loop")).unwrap();
    let found = search(&mut client, json!({ "pattern": "need+le" }), &place).await;
    let matches = json!([
        { "path": "src/a.rs", "type": "file", "line": 2, "text": "needle here" },
        { "path": "src/b.txt", "type": "file", "line": 1, "text": "a needle" },
    ]);
    assert_eq!(found, json!({ "matches": matches, "filesSearched": 3, "truncated": false, "stoppedBy": null }));
    let found =
        search(&mut client, json!({ "pattern": "needle", "ignoreCase": true, "names": ["*.rs"] }), &place).await;
    assert_eq!(found["matches"].as_array().unwrap().len(), 2);
    let found = search(&mut client, json!({ "names": ["src/**/*.rs"], "hidden": true }), &place).await;
    let matches = json!([
        { "path": "src/.hidden/c.rs", "type": "file", "line": null, "text": null },
        { "path": "src/a.rs", "type": "file", "line": null, "text": null },
    ]);
    assert_eq!(found["matches"], matches);
    let found = search(&mut client, json!({ "pattern": ".", "limit": 1 }), &place).await;
    assert_eq!((&found["truncated"], &found["stoppedBy"]), (&json!(true), &json!("limit")));
}

#[tokio::test]
async fn long_lines_are_cut_around_their_match() {
    let (_agent, mut client) = Agent::with_client().await;
    let place = Place::new();
    place.write("long", [vec![b'x'; 60_000], b"needle".to_vec(), vec![b'y'; 1_000_000], b"\nneedle".to_vec()].concat());
    let found = search(&mut client, json!({ "pattern": "needle" }), &place).await;
    let first = found["matches"][0]["text"].as_str().unwrap();
    assert!(first.len() == 500 && first.contains("needle"));
    assert_eq!((&found["matches"][1]["line"], &found["matches"][1]["text"]), (&json!(2), &json!("needle")));
}

#[tokio::test]
async fn a_search_that_cannot_be_understood_is_refused() {
    let (_agent, mut client) = Agent::with_client().await;
    for request in [
        json!({ "path": "/" }),
        json!({ "path": "/", "pattern": "" }),
        json!({ "path": "/", "pattern": "(" }),
        json!({ "path": "/", "pattern": "((a{1000}){1000}){1000}" }),
        json!({ "path": "/", "names": ["[a"] }),
        json!({ "path": "/", "names": vec!["a"; 65] }),
        json!({ "path": "/", "pattern": "a", "limit": 0 }),
        json!({ "path": "/", "pattern": "a", "timeoutMs": 60_001 }),
    ] {
        let (status, answer) = client.post("/v1/files/search", request.clone()).await;
        assert_eq!((status, &answer["error"]["code"]), (400, &json!("bad_request")), "{request}");
    }
}

struct Lines {
    body: RecvStream,
    held: Vec<u8>,
}

impl Lines {
    async fn watch(client: &mut Client, place: &Place, more: &str) -> Self {
        let (status, body) = client.send("GET", &place.url("watch", "", more), "").await;
        assert_eq!(status, 200);
        let mut lines = Lines { body, held: Vec::new() };
        assert_eq!(lines.next().await, Some(("watching".into(), "".into(), true)));
        lines
    }

    /// event, path, whether it is a directory
    async fn next(&mut self) -> Option<(String, String, bool)> {
        loop {
            if let Some(end) = self.held.iter().position(|byte| *byte == b'\n') {
                let line: Value = serde_json::from_slice(&self.held.drain(..=end).collect::<Vec<_>>()).unwrap();
                let text = |name: &str| line[name].as_str().unwrap().to_string();
                return Some((text("event"), text("path"), line["isDirectory"].as_bool().unwrap()));
            }
            let chunk = self.body.data().await?.unwrap();
            self.body.flow_control().release_capacity(chunk.len()).unwrap();
            self.held.extend(chunk);
        }
    }

    async fn until(&mut self, event: &str, path: &str) {
        while let Some((found, at, _)) = self.next().await {
            if (found.as_str(), at.as_str()) == (event, path) {
                return;
            }
        }
        panic!("it was not told: {event} {path}");
    }
}

#[tokio::test]
async fn changes_are_told_as_they_come() {
    let (agent, mut client) = Agent::with_client().await;
    let place = Place::new();
    fs::create_dir(place.join("sub")).unwrap();
    let mut flat = Lines::watch(&mut client, &place, "").await;
    let mut deep = Lines::watch(&mut client, &place, "&recursive=true").await;
    place.write("sub/below", "");
    deep.until("created", "sub/below").await;
    fs::create_dir_all(place.join("new/er/est")).unwrap();
    place.write("new/er/est/file", "x");
    deep.until("created", "new/er/est/file").await;
    fs::rename(place.join("new"), place.join("moved")).unwrap();
    deep.until("movedTo", "moved").await;
    place.write("moved/er/late", "");
    deep.until("created", "moved/er/late").await;
    assert_eq!(flat.next().await, Some(("created".into(), "new".into(), true)));
    flat.until("movedTo", "moved").await;
    fs::remove_dir_all(place.join("")).unwrap();
    deep.until("gone", "").await;
    assert_eq!(deep.next().await, None);
    drop((flat, deep));
    eventually("the workers have gone", async || agent.children().is_empty()).await;
}

#[tokio::test]
async fn there_are_so_many_and_no_more() {
    let (agent, mut client) = Agent::with_client().await;
    let place = Place::new();
    let mut watches = Vec::new();
    for _ in 0..16 {
        watches.push(Lines::watch(&mut client, &place, "").await);
    }
    let (status, answer) = client.get(&place.url("watch", "", "")).await;
    assert_eq!((status, &answer["error"]["code"]), (429, &json!("too_many")));
    let mut writers = Vec::new();
    for number in 0..16 {
        writers.push(client.open("PUT", &place.url("content", &number.to_string(), "")).await);
    }
    eventually("all places are taken", async || agent.children().len() == 32).await;
    assert_eq!(client.get(&place.url("stat", "", "")).await.0, 429);
    drop((watches, writers));
    eventually("there is room again", async || client.get(&place.url("stat", "", "")).await.0 == 200).await;
    eventually("nobody is left", async || agent.children().is_empty()).await;
    assert!(place.names().is_empty());
}
