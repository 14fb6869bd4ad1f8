//! The last that a terminal showed, for viewers that are a little behind.

use std::collections::VecDeque;

const MOST_BYTES: usize = 512 * 1024;

#[derive(Default)]
pub struct Recent {
    bytes: VecDeque<u8>,
    /// number of bytes ever shown
    end: u64,
}

impl Recent {
    pub fn end(&self) -> u64 {
        self.end
    }

    pub fn add(&mut self, bytes: &[u8]) {
        let surplus = (self.bytes.len() + bytes.len()).saturating_sub(MOST_BYTES);
        self.bytes.drain(..surplus.min(self.bytes.len()));
        self.bytes.extend(bytes);
        self.end += bytes.len() as u64;
    }

    /// From now on only a viewer that has seen everything can go on without a new screen.
    pub fn clear(&mut self) {
        self.bytes = VecDeque::new();
    }

    /// Appends up to `most` bytes from `offset` on and gives their number; None where they are no longer there.
    pub fn copy_to(&self, offset: u64, most: usize, target: &mut Vec<u8>) -> Option<usize> {
        let behind = usize::try_from(self.end - offset).ok().filter(|behind| *behind <= self.bytes.len())?;
        let length = behind.min(most);
        let start = self.bytes.len() - behind;
        let (front, back) = self.bytes.as_slices();
        let of_front = front.get(start..).unwrap_or_default();
        let of_front = &of_front[..of_front.len().min(length)];
        target.extend_from_slice(of_front);
        let begin = start.saturating_sub(front.len());
        target.extend_from_slice(&back[begin..begin + length - of_front.len()]);
        Some(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_what_it_still_has() {
        let mut recent = Recent::default();
        let mut expected = Vec::new();
        for number in 0..3000_u32 {
            let piece = number.to_be_bytes().repeat(100);
            recent.add(&piece);
            expected.extend(piece);
        }
        assert_eq!(recent.end(), expected.len() as u64);
        let mut copied = Vec::new();
        assert_eq!(recent.copy_to(0, 10, &mut copied), None);
        let mut offset = expected.len() - MOST_BYTES;
        while offset < expected.len() {
            copied.clear();
            let length = recent.copy_to(offset as u64, 65_536, &mut copied).unwrap();
            assert!(copied == expected[offset..offset + length]);
            offset += length;
        }
        assert_eq!(recent.copy_to(recent.end(), 10, &mut copied), Some(0));
        recent.clear();
        assert_eq!(recent.copy_to(recent.end() - 1, 10, &mut copied), None);
        assert_eq!(recent.copy_to(recent.end(), 10, &mut copied), Some(0));
    }
}
