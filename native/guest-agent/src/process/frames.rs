//! The frames of streams to the host: a 16-byte header and a payload, as the protocol has them.

/// the most in one frame
pub const DATA_BYTES: usize = 65_536;
pub const HEADER_BYTES: usize = 16;

pub fn put_header(frames: &mut Vec<u8>, kind: u8, length: usize, offset: u64) {
    frames.extend([kind, 0, 0, 0]);
    frames.extend((length as u32).to_be_bytes());
    frames.extend(offset.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_as_the_protocol_has_it() {
        let mut frames = Vec::new();
        put_header(&mut frames, 2, 0x01_0203, 0x0405_0607_0809);
        assert_eq!(frames, [2, 0, 0, 0, 0, 1, 2, 3, 0, 0, 4, 5, 6, 7, 8, 9]);
        assert_eq!(frames.len(), HEADER_BYTES);
    }
}
