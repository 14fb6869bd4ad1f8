//! The stream to a viewer: frames of a 16-byte header and a payload, as the protocol has them.

use std::future::poll_fn;
use std::rc::Rc;

use bytes::Bytes;
use h2::SendStream;

use super::Terminal;
use super::screen::Size;
use crate::http::Failure;
use crate::process::frames::{DATA_BYTES, put_header};

const MOST_VIEWERS: usize = 32;

const SCREEN: u8 = 1;
const OUTPUT: u8 = 2;
const SIZE: u8 = 3;
const ENDED: u8 = 4;

/// the peer has gone
struct Gone;

/// Counts for as long as it is held.
pub struct Viewer(Rc<Terminal>);

impl Viewer {
    pub fn new(terminal: Rc<Terminal>) -> Result<Self, Failure> {
        if terminal.viewers.get() >= MOST_VIEWERS {
            return Err(Failure::too_many(&format!("terminal {} has {MOST_VIEWERS} viewers", terminal.id)));
        }
        terminal.viewers.set(terminal.viewers.get() + 1);
        Ok(Viewer(terminal))
    }

    /// Sends the screen, then what is printed, until the terminal has ended.
    pub async fn follow(self, mut stream: SendStream<Bytes>) {
        let _ = self.send_frames(&mut stream).await; // whoever has gone can look again
    }

    async fn send_frames(&self, stream: &mut SendStream<Bytes>) -> Result<(), Gone> {
        let terminal = &self.0;
        let mut size = None;
        let mut offset = 0;
        loop {
            let mut frames = Vec::new();
            let now = terminal.size();
            let mut output = Vec::new();
            let known = size.and_then(|_| terminal.recent.borrow().copy_to(offset, DATA_BYTES, &mut output));
            match known {
                None => {
                    offset = terminal.recent.borrow().end();
                    put_screen(&mut frames, now, terminal.screen.borrow_mut().restore().as_bytes());
                }
                Some(0) if size != Some(now) => put_size(&mut frames, SIZE, now),
                Some(length) => {
                    offset += length as u64;
                    put_output(&mut frames, &output);
                }
            }
            size = Some(now);
            if !frames.is_empty() {
                send(stream, frames).await?;
                continue;
            }
            // checked and waited for without a pause in between, so nothing can be missed
            if terminal.has_ended() {
                break;
            }
            tokio::select! {
                () = terminal.changed.notified() => {}
                _ = poll_fn(|context| stream.poll_reset(context)) => return Err(Gone),
            }
        }
        let mut frames = Vec::new();
        let json = serde_json::to_vec(&terminal.describe()).unwrap_or_default();
        put_header(&mut frames, ENDED, json.len(), 0);
        frames.extend(json);
        stream.send_data(Bytes::from(frames), true).map_err(|_| Gone)
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.0.viewers.set(self.0.viewers.get() - 1);
    }
}

/// A screen frame, and what draws it.
fn put_screen(frames: &mut Vec<u8>, size: Size, drawing: &[u8]) {
    put_size(frames, SCREEN, size);
    put_output(frames, drawing);
}

fn put_size(frames: &mut Vec<u8>, kind: u8, size: Size) {
    put_header(frames, kind, 4, 0);
    frames.extend(size.columns.to_be_bytes());
    frames.extend(size.rows.to_be_bytes());
}

fn put_output(frames: &mut Vec<u8>, bytes: &[u8]) {
    for piece in bytes.chunks(DATA_BYTES) {
        put_header(frames, OUTPUT, piece.len(), 0);
        frames.extend(piece);
    }
}

/// Queues the bytes as the peer's window has room for them.
async fn send(stream: &mut SendStream<Bytes>, frames: Vec<u8>) -> Result<(), Gone> {
    let mut frames = Bytes::from(frames);
    while !frames.is_empty() {
        stream.reserve_capacity(frames.len());
        let capacity = match stream.capacity() {
            0 => match poll_fn(|context| stream.poll_capacity(context)).await {
                Some(Ok(capacity)) => capacity,
                _ => return Err(Gone),
            },
            capacity => capacity,
        };
        stream.send_data(frames.split_to(capacity.min(frames.len())), false).map_err(|_| Gone)?;
    }
    Ok(())
}
