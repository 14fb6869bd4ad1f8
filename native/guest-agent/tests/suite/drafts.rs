//! Drafts that their writer has named, and goes on with.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use crate::agent::{Agent, eventually};
use crate::client::code;
use crate::place::Place;

const DRAFT: &str = ".workfort-draft-0123456789abcdef";

#[tokio::test]
async fn a_named_draft_is_gone_on_with() {
    let (_agent, mut client) = Agent::with_client().await;
    let place = Place::new();
    let url = |more: &str| place.url("content", "file", &format!("&draft=0123456789abcdef{more}"));
    place.write(DRAFT, b"first half, and what is dropped");
    let (status, answer) = client.put(&url("&offset=10"), " and second").await;
    assert_eq!((status, &answer["sizeBytes"]), (200, &json!(21)));
    assert_eq!(place.read("file"), "first half and second");
    assert!(!place.join(DRAFT).exists());

    assert_eq!(code(&client.put(&url("&offset=1"), "x").await), (400, "bad_request"), "nothing is held");
    symlink("file", place.join(".workfort-draft-fedcba9876543210")).unwrap();
    let through = place.url("content", "file", "&draft=fedcba9876543210");
    assert_eq!(code(&client.put(&through, "x").await), (422, "file_failed"), "no link is followed");
    assert_eq!(place.read("file"), "first half and second");
    for bad in ["&offset=1", "&draft=short", "&draft=0123456789ABCDEF", "&draft=../../../../../ab"] {
        let url = place.url("content", "file", bad);
        assert_eq!(code(&client.put(&url, "x").await), (400, "bad_request"), "{bad}");
    }
}

#[tokio::test]
async fn a_named_draft_has_one_writer() {
    let (agent, mut client) = Agent::with_client().await;
    for breaks_off in [false, true] {
        let place = Place::new();
        let url = |more: &str| place.url("content", "file", &format!("&draft=0123456789abcdef{more}"));
        let (answer, mut body) = client.open("PUT", &url("")).await;
        body.send_data("half".into(), false).unwrap();
        eventually("a half is there", async || fs::read(place.join(DRAFT)).is_ok_and(|bytes| bytes == b"half")).await;
        let (mut other, behind) = (client.share(), url("&offset=4"));
        let second = tokio::spawn(async move { other.put(&behind, " and more").await });
        eventually("both workers are there", async || agent.children().len() == 2).await;
        if breaks_off {
            body.send_reset(h2::Reason::CANCEL);
            assert_eq!(second.await.unwrap().0, 200);
            assert_eq!(place.read("file"), "half and more");
        } else {
            body.send_data(" and end".into(), true).unwrap();
            assert_eq!(answer.await.unwrap().status(), 200);
            assert_eq!(code(&second.await.unwrap()), (400, "bad_request"), "nothing is held any more");
            assert_eq!(place.read("file"), "half and end");
        }
        assert_eq!(place.names(), ["file"]);
    }
}

#[tokio::test]
async fn who_waits_in_vain_for_a_draft_is_told() {
    let (agent, mut client) = Agent::with_client().await;
    let place = Place::new();
    let url = place.url("content", "file", "&draft=0123456789abcdef");
    let (answer, mut body) = client.open("PUT", &url).await;
    body.send_data("half".into(), false).unwrap();
    eventually("a half is there", async || fs::read(place.join(DRAFT)).is_ok_and(|bytes| bytes == b"half")).await;
    let refused = client.put(&url, "all of another").await;
    assert_eq!(code(&refused), (422, "file_failed"));
    assert!(refused.1["error"]["message"].as_str().unwrap().ends_with("try again when that has ended"), "{refused:?}");
    body.send_data(" and end".into(), true).unwrap();
    assert_eq!(answer.await.unwrap().status(), 200);
    assert_eq!(place.read("file"), "half and end");
    eventually("the workers have gone", async || agent.children().is_empty()).await;
}
