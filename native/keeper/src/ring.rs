//! The last bytes of an output, addressed by their offset from its beginning.
//!
//! The whole ring is asked for at once and never grows; the kernel makes a page of it resident only when bytes reach it.

use std::collections::VecDeque;

pub struct Ring {
    bytes: VecDeque<u8>,
    limit: usize,
    /// bytes ever written
    end: u64,
}

impl Ring {
    pub fn new(limit: usize) -> Self {
        Ring { bytes: VecDeque::with_capacity(limit), limit, end: 0 }
    }

    /// most bytes held
    pub fn limit(&self) -> usize {
        self.limit
    }

    pub fn push(&mut self, new: &[u8]) {
        self.end += new.len() as u64;
        let kept = &new[new.len().saturating_sub(self.limit)..];
        let surplus = (self.bytes.len() + kept.len()).saturating_sub(self.limit);
        self.bytes.drain(..surplus);
        self.bytes.extend(kept);
    }

    /// offset of the oldest byte still held
    pub fn start(&self) -> u64 {
        self.end - self.bytes.len() as u64
    }

    pub fn end(&self) -> u64 {
        self.end
    }

    /// Bytes from `offset` on, as many as lie in one piece; none at the end, and none for an offset not held.
    pub fn piece(&self, offset: u64) -> &[u8] {
        let Some(skip) = offset.checked_sub(self.start()).and_then(|skip| usize::try_from(skip).ok()) else {
            return &[];
        };
        let (older, newer) = self.bytes.as_slices();
        match older.get(skip..) {
            Some(piece) if !piece.is_empty() => piece,
            _ => newer.get(skip.saturating_sub(older.len())..).unwrap_or(&[]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_from(ring: &Ring, mut offset: u64) -> Vec<u8> {
        let mut all = Vec::new();
        while offset < ring.end() {
            let piece = ring.piece(offset);
            assert!(!piece.is_empty());
            all.extend_from_slice(piece);
            offset += piece.len() as u64;
        }
        all
    }

    #[test]
    fn keeps_the_last_bytes_and_their_offsets() {
        let mut ring = Ring::new(8);
        ring.push(b"abcde");
        assert_eq!((ring.start(), ring.end()), (0, 5));
        ring.push(b"fghij");
        assert_eq!((ring.start(), ring.end()), (2, 10));
        assert_eq!(all_from(&ring, 2), b"cdefghij");
        assert_eq!(all_from(&ring, 9), b"j");
        assert_eq!(ring.piece(10), b"");
        assert_eq!(ring.piece(11), b"");
        assert_eq!(ring.piece(u64::MAX), b"");
        assert_eq!(ring.piece(1), b"", "no longer held");
        ring.push(&[b'x'; 100]);
        assert_eq!((ring.start(), ring.end()), (102, 110));
    }

    #[test]
    fn agrees_with_a_plain_vector_whatever_is_pushed() {
        let mut ring = Ring::new(13);
        let mut all = Vec::new();
        let mut seed = 7_u32;
        for _ in 0..2000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let chunk: Vec<u8> = (0..seed >> 27).map(|i| (seed >> (i % 24)) as u8).collect();
            ring.push(&chunk);
            all.extend_from_slice(&chunk);
            let start = all.len().saturating_sub(13);
            assert_eq!(ring.start(), start as u64);
            assert_eq!(all_from(&ring, ring.start()), &all[start..]);
        }
    }

    #[test]
    fn never_takes_more_memory_than_at_first() {
        let mut ring = Ring::new(5000);
        let capacity = ring.bytes.capacity();
        for length in [1, 4999, 5000, 5001, 65_536, 3, 0] {
            ring.push(&vec![b'x'; length]);
            assert_eq!(ring.bytes.capacity(), capacity);
        }
    }
}
