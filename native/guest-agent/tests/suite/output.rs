//! Output streams: attaching, losing the line, rings, gaps, back-pressure.

use serde_json::json;

use crate::agent::{Agent, eventually};
use crate::client::Client;
use crate::frames::Frame;

/// a stream of numbered lines, so that every byte's place can be checked
fn numbered(bytes: usize) -> Vec<u8> {
    (1..).flat_map(|number: u32| format!("{number}\n").into_bytes()).take(bytes).collect()
}

#[tokio::test]
async fn a_stream_without_follow_ends_after_what_is_there() {
    let (_agent, mut client) = Agent::with_client().await;
    client.start(json!({ "id": "s", "argv": ["sh", "-c", "echo one; read x; echo two"], "stdin": "open" })).await;
    eventually("the first line", async || client.process("s").await["stdout"]["end"] == 4).await;
    let whole = client.output("s", "").await.whole().await;
    assert_eq!((whole.text(), &whole.process["state"]), ("one\n", &json!("running")));
    client.raw("POST", "/v1/processes/s/stdin?offset=0", "go\n").await;
    client.wait("s").await;
    let whole = client.output("s", "stdout=2&stderr=0&follow=false").await.whole().await;
    assert_eq!(whole.text(), "e\ntwo\n");
    assert_eq!(client.output("s", "stdout=8&follow=true").await.whole().await.text(), "");
}

#[tokio::test]
async fn a_cut_line_leaves_the_process_and_offsets_continue() {
    let (agent, mut client) = Agent::with_client().await;
    let script = "i=1; while read line; do echo $i; i=$((i+1)); done";
    let mut stream = client.attach(json!({ "id": "c", "argv": ["sh", "-c", script], "stdin": "open" })).await;
    stream.process().await;
    client.raw("POST", "/v1/processes/c/stdin?offset=0", "\n").await;
    assert_eq!(stream.line().await, "1\n");
    client.raw("POST", "/v1/processes/c/stdin?offset=1", "\n").await;
    client.cut().await;

    let mut client = agent.client().await;
    assert_eq!(client.process("c").await["stdin"]["accepted"], 2);
    let mut stream = client.output("c", "stdout=2&follow=true").await;
    assert_eq!(stream.process().await["state"], "running");
    assert_eq!(stream.line().await, "2\n");
    client.raw("POST", "/v1/processes/c/stdin?offset=2&close=true", "\n").await;
    assert_eq!(stream.stdout().await, (4, "3\n".into()));
    assert!(matches!(stream.next().await, Some(Frame::Process(process)) if process["state"] == "exited"));
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn a_line_cut_in_mid_stream_loses_nothing_that_the_ring_holds() {
    let (agent, mut client) = Agent::with_client().await;
    let all = numbered(3_000_000);
    let script = "seq 1 1000000 | head -c 3000000; exec sleep 1000";
    let mut stream = client.attach(json!({ "id": "m", "argv": ["sh", "-c", script], "ringBytes": 4_000_000 })).await;
    stream.process().await;
    let mut taken = Vec::new();
    while taken.len() < 100_000 {
        taken.extend_from_slice(&stream.stdout().await.1);
    }
    client.cut().await;
    let mut client = agent.client().await;
    let mut stream = client.output("m", &format!("stdout={}&follow=true", taken.len())).await;
    stream.process().await;
    while taken.len() < all.len() {
        let (offset, bytes) = stream.stdout().await;
        assert_eq!(offset, taken.len() as u64);
        taken.extend_from_slice(&bytes);
    }
    assert!(taken == all);
}

#[tokio::test]
async fn without_a_reader_the_oldest_bytes_give_way_and_a_gap_says_so() {
    let (_agent, mut client) = Agent::with_client().await;
    let all = numbered(5_000_000);
    client
        .start(json!({ "id": "o", "argv": ["sh", "-c", "seq 1 1000000 | head -c 5000000"], "ringBytes": 65536 }))
        .await;
    let ended = client.wait("o").await;
    eventually("the end of the pipe", async || client.process("o").await["stdout"]["closed"] == true).await;
    assert_eq!(ended["exitCode"], 0);
    assert_eq!(
        client.process("o").await["stdout"],
        json!({ "start": 5_000_000 - 65_536, "end": 5_000_000, "closed": true })
    );
    let whole = client.output("o", "").await.whole().await;
    assert_eq!(whole.gaps, [5_000_000 - 65_536]);
    assert!(whole.stdout == all[all.len() - 65_536..]);
    let whole = client.output("o", "stdout=4999990&follow=true").await.whole().await;
    assert_eq!((whole.gaps.len(), &whole.stdout[..]), (0, &all[all.len() - 10..]));
}

#[tokio::test]
async fn a_slow_reader_loses_nothing_and_costs_little_memory() {
    const BYTES: usize = 200_000_000;
    let agent = Agent::start();
    let mut client = Client::greet_with_window(agent.connect().await, 262_144).await;
    let mut resident = client.resident_bytes().await;
    let mut stream = client
        .attach(json!({ "id": "p", "argv": ["sh", "-c", format!("yes 0123456789abcde | head -c {BYTES}")], "ringBytes": 65536 }))
        .await;
    stream.process().await;
    // nothing is taken: the writer stops once the ring, the window and the pipe are full
    let mut held = 0;
    eventually("the writer is held up", async || {
        let end = client.process("p").await["stdout"]["end"].as_u64().unwrap();
        std::mem::replace(&mut held, end) == end && end > 0
    })
    .await;
    assert!(held < 2_000_000, "{held}");
    let mut taken = 0;
    while taken < BYTES {
        let (offset, bytes) = stream.stdout().await;
        assert_eq!(offset as usize, taken);
        let begin = taken % 16;
        let pattern = b"0123456789abcde\n".repeat(2);
        assert!(bytes[..bytes.len().min(16)] == pattern[begin..begin + bytes.len().min(16)]);
        assert!(bytes.windows(17).step_by(4093).all(|window| window[0] == window[16]));
        taken += bytes.len();
        if taken % 50_000_000 < bytes.len() {
            resident = resident.max(client.resident_bytes().await);
        }
    }
    assert!(matches!(stream.next().await, Some(Frame::Process(process)) if process["exitCode"] == 0));
    assert!(resident < 12_000_000, "{resident} bytes"); // of an unoptimised build
}

#[tokio::test]
async fn a_reader_that_leaves_lets_the_process_go_on() {
    let agent = Agent::start();
    let mut client = Client::greet_with_window(agent.connect().await, 65_536).await;
    let stream =
        client.attach(json!({ "id": "l", "argv": ["sh", "-c", "yes | head -c 4000000"], "ringBytes": 4096 })).await;
    drop(stream); // resets the HTTP/2 stream
    assert_eq!(client.wait("l").await["exitCode"], 0);

    let _stream =
        client.attach(json!({ "id": "m", "argv": ["sh", "-c", "yes | head -c 4000000"], "ringBytes": 4096 })).await;
    client.cut().await;
    assert_eq!(agent.client().await.wait("m").await["exitCode"], 0);
}

#[tokio::test]
async fn several_readers_see_the_same_bytes() {
    let (_agent, mut client) = Agent::with_client().await;
    client
        .start(json!({ "id": "r", "argv": ["sh", "-c", "read x; seq 1 200000"], "stdin": "open", "ringBytes": 4096 }))
        .await;
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(client.output("r", "follow=true").await);
    }
    client.raw("POST", "/v1/processes/r/stdin", "\n").await;
    let wholes: Vec<_> = streams.into_iter().map(|stream| tokio::spawn(stream.whole())).collect();
    let all: Vec<u8> = (1..=200_000).flat_map(|number| format!("{number}\n").into_bytes()).collect();
    for whole in wholes {
        assert!(whole.await.unwrap().stdout == all);
    }
}

#[tokio::test]
async fn a_fast_writer_without_reader_does_not_keep_the_agent_busy() {
    let (_agent, mut client) = Agent::with_client().await;
    for id in ["y1", "y2"] {
        client.script(id, "exec cat /dev/zero").await;
    }
    eventually("much was written", async || client.process("y1").await["stdout"]["end"].as_u64().unwrap() > 50_000_000)
        .await;
    assert_eq!(client.run("echo still here").await.text(), "still here\n");
}
