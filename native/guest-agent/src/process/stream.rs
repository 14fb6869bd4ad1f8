//! The output stream: frames of a 16-byte header and a payload, as the protocol has them.

use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use h2::SendStream;

use super::Process;
use super::frames::{DATA_BYTES, HEADER_BYTES, put_header};
use super::reader::Reader;

/// after which nothing waits for a follower that takes nothing
const READER_PATIENCE: Duration = Duration::from_secs(30);

const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const PROCESS: u8 = 3;
const GAP: u8 = 4;

/// the peer has gone
struct Gone;

type Readers = [(u8, Rc<Reader>); 2];

impl Process {
    /// Sends both outputs from the given offsets on; with `follow` until the process has ended and all was sent.
    pub async fn send_output(self: Rc<Self>, mut stream: SendStream<Bytes>, from: [u64; 2], follow: bool) {
        let readers = [
            (STDOUT, Reader::new(&self.stdout, from[0], follow)),
            (STDERR, Reader::new(&self.stderr, from[1], follow)),
        ];
        // when the peer goes, what it has not read stays in the rings
        let _ = self.send_frames(&mut stream, &readers, follow).await;
    }

    async fn send_frames(&self, stream: &mut SendStream<Bytes>, readers: &Readers, follow: bool) -> Result<(), Gone> {
        let mut frames = Vec::new();
        self.put_process(&mut frames);
        loop {
            for (kind, reader) in readers {
                put_output(&mut frames, *kind, reader);
            }
            if !frames.is_empty() {
                send(stream, std::mem::take(&mut frames), readers).await?;
                continue;
            }
            // checked and waited for without a pause in between, so nothing can be missed
            if !follow || self.is_over() {
                break;
            }
            tokio::select! {
                () = self.changed.notified() => {}
                _ = poll_fn(|context| stream.poll_reset(context)) => return Err(Gone),
            }
        }
        if follow {
            self.put_process(&mut frames);
        }
        stream.send_data(Bytes::from(frames), true).map_err(|_| Gone)
    }

    /// Whether it has ended and all it left is in the rings.
    fn is_over(&self) -> bool {
        self.has_exited() && self.stdout.is_drained() && self.stderr.is_drained()
    }

    fn put_process(&self, frames: &mut Vec<u8>) {
        let json = serde_json::to_vec(&self.describe()).unwrap_or_default();
        put_header(frames, PROCESS, json.len(), 0);
        frames.extend(json);
    }
}

/// Adds the next piece of an output, if there is one.
fn put_output(frames: &mut Vec<u8>, kind: u8, reader: &Reader) {
    let Some(piece) = reader.next(DATA_BYTES) else { return };
    frames.reserve(piece.length + 2 * HEADER_BYTES);
    if piece.gap {
        put_header(frames, GAP, 0, piece.offset);
    }
    put_header(frames, kind, piece.length, piece.offset);
    reader.take(&piece, frames);
}

/// Queues the bytes as the peer's window has room for them; a peer that makes none for long loses its privilege.
async fn send(stream: &mut SendStream<Bytes>, frames: Vec<u8>, readers: &Readers) -> Result<(), Gone> {
    let mut frames = Bytes::from(frames);
    while !frames.is_empty() {
        stream.reserve_capacity(frames.len());
        let capacity = match stream.capacity() {
            0 => await_capacity(stream, readers).await?,
            capacity => capacity,
        };
        let piece = frames.split_to(capacity.min(frames.len()));
        stream.send_data(piece, false).map_err(|_| Gone)?;
    }
    Ok(())
}

async fn await_capacity(stream: &mut SendStream<Bytes>, readers: &Readers) -> Result<usize, Gone> {
    let mut capacity = std::pin::pin!(poll_fn(|context| stream.poll_capacity(context)));
    let offered = match tokio::time::timeout(READER_PATIENCE, &mut capacity).await {
        Ok(offered) => offered,
        Err(_) => {
            readers.iter().for_each(|(_, reader)| reader.give_up());
            capacity.await
        }
    };
    match offered {
        Some(Ok(capacity)) => Ok(capacity),
        _ => Err(Gone),
    }
}
