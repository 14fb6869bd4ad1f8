//! The last bytes of an output, addressed by their offset from its beginning.

use std::collections::VecDeque;

pub struct Ring {
    bytes: VecDeque<u8>,
    limit: usize,
    /// bytes ever written
    end: u64,
}

impl Ring {
    /// Grows up to `limit` bytes as they come.
    pub fn new(limit: usize) -> Self {
        Ring { bytes: VecDeque::new(), limit, end: 0 }
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

    /// Up to `most` bytes from `offset` on, which must lie between start and end.
    pub fn read(&self, offset: u64, most: usize) -> Vec<u8> {
        let skip = usize::try_from(offset - self.start()).unwrap_or(usize::MAX).min(self.bytes.len());
        let length = (self.bytes.len() - skip).min(most);
        self.bytes.range(skip..skip + length).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_bytes_and_their_offsets() {
        let mut ring = Ring::new(8);
        ring.push(b"abcde");
        assert_eq!((ring.start(), ring.end()), (0, 5));
        ring.push(b"fghij");
        assert_eq!((ring.start(), ring.end()), (2, 10));
        assert_eq!(ring.read(2, 100), b"cdefghij");
        assert_eq!(ring.read(5, 2), b"fg");
        assert_eq!(ring.read(10, 5), b"");
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
            assert_eq!(ring.read(ring.start(), usize::MAX), &all[start..]);
        }
    }
}
