//! The output stream: frames of a 16-byte header and a payload, as the protocol has them.

use std::future::poll_fn;
use std::rc::Rc;

use bytes::Bytes;
use h2::SendStream;

use super::output::{Output, Reader};
use super::Process;

const DATA_BYTES: usize = 65_536;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const PROCESS: u8 = 3;
const GAP: u8 = 4;

/// the peer has gone
struct Gone;

impl Process {
    /// Sends both outputs from the given offsets on; with `follow` until the process has ended and all was sent.
    pub async fn send_output(self: Rc<Self>, mut stream: SendStream<Bytes>, from: [u64; 2], follow: bool) {
        let outputs = [self.stdout.clone(), self.stderr.clone()];
        let readers = [0, 1].map(|index| {
            let offset = from[index].min(outputs[index].end());
            if follow { outputs[index].attach(offset) } else { Reader::detached(offset) }
        });
        let _ = self.send_frames(&mut stream, &outputs, &readers, follow).await;
        drop(readers);
        outputs.iter().for_each(|output| output.detach());
    }

    async fn send_frames(&self, stream: &mut SendStream<Bytes>, outputs: &[Rc<Output>; 2], readers: &[Rc<Reader>; 2], follow: bool) -> Result<(), Gone> {
        let mut frames = Vec::new();
        self.put_process(&mut frames);
        loop {
            for (index, kind) in [STDOUT, STDERR].into_iter().enumerate() {
                put_output(&mut frames, kind, &outputs[index], &readers[index]);
            }
            if !frames.is_empty() {
                send(stream, std::mem::take(&mut frames)).await?;
                continue;
            }
            // checked and waited for without a pause in between, so nothing can be missed
            if !follow || (self.has_exited() && outputs.iter().all(|output| output.is_drained())) {
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

    fn put_process(&self, frames: &mut Vec<u8>) {
        let json = serde_json::to_vec(&self.describe()).unwrap_or_default();
        put_header(frames, PROCESS, json.len(), 0);
        frames.extend(json);
    }
}

/// Adds the next piece of an output, if there is one.
fn put_output(frames: &mut Vec<u8>, kind: u8, output: &Output, reader: &Reader) {
    let mut offset = reader.offset.get();
    if offset < output.start() {
        offset = output.start();
        put_header(frames, GAP, 0, offset);
    }
    if offset < output.end() {
        let header_at = frames.len();
        put_header(frames, kind, 0, offset);
        let length = output.copy_to(offset, DATA_BYTES, frames);
        frames[header_at + 4..header_at + 8].copy_from_slice(&(length as u32).to_be_bytes());
        offset += length as u64;
    }
    if offset != reader.offset.get() {
        output.advance(reader, offset);
    }
}

fn put_header(frames: &mut Vec<u8>, kind: u8, length: usize, offset: u64) {
    frames.extend([kind, 0, 0, 0]);
    frames.extend((length as u32).to_be_bytes());
    frames.extend(offset.to_be_bytes());
}

/// Queues the bytes once the peer's window has room for them.
async fn send(stream: &mut SendStream<Bytes>, frames: Vec<u8>) -> Result<(), Gone> {
    let mut frames = Bytes::from(frames);
    while !frames.is_empty() {
        stream.reserve_capacity(frames.len());
        let capacity = match poll_fn(|context| stream.poll_capacity(context)).await {
            Some(Ok(capacity)) => capacity,
            _ => return Err(Gone),
        };
        if capacity > 0 {
            let piece = frames.split_to(capacity.min(frames.len()));
            stream.send_data(piece, false).map_err(|_| Gone)?;
        }
    }
    Ok(())
}
