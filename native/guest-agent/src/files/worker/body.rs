//! What the agent hands over: pieces, each after its length in four bytes, and a length of 0 after the last. The first
//! is the order, the others are the request's body.

use std::fs::File;
use std::io::{self, Read};

use super::super::order::Order;

const ORDER_BYTES: usize = 16 * 1024 * 1024;

pub struct Body {
    pipe: File,
    /// of the piece that is being read
    left: usize,
    ended: bool,
}

impl Body {
    pub fn new(pipe: File) -> Self {
        Body { pipe, left: 0, ended: false }
    }

    pub fn read_order(&mut self) -> io::Result<Order> {
        let length = self.next_length()?;
        if length > ORDER_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut order = vec![0; length];
        self.pipe.read_exact(&mut order)?;
        serde_json::from_slice(&order).map_err(io::Error::from)
    }

    fn next_length(&mut self) -> io::Result<usize> {
        let mut length = [0; 4];
        self.pipe.read_exact(&mut length)?;
        Ok(u32::from_be_bytes(length) as usize)
    }
}

impl Read for Body {
    /// Fails where the body breaks off.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !self.ended {
            self.left = self.next_length()?;
            self.ended = self.left == 0;
        }
        if self.ended {
            return Ok(0);
        }
        let most = self.left.min(buffer.len());
        let length = self.pipe.read(&mut buffer[..most])?;
        self.left -= length;
        if length == 0 && most > 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(length) }
    }
}
