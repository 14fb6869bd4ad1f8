//! Whom a process runs as; needs root.

use serde_json::json;

use crate::agent::{Agent, is_root};

#[tokio::test]
async fn a_process_runs_as_its_user_and_groups() {
    if !is_root() {
        return;
    }
    let (_agent, mut client) = Agent::with_client().await;
    for (user, ids) in [
        ("daemon", "1 1 1 daemon"),
        ("1", "1 1 1 daemon"),
        ("daemon:mail", "1 8 8 daemon"),
        ("12345:54321", "12345 54321 54321 12345"),
    ] {
        let request = json!({ "argv": ["sh", "-c", "echo $(id -u) $(id -g) $(id -G) $USER"], "user": user });
        assert_eq!(client.attach(request).await.whole().await.text().trim(), ids, "{user}");
    }
    let whole =
        client.attach(json!({ "argv": ["sh", "-c", "pwd; echo $HOME $SHELL"], "user": "4242" })).await.whole().await;
    assert_eq!(whole.text(), "/\n/ /bin/sh\n");
}

#[tokio::test]
async fn a_user_gets_no_further_than_its_rights() {
    if !is_root() {
        return;
    }
    let (_agent, mut client) = Agent::with_client().await;
    let directory = std::env::temp_dir().join(format!("guest-agent-private-{}", std::process::id()));
    std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(&directory).unwrap();
    let request = json!({ "argv": ["true"], "user": "daemon", "cwd": directory.to_str().unwrap() });
    let (status, body) = client.post("/v1/processes", request).await;
    assert_eq!((status, &body["error"]["errno"]), (422, &json!("EACCES")));
    std::fs::remove_dir(&directory).unwrap();
    let whole = client
        .attach(json!({ "argv": ["sh", "-c", "kill -0 1 2>&1; cat /proc/self/status"], "user": "daemon" }))
        .await
        .whole()
        .await;
    assert!(whole.text().contains("CapEff:\t0000000000000000"), "{}", whole.text());
}
