//! A small HTTP/2 client that greets as the host does.

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use crate::frames::Output;

pub const NONCE: &str = "0123456789abcdef0123456789abcdef";
const WINDOW_BYTES: u32 = 8 * 1024 * 1024;

pub struct Client {
    requests: SendRequest<Bytes>,
    /// None for one that shares another's
    line: Option<JoinHandle<()>>,
}

impl Client {
    pub async fn greet(stream: UnixStream) -> Self {
        Self::greet_with_window(stream, WINDOW_BYTES).await
    }

    pub async fn greet_with_window(mut stream: UnixStream, window: u32) -> Self {
        say_hello(&mut stream, NONCE).await;
        Self::begin(stream, window).await
    }

    /// HTTP/2 on a line that has been greeted.
    pub async fn begin(stream: UnixStream, window: u32) -> Self {
        let mut builder = Builder::new();
        builder
            .initial_window_size(window)
            .initial_connection_window_size(2 * WINDOW_BYTES)
            .max_frame_size(1024 * 1024);
        let (requests, connection) = builder.handshake(stream).await.unwrap();
        let line = tokio::spawn(async move {
            let _ = connection.await; // some tests cut it
        });
        Client { requests, line: Some(line) }
    }

    /// Another client on the same line.
    pub fn share(&self) -> Self {
        Client { requests: self.requests.clone(), line: None }
    }

    /// Cuts the line, whatever goes on on it.
    pub async fn cut(self) {
        if let Some(line) = self.line {
            line.abort();
            let _ = line.await;
        }
    }

    /// Sends a request of which the body is still to come.
    pub async fn open(&mut self, method: &str, path: &str) -> (ResponseFuture, SendStream<Bytes>) {
        let request = Request::builder().method(method).uri(format!("http://guest{path}")).body(()).unwrap();
        std::future::poll_fn(|context| self.requests.poll_ready(context)).await.unwrap();
        self.requests.send_request(request, false).unwrap()
    }

    /// Asks for the agent with these headers besides.
    pub async fn open_with_headers(&mut self, headers: &[(&str, String)]) -> ResponseFuture {
        let mut request = Request::builder().uri("http://guest/v1/agent");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        std::future::poll_fn(|context| self.requests.poll_ready(context)).await.unwrap();
        self.requests.send_request(request.body(()).unwrap(), true).unwrap().0
    }

    pub async fn send(&mut self, method: &str, path: &str, body: impl Into<Bytes>) -> (StatusCode, RecvStream) {
        let (response, mut stream) = self.open(method, path).await;
        let _ = stream.send_data(body.into(), true); // it may have been refused already
        let (head, body) = response.await.unwrap().into_parts();
        (head.status, body)
    }

    pub async fn raw(&mut self, method: &str, path: &str, body: impl Into<Bytes>) -> (u16, Value) {
        let (status, body) = self.send(method, path, body).await;
        (status.as_u16(), read_json(body).await)
    }

    pub async fn get(&mut self, path: &str) -> (u16, Value) {
        self.raw("GET", path, Bytes::new()).await
    }

    pub async fn post(&mut self, path: &str, body: Value) -> (u16, Value) {
        self.raw("POST", path, body.to_string()).await
    }

    /// Starts a process that is not attached.
    pub async fn start(&mut self, request: Value) -> Value {
        let (status, process) = self.post("/v1/processes", request).await;
        assert_eq!(status, 201, "{process}");
        process
    }

    /// Starts a shell script with an id.
    pub async fn script(&mut self, id: &str, script: &str) -> Value {
        self.start(json!({ "id": id, "argv": ["sh", "-c", script] })).await
    }

    /// Starts a process and gives its output as it comes.
    pub async fn attach(&mut self, mut request: Value) -> Output {
        request["attach"] = true.into();
        let (status, body) = self.send("POST", "/v1/processes", request.to_string()).await;
        assert_eq!(status, 200);
        Output::new(body)
    }

    /// Runs a shell script to its end.
    pub async fn run(&mut self, script: &str) -> crate::frames::Whole {
        self.attach(json!({ "argv": ["sh", "-c", script] })).await.whole().await
    }

    pub async fn process(&mut self, id: &str) -> Value {
        let (status, process) = self.get(&format!("/v1/processes/{id}")).await;
        assert_eq!(status, 200, "{process}");
        process
    }

    pub async fn wait(&mut self, id: &str) -> Value {
        let (status, process) = self.get(&format!("/v1/processes/{id}/wait")).await;
        assert_eq!((status, &process["state"]), (200, &"exited".into()), "{process}");
        process
    }

    pub async fn output(&mut self, id: &str, query: &str) -> Output {
        let (status, body) = self.send("GET", &format!("/v1/processes/{id}/output?{query}"), Bytes::new()).await;
        assert_eq!(status, 200);
        Output::new(body)
    }

    pub async fn signal(&mut self, id: &str, signal: impl Into<Value>) -> (u16, Value) {
        self.post(&format!("/v1/processes/{id}/signal"), json!({ "signal": signal.into() })).await
    }

    pub async fn resident_bytes(&mut self) -> u64 {
        self.get("/v1/agent").await.1["residentBytes"].as_u64().unwrap()
    }
}

/// Resolves once the answer to this very hello has come.
pub async fn say_hello(stream: &mut UnixStream, nonce: &str) {
    stream.write_all(format!("WORKFORT/1 HELLO {nonce}\n").as_bytes()).await.unwrap();
    await_ready(stream, nonce).await;
}

pub async fn await_ready(stream: &mut UnixStream, nonce: &str) {
    let wanted = format!("WORKFORT/1 READY {nonce}\n");
    let mut seen = Vec::new();
    while !seen.ends_with(wanted.as_bytes()) {
        seen.push(stream.read_u8().await.unwrap());
    }
}

/// the status of an answer, and what a refusal calls itself
pub fn code((status, body): &(u16, Value)) -> (u16, &str) {
    (*status, body["error"]["code"].as_str().unwrap_or_default())
}

pub async fn read_json(mut body: RecvStream) -> Value {
    let mut bytes = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.unwrap();
        body.flow_control().release_capacity(chunk.len()).unwrap();
        bytes.extend_from_slice(&chunk);
    }
    if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() }
}

/// Sends a body as the window allows.
pub async fn send_all(stream: &mut SendStream<Bytes>, mut bytes: Bytes, end: bool) {
    while !bytes.is_empty() {
        stream.reserve_capacity(bytes.len());
        let capacity = match stream.capacity() {
            0 => std::future::poll_fn(|context| stream.poll_capacity(context)).await.unwrap().unwrap(),
            capacity => capacity,
        };
        stream.send_data(bytes.split_to(capacity.min(bytes.len())), false).unwrap();
    }
    if end {
        stream.send_data(Bytes::new(), true).unwrap();
    }
}
