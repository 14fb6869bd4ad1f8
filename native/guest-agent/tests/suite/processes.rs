//! Starting, looking at, waiting for and forgetting processes.

use serde_json::json;

use crate::agent::{Agent, eventually};

#[tokio::test]
async fn a_process_is_described_from_start_to_end() {
    let (_agent, mut client) = Agent::with_client().await;
    let begun = client.start(json!({ "id": "a-1", "argv": ["sh", "-c", "exit 7"], "cwd": "/", "stdin": "none" })).await;
    assert_eq!(
        (&begun["id"], &begun["state"], &begun["cwd"], &begun["user"]),
        (&json!("a-1"), &json!("running"), &json!("/"), &json!("root"))
    );
    assert_eq!(begun["argv"], json!(["sh", "-c", "exit 7"]));
    assert_eq!(
        (&begun["exitCode"], &begun["signal"], &begun["endedAt"], &begun["timedOut"]),
        (&json!(null), &json!(null), &json!(null), &json!(false))
    );
    assert!(begun.get("env").is_none());
    let ended = client.wait("a-1").await;
    assert_eq!(
        (&ended["exitCode"], &ended["signal"], &ended["stdin"]),
        (&json!(7), &json!(null), &json!({ "state": "none", "accepted": 0 }))
    );
    assert!(ended["endedAt"].as_u64().unwrap() >= ended["startedAt"].as_u64().unwrap());
    assert_eq!(ended["stdout"], json!({ "start": 0, "end": 0, "closed": true }));
}

#[tokio::test]
async fn exec_is_one_request() {
    let (_agent, mut client) = Agent::with_client().await;
    let whole = client.run("echo out; echo err >&2; exit 3").await;
    assert_eq!((&whole.stdout[..], &whole.stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
    assert_eq!((&whole.process["state"], &whole.process["exitCode"]), (&json!("exited"), &json!(3)));
    assert_eq!((&whole.process["stdout"]["closed"], &whole.process["stderr"]["closed"]), (&json!(true), &json!(true)));
}

#[tokio::test]
async fn the_environment_is_the_users_and_nothing_of_the_agents() {
    let (_agent, mut client) = Agent::with_client().await;
    let request = json!({ "argv": ["/usr/bin/env"], "env": { "A": "1 2", "LANG": "de_DE", "ÜNI": "cödé" } });
    let whole = client.attach(request).await.whole().await;
    let mut lines: Vec<&str> = whole.text().lines().collect();
    lines.sort_unstable();
    assert!(lines.contains(&"A=1 2") && lines.contains(&"LANG=de_DE") && lines.contains(&"ÜNI=cödé"));
    assert!(lines.contains(&"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
    assert!(lines.contains(&"USER=root") && lines.contains(&"LOGNAME=root"));
    assert_eq!(lines.len(), 8, "{lines:?}");
}

#[tokio::test]
async fn a_program_is_looked_up_in_the_new_path() {
    let (_agent, mut client) = Agent::with_client().await;
    let missing = json!({ "argv": ["env"], "env": { "PATH": "/nowhere:/proc" } });
    let (status, body) = client.post("/v1/processes", missing).await;
    assert_eq!(
        (status, &body["error"]["code"], &body["error"]["errno"], &body["error"]["at"]),
        (422, &json!("cannot_start"), &json!("ENOENT"), &json!("program"))
    );
    let whole = client.attach(json!({ "argv": ["env"], "env": { "PATH": "/nowhere:/usr/bin" } })).await.whole().await;
    assert!(whole.text().contains("PATH=/nowhere:/usr/bin\n"));
}

#[tokio::test]
async fn each_process_leads_a_session_with_default_signals_and_no_inherited_files() {
    let (_agent, mut client) = Agent::with_client().await;
    let whole =
        client.run("cat /proc/self/status; echo; cut -d' ' -f1,5,6 /proc/$$/stat; ls /proc/$$/fd | tr '\\n' ' '").await;
    let text = whole.text();
    for mask in ["SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000"] {
        assert!(text.contains(mask), "{text}");
    }
    let (ids, files) = text.trim_end().rsplit_once('\n').unwrap();
    let ids: Vec<&str> = ids.lines().last().unwrap().split(' ').collect();
    assert!(ids[0] == ids[1] && ids[1] == ids[2], "{ids:?}");
    assert_eq!(files.trim(), "0 1 2");
}

#[tokio::test]
async fn processes_are_listed_in_order_of_start_and_forgotten_when_asked() {
    let (_agent, mut client) = Agent::with_client().await;
    for id in ["zz", "mm", "aa"] {
        client.script(id, "exec sleep 1000").await;
    }
    let (_, all) = client.get("/v1/processes").await;
    let ids: Vec<&str> =
        all["processes"].as_array().unwrap().iter().map(|process| process["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["zz", "mm", "aa"]);
    let (status, body) = client.raw("DELETE", "/v1/processes/mm", "").await;
    assert_eq!((status, &body["error"]["code"]), (409, &json!("conflict")));
    client.signal("mm", "KILL").await;
    client.wait("mm").await;
    assert_eq!(client.raw("DELETE", "/v1/processes/mm", "").await.0, 204);
    assert_eq!(client.get("/v1/processes/mm").await.0, 404);
}

#[tokio::test]
async fn an_id_is_taken_once_and_made_up_where_it_is_absent() {
    let (_agent, mut client) = Agent::with_client().await;
    client.script("p1", "exit 0").await;
    assert_eq!(client.post("/v1/processes", json!({ "id": "p1", "argv": ["true"] })).await.0, 409);
    let made_up = client.start(json!({ "argv": ["true"] })).await;
    assert_ne!(made_up["id"], "p1");
}

#[tokio::test]
async fn many_may_wait_for_one_process() {
    let (agent, mut client) = Agent::with_client().await;
    client.start(json!({ "id": "w", "argv": ["cat"], "stdin": "open" })).await;
    let mut answers = Vec::new();
    for _ in 0..20 {
        let (answer, mut body) = client.open("GET", "/v1/processes/w/wait").await;
        body.send_data(bytes::Bytes::new(), true).unwrap();
        answers.push(answer);
    }
    client.raw("POST", "/v1/processes/w/stdin?close=true", "").await;
    for answer in answers {
        assert_eq!(answer.await.unwrap().status(), 200);
    }
    drop(agent);
}

#[tokio::test]
async fn a_process_has_exited_even_if_a_descendant_holds_its_pipes() {
    let (_agent, mut client) = Agent::with_client().await;
    let stream = client.attach(json!({ "id": "d", "argv": ["sh", "-c", "sleep 1000 & echo $!"] })).await;
    let whole = stream.whole().await; // ends without the end of the pipes
    assert_eq!((&whole.process["exitCode"], &whole.process["stdout"]["closed"]), (&json!(0), &json!(false)));
    let pid: i32 = whole.text().trim().parse().unwrap();
    // SAFETY: plain system call.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    eventually("the pipes reach their end", async || client.process("d").await["stdout"]["closed"] == true).await;
}

#[tokio::test]
async fn what_a_descendant_writes_later_is_kept() {
    let (_agent, mut client) = Agent::with_client().await;
    client.start(json!({ "id": "gate", "argv": ["sh", "-c", "read line; echo $line"], "stdin": "open" })).await;
    let whole = client
        .attach(json!({ "id": "late", "argv": ["sh", "-c", "(while :; do echo more; done) & echo first"] }))
        .await
        .whole()
        .await;
    assert!(whole.stdout.starts_with(b"first\n") || whole.stdout.starts_with(b"more\n"));
    let seen = whole.process["stdout"]["end"].as_u64().unwrap();
    eventually("more output", async || client.process("late").await["stdout"]["end"].as_u64().unwrap() > seen).await;
}

#[tokio::test]
async fn a_descendant_that_writes_without_end_keeps_neither_the_stream_nor_the_agent() {
    let (_agent, mut client) = Agent::with_client().await;
    let whole = client.run("yes & exit 5").await;
    assert_eq!(whole.process["exitCode"], 5);
    assert_eq!(client.get("/v1/agent").await.0, 200);
}

#[tokio::test]
async fn ends_are_told_in_their_order_to_whoever_waits() {
    let (_agent, mut client) = Agent::with_client().await;
    assert_eq!(client.get("/v1/ends").await, (200, json!({ "last": 0, "ends": [], "running": [] })));
    client.script("long", "exec sleep 1000").await;
    let mut other = client.share();
    let waiting = tokio::spawn(async move { other.get("/v1/ends?after=0&wait=true").await.1 });
    client.script("first", "exit 7").await;
    let told = waiting.await.unwrap();
    assert_eq!((&told["last"], &told["running"]), (&json!(1), &json!(["long"])));
    let first = &told["ends"][0];
    assert_eq!((&first["number"], &first["id"], &first["exitCode"]), (&json!(1), &json!("first"), &json!(7)));
    client.post("/v1/processes/long/signal", json!({ "signal": "KILL" })).await;
    let (_, told) = client.get("/v1/ends?after=1&wait=true").await;
    let second = &told["ends"][0];
    assert_eq!(
        (&second["number"], &second["id"], &second["exitCode"], &second["signal"], &second["timedOut"]),
        (&json!(2), &json!("long"), &json!(null), &json!("KILL"), &json!(false))
    );
    assert_eq!((told["ends"].as_array().unwrap().len(), &told["running"]), (1, &json!([])));
    for bad in ["after=x", "after=-1", "wait=1"] {
        assert_eq!(client.get(&format!("/v1/ends?{bad}")).await.0, 400, "{bad}");
    }
}

#[tokio::test]
async fn the_newest_ends_are_held() {
    let (_agent, mut client) = Agent::with_client().await;
    for number in 1..=300 {
        client.script(&format!("p-{number}"), "exit 0").await;
        client.wait(&format!("p-{number}")).await;
    }
    let (_, told) = client.get("/v1/ends?after=3").await;
    let ends = told["ends"].as_array().unwrap();
    assert_eq!((ends.len(), &told["last"], &ends[0]["number"]), (256, &json!(300), &json!(45)));
}
