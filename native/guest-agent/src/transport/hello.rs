//! Resynchronising a stream that has no notion of a connection: the host's hello line is looked for in whatever comes.

use bytes::{Buf, BytesMut};
use tokio::io::{self, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const PREFIX: &[u8] = b"WORKFORT/1 HELLO ";
const NONCE_BYTES: usize = 32;
const READ_BYTES: usize = 4096;
/// a longer line is no hello
pub const LINE_BYTES: usize = 64;

/// Answers the newest hello in `held` and what is read after it; gives the bytes that followed the hello, and None when
/// the stream ends first.
pub async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    mut held: BytesMut,
) -> io::Result<Option<BytesMut>> {
    loop {
        if let Some((nonce, end)) = newest_hello(&held) {
            let answer = [b"WORKFORT/1 READY ", &nonce[..], b"\n"].concat();
            stream.write_all(&answer).await?;
            stream.flush().await?;
            return Ok(Some(held.split_off(end)));
        }
        held.advance(held.len().saturating_sub(LINE_BYTES)); // the rest may be the beginning of one
        held.reserve(READ_BYTES);
        if stream.read_buf(&mut held).await? == 0 {
            return Ok(None);
        }
    }
}

/// The last whole hello line: its nonce, and where it ends.
fn newest_hello(bytes: &[u8]) -> Option<([u8; NONCE_BYTES], usize)> {
    let length = PREFIX.len() + NONCE_BYTES + 1;
    let last = bytes.len().checked_sub(length)?;
    (0..=last).rev().find_map(|at| {
        let line = &bytes[at..at + length];
        let nonce: [u8; NONCE_BYTES] = line.strip_prefix(PREFIX)?.strip_suffix(b"\n")?.try_into().ok()?;
        nonce.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')).then_some((nonce, at + length))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn finds_the_newest_whole_hello_in_garbage() {
        let other = NONCE.replace('0', "f");
        let text = format!("\0\u{1}xxWORKFORT/1 HELLO {other}\nPRI * garbageWORKFORT/1 HELLO {NONCE}\nrest");
        let (nonce, end) = newest_hello(text.as_bytes()).unwrap();
        assert_eq!((&nonce[..], &text[end..]), (NONCE.as_bytes(), "rest"));
    }

    #[test]
    fn is_not_taken_in() {
        for text in [
            String::new(),
            format!("WORKFORT/1 HELLO {NONCE}"),
            format!("WORKFORT/1 HELLO {}\n", &NONCE[1..]),
            format!("WORKFORT/1 HELLO {}\n", NONCE.to_uppercase()),
            format!("WORKFORT/2 HELLO {NONCE}\n"),
        ] {
            assert_eq!(newest_hello(text.as_bytes()), None, "{text:?}");
        }
    }
}
