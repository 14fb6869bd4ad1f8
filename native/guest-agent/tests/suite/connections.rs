//! Connections to what listens in the guest: real sockets of this test, which shares the agent's network.

use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};

use crate::agent::{Agent, eventually};
use crate::client::{Client, send_all};
use crate::place::{Place, read_all};

const MOST: usize = 256;

/// the host's end of a connection
struct Connection {
    outgoing: SendStream<Bytes>,
    incoming: RecvStream,
}

impl Connection {
    async fn open(client: &mut Client, query: &str) -> Self {
        let (answer, outgoing) = client.open("POST", &format!("/v1/connections?{query}")).await;
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        Connection { outgoing, incoming: answer.into_body() }
    }

    async fn to(client: &mut Client, listener: &TcpListener) -> (Self, TcpStream) {
        let query = format!("port={}", listener.local_addr().unwrap().port());
        let (connection, accepted) = tokio::join!(Self::open(client, &query), listener.accept());
        (connection, accepted.unwrap().0)
    }

    async fn send(&mut self, text: &str, end: bool) {
        send_all(&mut self.outgoing, Bytes::copy_from_slice(text.as_bytes()), end).await;
    }

    async fn read(&mut self, length: usize) -> String {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let piece = self.incoming.data().await.unwrap().unwrap();
            self.incoming.flow_control().release_capacity(piece.len()).unwrap();
            bytes.extend_from_slice(&piece);
        }
        String::from_utf8(bytes).unwrap()
    }

    /// Reads to the end: the reason where the agent resets it, none where it ends in order.
    async fn reason(&mut self) -> Option<Reason> {
        while let Some(piece) = self.incoming.data().await {
            if let Err(why) = piece {
                return why.reason();
            }
        }
        None
    }
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

async fn echo(stream: impl AsyncRead + AsyncWrite) {
    let (mut reading, mut writing) = tokio::io::split(stream);
    tokio::io::copy(&mut reading, &mut writing).await.unwrap();
    writing.shutdown().await.unwrap();
}

#[tokio::test]
async fn bytes_go_both_ways_by_both_families_and_unix_sockets() {
    let (_agent, mut client) = Agent::with_client().await;
    let place = Place::new();
    let ipv4 = listen().await;
    let ipv6 = TcpListener::bind("[::1]:0").await.unwrap();
    let unix = UnixListener::bind(place.join("a socket")).unwrap();
    let queries = [
        format!("port={}", ipv4.local_addr().unwrap().port()),
        format!("port={}", ipv6.local_addr().unwrap().port()),
        place.query("a socket"),
    ];
    tokio::spawn(async move { echo(ipv4.accept().await.unwrap().0).await });
    tokio::spawn(async move { echo(ipv6.accept().await.unwrap().0).await });
    tokio::spawn(async move { echo(unix.accept().await.unwrap().0).await });
    let sent: Bytes = (0..3_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for query in queries {
        let mut connection = Connection::open(&mut client, &query).await;
        connection.send("first", false).await;
        assert_eq!(connection.read(5).await, "first");
        let Connection { mut outgoing, incoming } = connection;
        let ((), heard) = tokio::join!(send_all(&mut outgoing, sent.clone(), true), read_all(incoming));
        assert!(heard.unwrap() == sent, "{query}");
    }
}

#[tokio::test]
async fn each_direction_ends_by_itself() {
    let (_agent, mut client) = Agent::with_client().await;
    let listener = listen().await;

    let (mut connection, mut guest) = Connection::to(&mut client, &listener).await;
    connection.send("question", true).await;
    let mut heard = String::new();
    guest.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "question");
    guest.write_all(b"answer").await.unwrap();
    drop(guest);
    assert_eq!(read_all(connection.incoming).await.unwrap(), b"answer");

    let (mut connection, mut guest) = Connection::to(&mut client, &listener).await;
    guest.write_all(b"greeting").await.unwrap();
    guest.shutdown().await.unwrap();
    assert_eq!(read_all(connection.incoming).await.unwrap(), b"greeting");
    send_all(&mut connection.outgoing, Bytes::from_static(b"late"), true).await;
    let mut heard = String::new();
    guest.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "late");
}

#[tokio::test]
async fn a_host_that_reads_slowly_holds_up_the_guest_and_nobody_else() {
    let agent = Agent::start();
    let mut client = Client::greet_with_window(agent.connect().await, 65_536).await;
    let listener = listen().await;
    let (connection, mut guest) = Connection::to(&mut client, &listener).await;
    let (other, mut other_guest) = Connection::to(&mut client, &listener).await;
    let before = client.resident_bytes().await;
    let length = 64 * 1024 * 1024;
    let writing = tokio::spawn(async move {
        guest.write_all(&vec![b'x'; length]).await.unwrap();
    });
    other_guest.write_all(b"free").await.unwrap();
    drop(other_guest);
    assert_eq!(read_all(other.incoming).await.unwrap(), b"free");
    assert!(!writing.is_finished());
    assert!(client.resident_bytes().await < before + 4 * 1024 * 1024);
    assert_eq!(read_all(connection.incoming).await.unwrap().len(), length);
    writing.await.unwrap();
}

#[tokio::test]
async fn a_guest_that_reads_slowly_holds_up_the_host_and_nobody_else() {
    let (_agent, mut client) = Agent::with_client().await;
    let listener = listen().await;
    let (mut connection, mut guest) = Connection::to(&mut client, &listener).await;
    let before = client.resident_bytes().await;
    let length = 64 * 1024 * 1024;
    let sending = tokio::spawn(async move {
        send_all(&mut connection.outgoing, vec![b'x'; length].into(), true).await;
        connection
    });
    let (mut other, other_guest) = Connection::to(&mut client, &listener).await;
    tokio::spawn(echo(other_guest));
    other.send("free", true).await;
    assert_eq!(read_all(other.incoming).await.unwrap(), b"free");
    assert!(!sending.is_finished());
    assert!(client.resident_bytes().await < before + 4 * 1024 * 1024);
    let mut heard = Vec::new();
    guest.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard.len(), length);
    sending.await.unwrap();
}

/// Whether the guest is told of an abort, not of an end.
async fn is_aborted(guest: &mut TcpStream) -> bool {
    let mut heard = Vec::new();
    guest.read_to_end(&mut heard).await.is_err_and(|why| why.kind() == ErrorKind::ConnectionReset)
}

#[tokio::test]
async fn a_request_that_is_reset_aborts_the_connection() {
    let (_agent, mut client) = Agent::with_client().await;
    let listener = listen().await;
    for reason in [Reason::NO_ERROR, Reason::CANCEL] {
        let (mut connection, mut guest) = Connection::to(&mut client, &listener).await;
        connection.send("half of", false).await;
        let mut heard = [0; 7];
        guest.read_exact(&mut heard).await.unwrap();
        connection.outgoing.send_reset(reason);
        assert!(is_aborted(&mut guest).await, "{reason:?}");
    }

    // one that says nothing, and one that has ended its own direction and does not read
    let (mut connection, mut silent) = Connection::to(&mut client, &listener).await;
    connection.outgoing.send_reset(Reason::CANCEL);
    assert!(is_aborted(&mut silent).await);
    let (mut connection, mut stuck) = Connection::to(&mut client, &listener).await;
    stuck.shutdown().await.unwrap();
    assert_eq!(connection.reason().await, None);
    let sending = send_all(&mut connection.outgoing, vec![b'x'; 64 * 1024 * 1024].into(), true);
    assert!(tokio::time::timeout(Duration::from_secs(1), sending).await.is_err()); // all buffers are full by then
    connection.outgoing.send_reset(Reason::CANCEL);
    assert!(is_aborted(&mut stuck).await);
}

#[tokio::test]
async fn a_lost_session_aborts_its_connections() {
    let (agent, mut client) = Agent::with_client().await;
    let listener = listen().await;
    let (_connection, mut guest) = Connection::to(&mut client, &listener).await;
    client.cut().await;
    assert!(is_aborted(&mut guest).await);
    let mut client = agent.client().await;
    let (mut connection, guest) = Connection::to(&mut client, &listener).await;
    tokio::spawn(echo(guest));
    connection.send("again", true).await;
    assert_eq!(read_all(connection.incoming).await.unwrap(), b"again");
}

#[tokio::test]
async fn an_abort_of_the_guest_is_no_end_either() {
    let (_agent, mut client) = Agent::with_client().await;
    let listener = listen().await;
    let (mut connection, mut guest) = Connection::to(&mut client, &listener).await;
    guest.write_all(b"half of").await.unwrap();
    assert_eq!(connection.read(7).await, "half of");
    guest.set_zero_linger().unwrap();
    drop(guest);
    assert_eq!(connection.reason().await, Some(Reason::CONNECT_ERROR));

    // one that ends with something unread
    let (mut connection, guest) = Connection::to(&mut client, &listener).await;
    connection.send("unread", false).await;
    guest.peek(&mut [0]).await.unwrap();
    drop(guest);
    connection.send("more", false).await;
    assert_eq!(connection.reason().await, Some(Reason::CONNECT_ERROR));
}

#[tokio::test]
async fn a_guest_that_reads_no_more_may_still_speak() {
    let (_agent, mut client) = Agent::with_client().await;
    let place = Place::new();
    let listener = UnixListener::bind(place.join("s")).unwrap();
    let query = place.query("s");
    let (mut connection, accepted) = tokio::join!(Connection::open(&mut client, &query), listener.accept());
    let mut guest = accepted.unwrap().0;
    // SAFETY: plain system call on an open descriptor.
    assert_eq!(unsafe { libc::shutdown(guest.as_raw_fd(), libc::SHUT_RD) }, 0);
    connection.send("unheard", false).await;
    guest.write_all(b"last words").await.unwrap();
    drop(guest);
    assert_eq!(read_all(connection.incoming).await.unwrap(), b"last words");
}

#[tokio::test]
async fn at_most_256_at_once_and_all_else_goes_on() {
    let (_agent, mut client) = Agent::with_client().await;
    let listener = listen().await;
    let mut open = Vec::new();
    for _ in 0..MOST {
        open.push(Connection::to(&mut client, &listener).await);
    }
    let path = format!("/v1/connections?port={}", listener.local_addr().unwrap().port());
    let (status, body) = client.raw("POST", &path, "").await;
    assert_eq!((status, &body["error"]["code"]), (429, &json!("too_many")));
    assert_eq!(client.run("echo goes on").await.text(), "goes on\n");
    for (number, (connection, guest)) in open.iter_mut().enumerate() {
        connection.send(&format!("{number:03}"), false).await;
        let mut heard = [0; 3];
        guest.read_exact(&mut heard).await.unwrap();
        guest.write_all(&heard).await.unwrap();
    }
    for (number, (connection, _)) in open.iter_mut().enumerate() {
        assert_eq!(connection.read(3).await, format!("{number:03}"));
    }
    drop(open); // the requests are reset with it
    eventually("there is room again", async || {
        let (status, body) = client.send("POST", &path, "").await;
        drop(body);
        status == 200
    })
    .await;
}

#[tokio::test]
async fn what_nothing_answers_is_told_with_what_was_tried() {
    let (_agent, mut client) = Agent::with_client().await;
    let place = Place::new();
    place.write("file", "");
    drop(UnixListener::bind(place.join("deserted")).unwrap());
    let port = listen().await.local_addr().unwrap().port(); // closed again
    let refused = "Connection refused (os error 111)";
    for (query, told) in [
        (format!("port={port}"), format!("port {port}: 127.0.0.1: {refused}, ::1: {refused}")),
        (place.query("deserted"), format!("socket {}: {refused}", place.text("deserted"))),
        (place.query("file"), format!("socket {}: {refused}", place.text("file"))),
        (place.query("missing"), format!("socket {}: No such file or directory (os error 2)", place.text("missing"))),
    ] {
        let (status, body) = client.raw("POST", &format!("/v1/connections?{query}"), "").await;
        assert_eq!((status, &body["error"]["code"]), (502, &json!("connection_refused")), "{body}");
        assert_eq!(body["error"]["message"], told);
    }
}

#[tokio::test]
async fn a_listener_whose_queue_is_full_is_waited_for() {
    let (_agent, mut client) = Agent::with_client().await;
    let place = Place::new();
    let listener = std::os::unix::net::UnixListener::bind(place.join("s")).unwrap();
    // SAFETY: plain system call on an open descriptor; it may be told its backlog again.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let _first = Connection::open(&mut client, &place.query("s")).await;
    let (answer, _outgoing) = client.open("POST", &format!("/v1/connections?{}", place.query("s"))).await;
    assert_eq!(client.get("/v1/agent").await.0, 200);
    listener.accept().unwrap();
    assert_eq!(answer.await.unwrap().status(), 200);
}

#[tokio::test]
async fn places_that_are_none_are_refused() {
    let (_agent, mut client) = Agent::with_client().await;
    let long = format!("socket=/{}", "x".repeat(107));
    for query in ["", "port=0", "port=65536", "port=http", "port=1&socket=/a", "socket=a", "socket=/a%00", &long] {
        assert_eq!(client.raw("POST", &format!("/v1/connections?{query}"), "").await.0, 400, "{query}");
    }
    assert_eq!(client.raw("POST", "/v1/connections?host=example.org", "").await.0, 501);
    assert_eq!(client.get("/v1/connections?port=1").await.0, 501);
}
