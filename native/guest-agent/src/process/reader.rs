//! A reader's place in one output. A follower counts: the output waits for it until it has gone or given up.

use std::cell::Cell;
use std::rc::Rc;

use super::output::Output;

pub struct Reader {
    output: Rc<Output>,
    /// of the next byte it takes
    offset: Cell<u64>,
    counts: Cell<bool>,
}

/// what a reader took: `gap` if bytes before `offset` have been lost to it
pub struct Piece {
    pub offset: u64,
    pub length: usize,
    pub gap: bool,
}

impl Reader {
    pub fn new(output: &Rc<Output>, offset: u64, follows: bool) -> Rc<Self> {
        let reader = Rc::new(Reader { output: output.clone(), offset: Cell::new(offset), counts: Cell::new(follows) });
        if follows {
            output.add_reader(&reader);
        }
        reader
    }

    pub fn offset(&self) -> u64 {
        self.offset.get()
    }

    pub fn counts(&self) -> bool {
        self.counts.get()
    }

    /// Where the next piece begins and how long it will be.
    pub fn next(&self, most: usize) -> Option<Piece> {
        let (start, end) = (self.output.start(), self.output.end());
        let offset = self.offset().max(start);
        let length = (end.saturating_sub(offset) as usize).min(most);
        (length > 0).then_some(Piece { offset, length, gap: offset > self.offset() })
    }

    /// Appends a piece to `target` and moves on.
    pub fn take(&self, piece: &Piece, target: &mut Vec<u8>) {
        let length = self.output.copy_to(piece.offset, piece.length, target);
        self.offset.set(piece.offset + length as u64);
        self.output.note_room();
    }

    /// The output shall no longer wait for it.
    pub fn give_up(&self) {
        self.counts.set(false);
        self.output.note_room();
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.output.note_room();
    }
}
