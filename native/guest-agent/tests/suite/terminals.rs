//! Terminals: what programs print, what is typed, who looks on.

use serde_json::json;

use crate::agent::{Agent, eventually, is_root};
use crate::terminal_client::Frame;

#[tokio::test]
async fn a_program_has_a_terminal_of_the_size_asked_for() {
    let (_agent, mut client) = Agent::with_client().await;
    // what was printed before somebody looked comes as a drawn screen
    let script =
        "read x; tty -s <&0 && stty size && echo $TERM $LANG && test -t 1 && test -t 2 && : >/dev/tty && echo yes";
    let request = json!({ "id": "t", "argv": ["sh", "-c", script], "columns": 97, "rows": 13 });
    let terminal = client.create_terminal_as(request).await;
    assert_eq!((&terminal["columns"], &terminal["rows"]), (&json!(97), &json!(13)));
    let mut view = client.view("t", "").await;
    client.type_in("t", "\n").await;
    let ended = view.end().await;
    assert!(view.shown.contains("13 97\r\nxterm-256color C.UTF-8\r\nyes\r\n"), "{:?}", view.shown);
    assert_eq!((&ended["state"], &ended["exitCode"]), (&json!("ended"), &json!(0)));
    assert_eq!(view.size, (97, 13));
}

#[tokio::test]
async fn a_viewer_that_comes_late_sees_the_screen_as_it_is() {
    let (agent, mut client) = Agent::with_client().await;
    client.create_terminal("t", "seq 100; printf '\\033[1;31mred\\033[0m \\033]0;my title\\007'; read line").await;
    let mut view = client.view("t", "").await;
    view.until("red").await;
    client.cut().await;

    let mut client = agent.client().await;
    eventually("it is gone", async || client.terminal("t").await["viewers"] == 0).await;
    let mut view = client.view("t", "").await;
    assert_eq!(view.next().await, Some(Frame::Screen(80, 24)));
    view.until("red").await;
    for wanted in ["1\r\n2\r\n3\r\n", "\n100 ", "\x1b[1;31m"] {
        assert!(view.shown.contains(wanted), "{wanted:?} in {:?}", view.shown);
    }
    view.until("\x1b]2;my title\x07").await;
    assert_eq!(client.terminal("t").await["title"], "my title");
    client.type_in("t", "\n").await;
    assert_eq!(view.end().await["exitCode"], 0);
}

#[tokio::test]
async fn what_is_typed_is_read_and_echoed() {
    let (_agent, mut client) = Agent::with_client().await;
    client.create_terminal("t", "read a; echo got $a; cat").await;
    let mut view = client.view("t", "").await;
    client.type_in("t", "h\u{e9}x\u{7f}llo\r").await;
    view.until("got h\u{e9}llo").await;
    client.type_in("t", "\x04").await;
    assert_eq!(view.end().await["exitCode"], 0);
    let (status, body) = client.raw("POST", "/v1/terminals/t/input", "x").await;
    assert_eq!((status, &body["error"]["code"]), (409, &json!("conflict")));
}

#[tokio::test]
async fn typed_characters_signal_and_jobs_stop_and_go_on() {
    let (_agent, mut client) = Agent::with_client().await;
    for (id, key, signal) in [("c", "\x03", "INT"), ("q", "\x1c", "QUIT")] {
        client.create_terminal_as(json!({ "id": id, "argv": ["sh", "-c", "echo ready; exec sleep 1000"] })).await;
        let mut view = client.view(id, "").await;
        view.until("ready").await;
        client.type_in(id, key).await;
        let ended = view.end().await;
        assert_eq!((&ended["signal"], &ended["exitCode"]), (&json!(signal), &json!(null)));
    }
    client.create_terminal_as(json!({ "id": "z", "argv": ["sh", "-i"], "env": { "PS1": "prompt>" } })).await;
    let mut view = client.view("z", "").await;
    view.until("prompt>").await;
    client.type_in("z", "sleep 1000\r").await;
    view.until("sleep 1000\r\n").await;
    eventually("Ctrl-Z gives the prompt back", async || {
        client.type_in("z", "\x1a").await;
        client.type_in("z", "echo it is $((20 + 3)); exit 7\r").await;
        tokio::time::timeout(std::time::Duration::from_secs(1), view.until("it is 23")).await.is_ok()
    })
    .await;
    eventually("it ends", async || {
        client.raw("POST", "/v1/terminals/z/input", "exit 7\r").await;
        client.terminal("z").await["state"] == "ended"
    })
    .await;
}

#[tokio::test]
async fn a_new_size_reaches_programs_and_viewers() {
    let (_agent, mut client) = Agent::with_client().await;
    client.create_terminal("t", "trap 'stty size' WINCH; echo ready; while :; do sleep 0.01; done").await;
    let mut first = client.view("t", "").await;
    first.until("ready").await;
    let (status, terminal) = client.resize("t", 100, 30).await;
    assert_eq!((status, &terminal["columns"]), (200, &json!(100)));
    first.until("30 100").await;
    assert_eq!(first.size, (100, 30));
    let mut second = client.view("t", "?columns=50&rows=10").await;
    assert_eq!(second.next().await, Some(Frame::Screen(50, 10)));
    first.until("10 50").await;
    assert_eq!((first.size, first.screens), ((50, 10), 1));
}

#[tokio::test]
async fn several_viewers_see_the_same() {
    let (_agent, mut client) = Agent::with_client().await;
    client.create_terminal("t", "cat").await;
    let mut views = [client.view("t", "").await, client.view("t", "").await];
    client.type_in("t", "hello\r").await;
    for view in &mut views {
        view.until("hello\r\nhello\r\n").await;
    }
    assert_eq!(client.terminal("t").await["viewers"], 2);
}

#[tokio::test]
async fn one_that_has_ended_can_be_read_until_it_is_deleted() {
    let (_agent, mut client) = Agent::with_client().await;
    client.create_terminal("t", "echo last words; exit 3").await;
    eventually("it ends", async || client.terminal("t").await["state"] == "ended").await;
    assert_eq!(client.terminal("t").await["exitCode"], 3);
    let mut view = client.view("t", "?columns=20&rows=5").await;
    assert_eq!(view.end().await["exitCode"], 3);
    assert!(view.shown.contains("last words"), "{:?}", view.shown);
    assert_eq!(client.resize("t", 10, 10).await.0, 409);
    assert_eq!(client.raw("DELETE", "/v1/terminals/t", "").await.0, 204);
    assert_eq!(client.get("/v1/terminals/t").await.0, 404);
    assert_eq!(client.raw("DELETE", "/v1/terminals/t", "").await.0, 404);
}

#[tokio::test]
async fn deleting_hangs_up_and_kills_what_stays() {
    let (agent, mut client) = Agent::with_client().await;
    let script = "trap '' HUP TERM; (trap '' HUP; set -m; sleep 1000 & echo up; wait) ; wait";
    client.create_terminal("t", script).await;
    let mut view = client.view("t", "").await;
    view.until("up").await;
    assert_eq!(client.raw("DELETE", "/v1/terminals/t", "").await.0, 204);
    assert_eq!(view.end().await["signal"], "KILL");
    eventually("nothing of it is left", async || agent.children().is_empty()).await;
}

#[tokio::test]
async fn the_shell_is_a_login_shell_by_default() {
    let (_agent, mut client) = Agent::with_client().await;
    client.create_terminal_as(json!({ "id": "t", "env": { "PS1": "$ ", "TERM": "dumb" } })).await;
    let mut view = client.view("t", "").await;
    client.type_in("t", "echo [$0] [$TERM]; exit\r").await;
    view.end().await;
    assert!(view.shown.contains("[-") && view.shown.contains("[dumb]"), "{:?}", view.shown);
}

#[tokio::test]
async fn programs_get_answers_with_and_without_viewers() {
    let (_agent, mut client) = Agent::with_client().await;
    let script = "stty raw -echo; printf 'ab\\033[6n'; dd bs=1 count=6 2>/dev/null | od -An -c; stty sane; read x";
    client.create_terminal("t", script).await;
    let mut view = client.view("t", "").await;
    view.until("033   [   1   ;   3   R").await;
    assert!(!view.shown.contains("\x1b[6n"));
}

#[tokio::test]
async fn a_terminal_that_nobody_has_open_for_a_while_goes_on() {
    let (_agent, mut client) = Agent::with_client().await;
    let script = "exec 3<&- <&- >&- 2>&-; sleep 0.3; exec </dev/tty >/dev/tty 2>&1; echo back; read x; echo got $x";
    client.create_terminal("t", script).await;
    let mut view = client.view("t", "").await;
    view.until("back").await;
    client.type_in("t", "it\n").await;
    assert_eq!(view.end().await["exitCode"], 0);
    assert!(view.shown.contains("got it"), "{:?}", view.shown);
}

#[tokio::test]
async fn a_user_owns_his_terminal() {
    if !is_root() {
        return;
    }
    let (_agent, mut client) = Agent::with_client().await;
    // what was printed before somebody looked comes as a drawn screen
    let argv = ["sh", "-c", "read x; id -u; stat -c '%u %a' $(tty)"];
    client.create_terminal_as(json!({ "id": "t", "argv": argv, "user": "1234", "cwd": "/" })).await;
    let mut view = client.view("t", "").await;
    client.type_in("t", "\n").await;
    assert_eq!(view.end().await["user"], "1234");
    assert!(view.shown.contains("1234\r\n1234 620\r\n"), "{:?}", view.shown);
}
