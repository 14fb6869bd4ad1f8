//! Reading, writing, listing and changing files.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;

use serde_json::{Value, json};

use crate::agent::{Agent, eventually, is_root};
use crate::client::{code, read_json};
use crate::place::{Place, escape, read_all};

#[tokio::test]
async fn content_is_read_whole_and_in_part() {
    let (_agent, mut client) = Agent::with_client().await;
    let place = Place::new();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    place.write("a b&c=ä%", &bytes);
    let (response, mut stream) = client.open("GET", &place.url("content", "a b&c=ä%", "")).await;
    stream.send_data("".into(), true).unwrap();
    let response = response.await.unwrap();
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_string();
    assert_eq!((header("workfort-size"), header("workfort-length")), ("3000000".into(), "3000000".into()));
    assert_eq!(
        (header("workfort-mode").as_str(), header("content-type").as_str()),
        ("0644", "application/octet-stream")
    );
    assert!(read_all(response.into_body()).await.unwrap() == bytes);
    assert!(client.bytes(&place.url("content", "a b&c=ä%", "&offset=2999990")).await == bytes[2_999_990..]);
    assert!(client.bytes(&place.url("content", "a b&c=ä%", "&offset=70000&length=5")).await == bytes[70_000..70_005]);
    assert!(client.bytes(&place.url("content", "a b&c=ä%", "&offset=4000000")).await.is_empty());
    // its size is none, and it has content
    assert!(client.bytes("/v1/files/content?path=/proc/version").await.starts_with(b"Linux"));
}

#[tokio::test]
async fn what_has_no_content_is_refused_and_hangs_nothing() {
    let (_agent, mut client) = Agent::with_client().await;
    let place = Place::new();
    assert!(Command::new("mkfifo").arg(place.join("fifo")).status().unwrap().success());
    symlink("loop", place.join("loop")).unwrap();
    for (name, wanted) in [
        ("none", (404, "not_found")),
        ("fifo", (409, "not_a_file")),
        ("", (409, "is_a_directory")),
        ("fifo/under", (409, "not_a_directory")),
        ("loop", (422, "file_failed")),
        (&"n".repeat(300), (400, "bad_request")),
    ] {
        let read = client.get(&place.url("content", name, "")).await;
        assert_eq!(code(&read), wanted, "{name}: {read:?}");
        if name != "none" {
            assert_eq!(code(&client.put(&place.url("content", name, ""), "x").await), wanted, "{name}");
        }
    }
    assert_eq!(client.get(&place.url("stat", "none", "")).await.1["error"]["errno"], "ENOENT");
    assert_eq!(code(&client.get("/v1/files/content?path=/dev/zero").await), (409, "not_a_file"));
}

#[tokio::test]
async fn a_file_is_written_at_once_and_keeps_mode_and_links() {
    let (_agent, mut client) = Agent::with_client().await;
    let place = Place::new();
    let (status, answer) = client.put(&place.url("content", "new", ""), "one").await;
    assert_eq!((status, answer), (200, json!({ "path": place.text("new"), "sizeBytes": 3, "created": true })));
    assert_eq!((place.read("new").as_str(), place.mode("new")), ("one", 0o644));
    fs::set_permissions(place.join("new"), Permissions::from_mode(0o4751)).unwrap();
    symlink("new", place.join("link")).unwrap();
    let (_, answer) = client.put(&place.url("content", "link", ""), "two").await;
    assert_eq!(answer, json!({ "path": place.text("new"), "sizeBytes": 3, "created": false }));
    assert_eq!((place.read("new").as_str(), place.mode("new")), ("two", 0o4751));
    assert!(fs::symlink_metadata(place.join("link")).unwrap().is_symlink());
    client.put(&place.url("content", "new", "&mode=0600"), "").await;
    assert_eq!((place.read("new").as_str(), place.mode("new")), ("", 0o600));
    symlink("far/away", place.join("dangling")).unwrap();
    assert_eq!(code(&client.put(&place.url("content", "dangling", ""), "x").await), (404, "not_found"));
    assert_eq!(client.put(&place.url("content", "far/away", "&parents=true"), "x").await.0, 200);
    assert_eq!(client.put(&place.url("content", "dangling", ""), "y").await.0, 200);
    assert_eq!(place.read("far/away"), "y");
    assert_eq!(place.names(), ["dangling", "far", "link", "new"]);
}

#[tokio::test]
async fn much_is_written_unchanged() {
    let (_agent, mut client) = Agent::with_client().await;
    let place = Place::new();
    let bytes: Vec<u8> = (0..20_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    assert_eq!(client.put(&place.url("content", "much", ""), bytes.clone()).await.1["sizeBytes"], 20_000_000);
    assert!(fs::read(place.join("much")).unwrap() == bytes);
    assert!(client.bytes(&place.url("content", "much", "")).await == bytes);
}

#[tokio::test]
async fn who_leaves_half_way_leaves_nothing_behind() {
    let (agent, mut client) = Agent::with_client().await;
    let place = Place::new();
    place.write("kept", "as it was");
    for cut in [false, true] {
        let mut other = agent_client(&agent, &mut client, cut).await;
        let (answer, mut body) = other.open("PUT", &place.url("content", "kept", "")).await;
        body.send_data("half".into(), false).unwrap();
        eventually("a draft is there", async || place.names().len() == 2).await;
        if cut {
            other.cut().await;
        } else {
            body.send_reset(h2::Reason::CANCEL);
        }
        drop(answer);
        eventually("the draft has gone", async || place.names() == ["kept"]).await;
        eventually("the worker has gone", async || agent.children().is_empty()).await;
    }
    assert_eq!(place.read("kept"), "as it was");
}

/// The line that there is, or, where that one has to be cut, itself.
async fn agent_client(agent: &Agent, client: &mut crate::client::Client, cut: bool) -> crate::client::Client {
    if !cut {
        return client.share();
    }
    std::mem::replace(client, client.share()).cut().await;
    agent.client().await
}

#[tokio::test]
async fn entries_are_told_without_following_links() {
    let (_agent, mut client) = Agent::with_client().await;
    let place = Place::new();
    place.write("file", "four");
    symlink("/etc/passwd", place.join("link")).unwrap();
    let (_, file) = client.get(&place.url("stat", "file", "")).await;
    let found = fs::metadata(place.join("file")).unwrap();
    assert_eq!(
        file,
        json!({ "path": place.text("file"), "type": "file", "sizeBytes": 4, "mode": "0644", "uid": found.uid(),
            "gid": found.gid(), "modifiedAt": found.mtime() * 1000 + found.mtime_nsec() / 1_000_000, "links": 1,
            "target": null })
    );
    let (_, link) = client.get(&place.url("stat", "link", "")).await;
    assert_eq!((&link["type"], &link["target"]), (&json!("link"), &json!("/etc/passwd")));
    assert_eq!(client.get("/v1/files/stat?path=~").await.1["type"], "directory");
}

#[tokio::test]
async fn listings_are_sorted_bounded_and_go_on() {
    let (_agent, mut client) = Agent::with_client().await;
    let place = Place::new();
    fs::create_dir_all(place.join("b/c/d")).unwrap();
    for name in ["a", "b-", "b/1", "b/c/2", "z"] {
        place.write(name, "");
    }
    let paths = |answer: &Value| -> Vec<String> {
        answer["entries"].as_array().unwrap().iter().map(|entry| entry["path"].as_str().unwrap().into()).collect()
    };
    let (_, flat) = client.get(&place.url("list", "", "")).await;
    assert_eq!(
        (paths(&flat), &flat["truncated"]),
        (vec!["a".into(), "b".into(), "b-".into(), "z".into()], &json!(false))
    );
    let (_, deep) = client.get(&place.url("list", "", "&depth=9")).await;
    let all = ["a", "b", "b/1", "b/c", "b/c/2", "b/c/d", "b-", "z"];
    assert_eq!(paths(&deep), all);
    let mut seen: Vec<String> = Vec::new();
    let mut more = String::new();
    loop {
        let (_, page) = client.get(&place.url("list", "", &format!("&depth=9&limit=3{more}"))).await;
        seen.extend(paths(&page));
        if page["truncated"] == false {
            break;
        }
        more = format!("&after={}", escape(seen.last().unwrap()));
    }
    assert_eq!(seen, all);
    assert_eq!(code(&client.get(&place.url("list", "a", "")).await), (409, "not_a_directory"));
}

#[tokio::test]
async fn things_are_made_moved_and_deleted() {
    let (_agent, mut client) = Agent::with_client().await;
    let place = Place::new();
    let path = |name: &str| place.text(name);
    let mkdir = json!({ "path": path("x/y"), "mode": "0700" });
    assert_eq!(code(&client.post("/v1/files/mkdir", mkdir).await), (404, "not_found"));
    let mkdir = json!({ "path": path("x/y"), "mode": "0700", "parents": true });
    assert_eq!(client.post("/v1/files/mkdir", mkdir.clone()).await, (200, json!({ "created": true })));
    assert_eq!(client.post("/v1/files/mkdir", mkdir).await, (200, json!({ "created": false })));
    assert_eq!((place.mode("x"), place.mode("x/y")), (0o755, 0o700));
    assert_eq!(code(&client.post("/v1/files/mkdir", json!({ "path": path("x/y") })).await), (409, "exists"));

    place.write("x/y/1", "one");
    place.write("x/y/2", "two");
    let to = |overwrite: bool| json!({ "from": path("x/y/1"), "to": path("x/y/2"), "overwrite": overwrite });
    assert_eq!(code(&client.post("/v1/files/move", to(false)).await), (409, "exists"));
    assert_eq!(client.post("/v1/files/move", to(true)).await, (200, json!({})));
    assert_eq!(place.read("x/y/2"), "one");
    assert_eq!(code(&client.post("/v1/files/move", to(true)).await), (404, "not_found"));

    symlink(place.join("x"), place.join("link")).unwrap();
    let delete = |name: &str, recursive: bool| json!({ "path": path(name), "recursive": recursive });
    assert_eq!(code(&client.post("/v1/files/delete", delete("x", false)).await), (409, "not_empty"));
    assert_eq!(client.post("/v1/files/delete", delete("link", true)).await.0, 200);
    assert_eq!(place.read("x/y/2"), "one");
    assert_eq!(client.post("/v1/files/delete", delete("x", true)).await.0, 200);
    assert!(place.names().is_empty());
    assert_eq!(
        code(&client.post("/v1/files/delete", json!({ "path": "/", "recursive": true })).await),
        (400, "bad_request")
    );
}

#[tokio::test]
async fn a_file_moves_to_another_file_system() {
    let (_agent, mut client) = Agent::with_client().await;
    let place = Place::new();
    let far = format!("/dev/shm/agent-files-{}", std::process::id());
    place.write("near", "content");
    fs::set_permissions(place.join("near"), Permissions::from_mode(0o640)).unwrap();
    let answer = client.post("/v1/files/move", json!({ "from": place.text("near"), "to": far })).await;
    let found = fs::metadata(&far).map(|found| found.mode() & 0o7777);
    let _ = fs::remove_file(&far);
    assert_eq!((answer, found.unwrap()), ((200, json!({})), 0o640));
    assert!(place.names().is_empty());
}

#[tokio::test]
async fn permissions_are_the_users() {
    if !is_root() {
        return;
    }
    let (_agent, mut client) = Agent::with_client().await;
    let place = Place::new();
    place.write("secret", "s");
    fs::set_permissions(place.join("secret"), Permissions::from_mode(0o600)).unwrap();
    for (method, url) in [
        ("GET", place.url("content", "secret", "&user=nobody")),
        ("PUT", place.url("content", "new", "&user=65534:65534")),
        ("PUT", place.url("archive", "new", "&user=nobody")),
    ] {
        let answer = client.raw(method, &url, "").await;
        assert_eq!(code(&answer), (403, "permission_denied"), "{method} {url}: {answer:?}");
        assert_eq!(answer.1["error"]["errno"], "EACCES");
    }
    let request = json!({ "user": "nobody", "path": place.text("secret") });
    assert_eq!(code(&client.post("/v1/files/delete", request).await), (403, "permission_denied"));
    let (status, _) = client.put(&place.url("content", "theirs", "&owner=nobody:root&mode=600"), "x").await;
    let found = fs::metadata(place.join("theirs")).unwrap();
    assert_eq!((status, found.uid(), found.gid()), (200, 65534, 0));
    client.put(&place.url("content", "theirs", ""), "y").await;
    let found = fs::metadata(place.join("theirs")).unwrap();
    assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (65534, 0, 0o600));
    assert_eq!(
        code(&client.get(&place.url("stat", "secret", "&user=nobody-of-that-name")).await),
        (400, "bad_request")
    );
}

#[tokio::test]
async fn requests_are_checked() {
    let (_agent, mut client) = Agent::with_client().await;
    for (method, url) in [
        ("GET", "/v1/files/content"),
        ("GET", "/v1/files/content?path=relative"),
        ("GET", "/v1/files/content?path=~user/x"),
        ("GET", "/v1/files/content?path="),
        ("GET", "/v1/files/content?path=/a%00b"),
        ("GET", "/v1/files/content?path=/a&offset=-1"),
        ("GET", "/v1/files/content?path=/a&length=x"),
        ("PUT", "/v1/files/content?path=/a&mode=999"),
        ("PUT", "/v1/files/content?path=/a&mode=64"),
        ("PUT", "/v1/files/content?path=/a&owner=nobody-of-that-name"),
        ("GET", "/v1/files/list?path=/&depth=0"),
        ("GET", "/v1/files/list?path=/&depth=65"),
        ("GET", "/v1/files/list?path=/&limit=10001"),
        ("GET", "/v1/files/watch?path=/&recursive=1"),
        ("PUT", "/v1/files/archive?path=/a&owners=yes"),
        ("POST", "/v1/files/move"),
        ("POST", "/v1/files/search"),
    ] {
        assert_eq!(code(&client.raw(method, url, "").await), (400, "bad_request"), "{method} {url}");
    }
    for url in ["/v1/files/none?path=/", "/v1/files/content/more", "/v1/files"] {
        assert_eq!(code(&client.get(url).await), (501, "unsupported"), "{url}");
    }
}

#[tokio::test]
async fn an_answer_to_a_body_that_still_comes_is_no_hindrance() {
    let (_agent, mut client) = Agent::with_client().await;
    let (answer, mut body) = client.open("PUT", "/v1/files/content?path=/none/such").await;
    body.send_data(vec![b'x'; 100_000].into(), false).unwrap();
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), 404);
    assert_eq!(read_json(answer.into_body()).await["error"]["errno"], "ENOENT");
    assert_eq!(client.get("/v1/files/stat?path=/").await.0, 200);
}
