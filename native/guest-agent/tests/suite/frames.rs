//! Reading the output stream.

use bytes::{Buf, Bytes, BytesMut};
use h2::RecvStream;
use serde_json::Value;

#[derive(Debug, PartialEq)]
pub enum Frame {
    Stdout(u64, Bytes),
    Stderr(u64, Bytes),
    Process(Value),
    Gap(u64),
}

pub struct Output {
    body: RecvStream,
    held: BytesMut,
}

/// all that a stream gave, and the process as it was at last
pub struct Whole {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub gaps: Vec<u64>,
    pub process: Value,
}

impl Whole {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }
}

impl Output {
    pub fn new(body: RecvStream) -> Self {
        Output { body, held: BytesMut::new() }
    }

    /// The next frame, None at the end of the stream. The window grows as bytes are taken.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = parse(&mut self.held) {
                return Some(frame);
            }
            let Some(chunk) = self.body.data().await else {
                assert!(self.held.is_empty(), "the stream ends within a frame");
                return None;
            };
            let chunk = chunk.unwrap();
            self.body.flow_control().release_capacity(chunk.len()).unwrap();
            self.held.extend_from_slice(&chunk);
        }
    }

    /// The first process frame, which every stream begins with.
    pub async fn process(&mut self) -> Value {
        match self.next().await {
            Some(Frame::Process(process)) => process,
            other => panic!("not a process frame: {other:?}"),
        }
    }

    /// The next bytes of stdout and their offset.
    pub async fn stdout(&mut self) -> (u64, Bytes) {
        match self.next().await {
            Some(Frame::Stdout(offset, bytes)) => (offset, bytes),
            other => panic!("not a stdout frame: {other:?}"),
        }
    }

    /// Reads on until stdout has given a line's end.
    pub async fn line(&mut self) -> String {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            line.extend_from_slice(&self.stdout().await.1);
        }
        String::from_utf8(line).unwrap()
    }

    /// Reads to the end, checking that offsets follow one another.
    pub async fn whole(mut self) -> Whole {
        let mut whole =
            Whole { stdout: Vec::new(), stderr: Vec::new(), gaps: Vec::new(), process: self.process().await };
        let mut next = [None, None];
        let mut ended = false;
        while let Some(frame) = self.next().await {
            assert!(!ended, "a frame after the last process frame");
            let (index, offset, bytes) = match frame {
                Frame::Stdout(offset, bytes) => (0, offset, bytes),
                Frame::Stderr(offset, bytes) => (1, offset, bytes),
                Frame::Gap(offset) => {
                    whole.gaps.push(offset);
                    next = [None, None]; // the next data frame says which output
                    continue;
                }
                Frame::Process(process) => {
                    (whole.process, ended) = (process, true);
                    continue;
                }
            };
            assert_eq!(next[index].unwrap_or(offset), offset);
            next[index] = Some(offset + bytes.len() as u64);
            if index == 0 { &mut whole.stdout } else { &mut whole.stderr }.extend_from_slice(&bytes);
        }
        whole
    }
}

fn parse(held: &mut BytesMut) -> Option<Frame> {
    if held.len() < 16 {
        return None;
    }
    let length = u32::from_be_bytes(held[4..8].try_into().unwrap()) as usize;
    if held.len() < 16 + length {
        return None;
    }
    let kind = held[0];
    assert_eq!(held[1..4], [0, 0, 0]);
    held.advance(8);
    let offset = held.get_u64();
    let payload = held.split_to(length).freeze();
    Some(match kind {
        1 | 2 => {
            assert!((1..=65_536).contains(&length), "{length}");
            if kind == 1 { Frame::Stdout(offset, payload) } else { Frame::Stderr(offset, payload) }
        }
        3 => Frame::Process(serde_json::from_slice(&payload).unwrap()),
        4 => {
            assert_eq!(length, 0);
            Frame::Gap(offset)
        }
        _ => panic!("a frame of kind {kind}"),
    })
}
