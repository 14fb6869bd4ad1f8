//! Directories as archives, out and in; what comes in may be hostile.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;

use serde_json::{Value, json};
use tar::{Archive, EntryType, Header};

use crate::agent::{Agent, eventually, is_root};
use crate::place::{Place, names_in};

/// An archive of entries: name, kind, link's target, content.
fn archive(entries: &[(&str, EntryType, &str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, kind, target, content) in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_mode(if *kind == EntryType::Directory { 0o750 } else { 0o640 });
        header.set_uid(12);
        header.set_gid(34);
        header.set_mtime(1_000_000_000);
        header.set_size(content.len() as u64);
        header.set_cksum();
        bytes.extend(header.as_bytes());
        bytes.extend(content.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

const FILE: EntryType = EntryType::Regular;
const DIRECTORY: EntryType = EntryType::Directory;
const SYMLINK: EntryType = EntryType::Symlink;
const LINK: EntryType = EntryType::Link;

#[tokio::test]
async fn a_tree_goes_out_and_in_again() {
    let (_agent, mut client) = Agent::with_client().await;
    let place = Place::new();
    let long = "l".repeat(200);
    fs::create_dir_all(place.join(&format!("from/deep/{long}"))).unwrap();
    place.write("from/file", "content");
    place.write(&format!("from/deep/{long}/large"), vec![7; 3_000_000]);
    fs::hard_link(place.join("from/file"), place.join("from/same")).unwrap();
    symlink("/nowhere/at/all", place.join("from/dangling")).unwrap();
    symlink(&long, place.join("from/deep/link")).unwrap();
    fs::set_permissions(place.join("from/file"), Permissions::from_mode(0o4711)).unwrap();
    fs::set_permissions(place.join("from/deep"), Permissions::from_mode(0o500)).unwrap();
    assert!(Command::new("mkfifo").arg(place.join("from/fifo")).status().unwrap().success());
    assert!(
        Command::new("touch")
            .args(["-d", "2001-09-09T01:46:40Z"])
            .arg(place.join("from/deep"))
            .status()
            .unwrap()
            .success()
    );

    let bytes = client.bytes(&place.url("archive", "from", "")).await;
    let (status, done) = client.put(&place.url("archive", "to", ""), bytes).await;
    assert_eq!(
        (status, done),
        (200, json!({ "files": 2, "directories": 2, "links": 3, "bytes": 3_000_007, "leftOut": [] }))
    );
    assert_eq!(
        (place.read("to/same").as_str(), place.mode("to/file"), place.mode("to/deep")),
        ("content", 0o4711, 0o500)
    );
    assert_eq!(fs::metadata(place.join("to/file")).unwrap().ino(), fs::metadata(place.join("to/same")).unwrap().ino());
    assert_eq!(fs::read_link(place.join("to/dangling")).unwrap().to_str().unwrap(), "/nowhere/at/all");
    assert_eq!(fs::metadata(place.join("to/deep/link/large")).unwrap().len(), 3_000_000);
    assert_eq!(fs::metadata(place.join("to/deep")).unwrap().mtime(), 1_000_000_000);
    assert!(!place.join("to/fifo").exists());
}

#[tokio::test]
async fn other_programs_read_what_goes_out_and_write_what_comes_in() {
    let (_agent, mut client) = Agent::with_client().await;
    let place = Place::new();
    fs::create_dir(place.join("from")).unwrap();
    place.write("from/a", "1");
    place.write(&format!("from/{}", "n".repeat(150)), "2");
    let bytes = client.bytes(&place.url("archive", "from", "")).await;
    place.write("from.tar", bytes);
    fs::create_dir(place.join("by-tar")).unwrap();
    let unpacked =
        Command::new("tar").arg("-xf").arg(place.join("from.tar")).arg("-C").arg(place.join("by-tar")).status();
    assert!(unpacked.unwrap().success());
    assert_eq!(names_in(&place.join("by-tar")), names_in(&place.join("from")));
    for format in ["gnu", "pax", "ustar", "v7"] {
        fs::remove_dir_all(place.join("to")).unwrap_or_default();
        let mut making = Command::new("tar");
        making.args([&format!("--format={format}"), "-cf"]).arg(place.join("x.tar"));
        let made = making.arg("-C").arg(place.join("from")).arg("a").status();
        assert!(made.unwrap().success());
        let (status, done) = client.put(&place.url("archive", "to", ""), fs::read(place.join("x.tar")).unwrap()).await;
        assert_eq!((status, &done["files"]), (200, &json!(1)), "{format}: {done}");
        assert_eq!(place.read("to/a"), "1");
    }
}

#[tokio::test]
async fn a_single_file_is_an_archive_of_one() {
    let (_agent, mut client) = Agent::with_client().await;
    let place = Place::new();
    place.write("one", "1");
    let bytes = client.bytes(&place.url("archive", "one", "")).await;
    let mut archive = Archive::new(&bytes[..]);
    let names: Vec<_> = archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned()).collect();
    assert_eq!(names, [std::path::Path::new("one")]);
    assert_eq!(client.get(&place.url("archive", "none", "")).await.0, 404);
}

#[tokio::test]
async fn what_the_user_may_not_read_is_left_out_and_told() {
    if !is_root() {
        return;
    }
    let (_agent, mut client) = Agent::with_client().await;
    let place = Place::new();
    place.write("open", "1");
    place.write("shut", "2");
    fs::set_permissions(place.join("shut"), Permissions::from_mode(0o600)).unwrap();
    let bytes = client.bytes(&place.url("archive", "", "&user=nobody")).await;
    let mut found = BTreeMap::new();
    for entry in Archive::new(&bytes[..]).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        found.insert(entry.path().unwrap().display().to_string(), content);
    }
    assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), ["./", "notice", "open"]);
    assert!(found["notice"].contains("WORKFORT.notice=shut is left out: Permission denied"), "{found:?}");
}

/// Unpacks into `to`, beside which nothing may change.
async fn unpack(entries: &[(&str, EntryType, &str, &str)], prepare: impl Fn(&Place)) -> (Place, u16, Value) {
    let (_agent, mut client) = Agent::with_client().await;
    let place = Place::new();
    fs::create_dir(place.join("outside")).unwrap();
    place.write("outside/kept", "kept");
    fs::create_dir(place.join("to")).unwrap();
    prepare(&place);
    let (status, answer) = client.put(&place.url("archive", "to", ""), archive(entries)).await;
    assert_eq!(place.read("outside/kept"), "kept", "{entries:?}");
    assert_eq!(names_in(&place.join("outside")), ["kept"], "{entries:?}");
    assert!(place.names().iter().all(|name| ["outside", "to"].contains(&name.as_str())), "{entries:?}");
    (place, status, answer)
}

#[tokio::test]
async fn nothing_is_written_outside_whatever_an_archive_says() {
    let cases: &[&[(&str, EntryType, &str, &str)]] = &[
        &[("../outside/new", FILE, "", "x")],
        &[("../outside/kept", FILE, "", "x")],
        &[("a/../../outside/kept", FILE, "", "x")],
        &[("/tmp/agent-files-absolute", FILE, "", "x")],
        &[("..", DIRECTORY, "", "")],
        &[("", FILE, "", "x")],
        &[(".", SYMLINK, "../outside", "")],
        &[("link", SYMLINK, "../outside", ""), ("link/new", FILE, "", "x")],
        &[("link", SYMLINK, "../outside", ""), ("link/kept", FILE, "", "x")],
        &[("link", SYMLINK, "../outside", ""), ("link", DIRECTORY, "", ""), ("link/new", FILE, "", "x")],
        &[("link", SYMLINK, "../outside", ""), ("link/under/deep/new", FILE, "", "x")],
        &[("a", SYMLINK, "..", ""), ("b", SYMLINK, "a/outside", ""), ("b/kept", FILE, "", "x")],
        &[("d", DIRECTORY, "", ""), ("d/l", SYMLINK, "../../outside", ""), ("d/l/new", DIRECTORY, "", "")],
        &[("hard", LINK, "../outside/kept", "")],
        &[("hard", LINK, "/etc/passwd", "")],
        &[("link", SYMLINK, "../outside", ""), ("hard", LINK, "link/kept", "")],
        &[("hard", LINK, "", "")],
        &[("no-target", SYMLINK, "", "")],
        &[("file", FILE, "", "x"), ("file/under", FILE, "", "x")],
    ];
    for entries in cases {
        let (_place, status, answer) = unpack(entries, |_| {}).await;
        assert!(matches!(status, 409 | 422 | 404), "{entries:?}: {status} {answer}");
        assert!(answer["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{entries:?}");
    }
    assert!(!std::path::Path::new("/tmp/agent-files-absolute").exists());
}

#[tokio::test]
async fn a_link_in_an_entrys_place_is_replaced_and_not_written_through() {
    let entries = [("link", SYMLINK, "../outside/kept", ""), ("link", FILE, "", "new")];
    let (place, status, _) = unpack(&entries, |_| {}).await;
    assert_eq!((status, place.read("to/link").as_str()), (200, "new"));
    // one that was there before the archive came
    let (place, status, _) = unpack(&[("link", FILE, "", "new")], |place| {
        symlink("../outside/kept", place.join("to/link")).unwrap();
    })
    .await;
    assert_eq!((status, place.read("to/link").as_str()), (200, "new"));
    let (_place, status, answer) = unpack(&[("link/new", FILE, "", "new")], |place| {
        symlink("../outside", place.join("to/link")).unwrap();
    })
    .await;
    assert_eq!((status, &answer["error"]["code"]), (422, &json!("bad_archive")));
    // a file with another name outside gets no content by it
    let (place, status, _) = unpack(&[("hard", FILE, "", "new")], |place| {
        fs::hard_link(place.join("outside/kept"), place.join("to/hard")).unwrap();
    })
    .await;
    assert_eq!((status, place.read("to/hard").as_str()), (200, "new"));
}

#[tokio::test]
async fn devices_and_pipes_are_left_out_and_told() {
    let entries = [
        ("null", EntryType::Char, "", ""),
        ("disk", EntryType::Block, "", ""),
        ("fifo", EntryType::Fifo, "", ""),
        ("file", FILE, "", "x"),
    ];
    let (place, status, answer) = unpack(&entries, |_| {}).await;
    assert_eq!((status, names_in(&place.join("to"))), (200, vec!["file".to_string()]));
    assert_eq!(answer["leftOut"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn what_is_no_archive_or_breaks_off_is_told_and_leaves_no_half_file() {
    let (agent, mut client) = Agent::with_client().await;
    let place = Place::new();
    let whole = archive(&[("file", FILE, "", &"x".repeat(5000))]);
    for bytes in [vec![b'x'; 5000], whole[..3000].to_vec(), whole[..300].to_vec()] {
        let (status, answer) = client.put(&place.url("archive", "to", ""), bytes).await;
        assert_eq!((status, &answer["error"]["code"]), (422, &json!("bad_archive")), "{answer}");
        assert!(names_in(&place.join("to")).is_empty());
    }
    let (answer, mut body) = client.open("PUT", &place.url("archive", "to", "")).await;
    body.send_data(whole[..3000].to_vec().into(), false).unwrap();
    eventually("a draft is there", async || names_in(&place.join("to")).len() == 1).await;
    body.send_reset(h2::Reason::CANCEL);
    drop(answer);
    eventually("the draft has gone", async || names_in(&place.join("to")).is_empty()).await;
    eventually("the worker has gone", async || agent.children().is_empty()).await;
}

#[tokio::test]
async fn owners_are_kept_where_root_asks_for_it() {
    if !is_root() {
        return;
    }
    let (_agent, mut client) = Agent::with_client().await;
    let place = Place::new();
    let bytes = archive(&[("d", DIRECTORY, "", ""), ("d/f", FILE, "", "x"), ("d/l", SYMLINK, "f", "")]);
    let owner = |name: &str| {
        let found = fs::symlink_metadata(place.join(name)).unwrap();
        (found.uid(), found.gid())
    };
    client.put(&place.url("archive", "plain", ""), bytes.clone()).await;
    assert_eq!((owner("plain/d"), owner("plain/d/f")), ((0, 0), (0, 0)));
    assert_eq!(client.put(&place.url("archive", "kept", "&owners=true"), bytes.clone()).await.0, 200);
    assert_eq!((owner("kept/d"), owner("kept/d/f"), owner("kept/d/l")), ((12, 34), (12, 34), (12, 34)));
    let (status, _) = client.put(&place.url("archive", "kept", "&owners=true&user=nobody"), bytes).await;
    assert_eq!(status, 400);
}
