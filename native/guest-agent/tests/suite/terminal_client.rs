//! A viewer of a terminal.

use bytes::{Buf, Bytes, BytesMut};
use h2::RecvStream;
use serde_json::{Value, json};

use crate::client::Client;

#[derive(Debug, PartialEq)]
pub enum Frame {
    Screen(u16, u16),
    Output(Bytes),
    Size(u16, u16),
    Ended(Value),
}

pub struct View {
    body: RecvStream,
    held: BytesMut,
    /// what was shown since the last screen frame
    pub shown: String,
    pub screens: usize,
    pub size: (u16, u16),
    pub ended: Option<Value>,
}

impl Client {
    pub async fn create_terminal(&mut self, id: &str, script: &str) -> Value {
        self.create_terminal_as(json!({ "id": id, "argv": ["sh", "-c", script] })).await
    }

    pub async fn create_terminal_as(&mut self, request: Value) -> Value {
        let (status, terminal) = self.post("/v1/terminals", request).await;
        assert_eq!(status, 201, "{terminal}");
        terminal
    }

    pub async fn terminal(&mut self, id: &str) -> Value {
        let (status, terminal) = self.get(&format!("/v1/terminals/{id}")).await;
        assert_eq!(status, 200, "{terminal}");
        terminal
    }

    pub async fn view(&mut self, id: &str, query: &str) -> View {
        let (status, body) = self.send("GET", &format!("/v1/terminals/{id}/attach{query}"), Bytes::new()).await;
        assert_eq!(status, 200);
        View { body, held: BytesMut::new(), shown: String::new(), screens: 0, size: (0, 0), ended: None }
    }

    pub async fn type_in(&mut self, id: &str, text: impl Into<Bytes>) {
        let (status, answer) = self.raw("POST", &format!("/v1/terminals/{id}/input"), text).await;
        assert_eq!(status, 200, "{answer}");
    }

    pub async fn resize(&mut self, id: &str, columns: u32, rows: u32) -> (u16, Value) {
        self.post(&format!("/v1/terminals/{id}/resize"), json!({ "columns": columns, "rows": rows })).await
    }
}

impl View {
    /// The next frame; None at the end of the stream.
    pub async fn next(&mut self) -> Option<Frame> {
        let frame = loop {
            if let Some(frame) = parse(&mut self.held) {
                break frame;
            }
            let Some(chunk) = self.body.data().await else {
                assert!(self.held.is_empty(), "the stream ends within a frame");
                return None;
            };
            let chunk = chunk.unwrap();
            self.body.flow_control().release_capacity(chunk.len()).unwrap();
            self.held.extend_from_slice(&chunk);
        };
        match &frame {
            Frame::Screen(columns, rows) => {
                self.shown.clear();
                self.screens += 1;
                self.size = (*columns, *rows);
            }
            Frame::Size(columns, rows) => self.size = (*columns, *rows),
            Frame::Output(bytes) => self.shown.push_str(&String::from_utf8_lossy(bytes)),
            Frame::Ended(terminal) => self.ended = Some(terminal.clone()),
        }
        Some(frame)
    }

    /// Reads on until this has been shown.
    pub async fn until(&mut self, wanted: &str) {
        while !self.shown.contains(wanted) {
            assert!(self.next().await.is_some(), "{wanted:?} was not shown, but {:?}", self.shown);
        }
    }

    /// Reads to the end; gives the terminal as it ended.
    pub async fn end(&mut self) -> Value {
        while self.next().await.is_some() {}
        self.ended.clone().expect("an ended frame comes last")
    }
}

fn parse(held: &mut BytesMut) -> Option<Frame> {
    let length = u32::from_be_bytes(held.get(4..8)?.try_into().unwrap()) as usize;
    if held.len() < 16 + length {
        return None;
    }
    let kind = held[0];
    assert_eq!(held[1..4], [0, 0, 0]);
    held.advance(16);
    let mut payload = held.split_to(length).freeze();
    Some(match kind {
        1 => Frame::Screen(payload.get_u16(), payload.get_u16()),
        2 => {
            assert!((1..=65_536).contains(&length), "{length}");
            Frame::Output(payload)
        }
        3 => Frame::Size(payload.get_u16(), payload.get_u16()),
        4 => Frame::Ended(serde_json::from_slice(&payload).unwrap()),
        _ => panic!("a frame of kind {kind}"),
    })
}
