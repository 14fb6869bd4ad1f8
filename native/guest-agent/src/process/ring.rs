//! The last bytes of one output, by their offsets.
//!
//! A ring grows by doubling until its limit; from then on new bytes take the place of the oldest. A byte's place is
//! its offset modulo the size, and growing moves nothing because it happens only before the first byte has given way.

/// what a ring that holds anything takes at least
pub const LEAST_BYTES: usize = 4096;

pub struct Ring {
    memory: Vec<u8>,
    limit: usize,
    /// offset that lies at place 0
    base: u64,
    start: u64,
    end: u64,
}

impl Ring {
    pub fn new(limit: usize) -> Self {
        Ring { memory: Vec::new(), limit, base: 0, start: 0, end: 0 }
    }

    /// offset of the oldest byte held
    pub fn start(&self) -> u64 {
        self.start
    }

    /// number of bytes ever written
    pub fn end(&self) -> u64 {
        self.end
    }

    /// bytes of memory it takes
    pub fn size(&self) -> usize {
        self.memory.len()
    }

    /// Memory to add before the next byte displaces an older one; 0 when it is grown up or has room.
    pub fn growth(&self) -> usize {
        let has_room = self.end - self.base < self.size() as u64;
        if has_room { 0 } else { self.size().max(LEAST_BYTES).min(self.limit - self.size()) }
    }

    pub fn grow(&mut self, bytes: usize) {
        self.memory.reserve_exact(bytes);
        self.memory.resize(self.size() + bytes, 0);
    }

    /// There is no more memory for it: it stays as it is, or as small as it can be.
    pub fn stop_growing(&mut self) {
        self.limit = self.size().max(LEAST_BYTES);
    }

    /// A place for up to `most` new bytes, in one piece.
    pub fn vacancy(&mut self, most: usize) -> &mut [u8] {
        let place = self.place(self.end);
        let until = self.size().min(place.saturating_add(most));
        &mut self.memory[place..until]
    }

    /// The first `length` bytes of the vacancy have been filled.
    pub fn commit(&mut self, length: usize) {
        self.end += length as u64;
        self.start = self.start.max(self.end.saturating_sub(self.size() as u64));
    }

    /// Appends up to `most` bytes from `offset` on, or from the oldest held if that is newer; gives their number.
    pub fn copy_to(&self, offset: u64, most: usize, target: &mut Vec<u8>) -> usize {
        let offset = offset.max(self.start);
        let length = (self.end.saturating_sub(offset) as usize).min(most);
        let place = self.place(offset);
        let front = length.min(self.size() - place);
        target.extend_from_slice(&self.memory[place..place + front]);
        target.extend_from_slice(&self.memory[..length - front]);
        length
    }

    /// Drops all bytes and gives back their memory's size.
    pub fn clear(&mut self) -> usize {
        let size = self.size();
        (self.base, self.start) = (self.end, self.end);
        self.memory = Vec::new();
        size
    }

    fn place(&self, offset: u64) -> usize {
        match self.size() as u64 {
            0 => 0,
            size => ((offset - self.base) % size) as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes all bytes, growing wherever the ring likes to.
    fn push(ring: &mut Ring, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            ring.grow(ring.growth());
            let vacancy = ring.vacancy(bytes.len());
            let length = vacancy.len();
            vacancy.copy_from_slice(&bytes[..length]);
            ring.commit(length);
            bytes = &bytes[length..];
        }
    }

    fn contents(ring: &Ring) -> Vec<u8> {
        let mut copy = Vec::new();
        ring.copy_to(ring.start(), usize::MAX, &mut copy);
        copy
    }

    #[test]
    fn takes_no_memory_until_it_is_written_and_grows_by_doubling() {
        let mut ring = Ring::new(20_000);
        assert_eq!((ring.size(), ring.growth()), (0, LEAST_BYTES));
        push(&mut ring, b"x");
        assert_eq!((ring.size(), ring.growth()), (LEAST_BYTES, 0));
        push(&mut ring, &[0; LEAST_BYTES]);
        assert_eq!(ring.size(), 2 * LEAST_BYTES);
        push(&mut ring, &[0; 50_000]);
        assert_eq!((ring.size(), ring.growth(), ring.end() - ring.start()), (20_000, 0, 20_000));
    }

    #[test]
    fn holds_the_last_bytes_whatever_the_pieces() {
        for limit in [4096_usize, 5000, 12_289, 65_536] {
            let mut ring = Ring::new(limit);
            let mut all: Vec<u8> = Vec::new();
            for round in 0..400_usize {
                let piece: Vec<u8> = (0..round * 37 % 1999).map(|i| (round * 31 + i) as u8).collect();
                push(&mut ring, &piece);
                all.extend(&piece);
                assert_eq!(ring.end(), all.len() as u64);
                assert_eq!(ring.start(), all.len().saturating_sub(limit) as u64);
                assert_eq!(contents(&ring), all[ring.start() as usize..]);
            }
        }
    }

    #[test]
    fn copies_from_any_offset_and_never_beyond_the_end() {
        let mut ring = Ring::new(4096);
        push(&mut ring, &[1; 4000]);
        push(&mut ring, b"abcdef");
        let mut copy = Vec::new();
        assert_eq!(ring.copy_to(4001, 3, &mut copy), 3);
        assert_eq!(copy, b"bcd");
        assert_eq!(ring.copy_to(4006, 9, &mut copy), 0);
        assert_eq!(ring.copy_to(5000, 9, &mut copy), 0);
    }

    #[test]
    fn stays_as_it_is_when_there_is_no_more_memory() {
        let mut ring = Ring::new(65_536);
        push(&mut ring, &[1; 5000]);
        ring.stop_growing();
        push(&mut ring, &[2; 10_000]);
        assert_eq!((ring.size(), ring.end() - ring.start()), (8192, 8192));
    }

    #[test]
    fn goes_on_after_it_was_cleared() {
        let mut ring = Ring::new(8192);
        push(&mut ring, &[1; 9000]);
        assert_eq!(ring.clear(), 8192);
        assert_eq!((ring.start(), ring.end(), ring.size()), (9000, 9000, 0));
        push(&mut ring, b"more");
        assert_eq!(contents(&ring), b"more");
    }
}
