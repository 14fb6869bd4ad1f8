//! Cuts what a program prints into whole units, so that a viewer can join or be skipped forward between any two of
//! them: text (whole characters and control characters) and escape sequences. What is unfinished is held back.

/// a longer one is swallowed; of those that are let through, titles and links are the longest
const SEQUENCE_BYTES: usize = 4096;
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();
const ESCAPE: u8 = 0x1b;

pub enum Unit<'a> {
    /// valid UTF-8 without the escape character and without C1 controls
    Text(&'a [u8]),
    /// begins with the escape character; may be anything after it
    Sequence(&'a [u8]),
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Ground,
    /// within a character of so many bytes
    Character(usize),
    Escape,
    EscapeIntermediate,
    Csi,
    /// OSC, which BEL ends too
    Command,
    /// DCS, APC, PM, SOS
    String,
    /// after the escape character that may end a string
    StringEscape,
}

pub struct Scanner {
    state: State,
    held: Vec<u8>,
    /// the sequence at hand grew too long
    overlong: bool,
}

impl Scanner {
    pub fn new() -> Self {
        Scanner { state: State::Ground, held: Vec::new(), overlong: false }
    }

    pub fn scan(&mut self, bytes: &[u8], give: &mut impl FnMut(Unit<'_>)) {
        let mut at = 0;
        while at < bytes.len() {
            if self.state == State::Ground {
                let run = bytes[at..].iter().take_while(|byte| byte.is_ascii() && **byte != ESCAPE).count();
                if run > 0 {
                    give(Unit::Text(&bytes[at..at + run]));
                    at += run;
                    continue;
                }
            }
            if self.step(bytes[at], give) {
                at += 1;
            }
        }
    }

    /// False where the byte is to be looked at again, in another state.
    fn step(&mut self, byte: u8, give: &mut impl FnMut(Unit<'_>)) -> bool {
        match self.state {
            State::Ground => self.begin(byte, give),
            State::Character(length) => return self.go_on_with_character(byte, length, give),
            State::StringEscape if byte == b'\\' => self.complete(byte, give),
            State::StringEscape => {
                self.forget();
                self.begin(ESCAPE, give);
                return false;
            }
            State::String if byte == ESCAPE => self.hold(byte, State::StringEscape),
            State::Command if byte == ESCAPE => self.hold(byte, State::StringEscape),
            State::Command if byte == 0x07 => self.complete(byte, give),
            _ if byte == 0x18 || byte == 0x1a => self.forget(), // CAN and SUB end any sequence
            State::String | State::Command => self.hold(byte, self.state),
            _ if byte == ESCAPE => {
                self.forget();
                self.begin(byte, give);
            }
            _ if byte < 0x20 => give(Unit::Text(&[byte])), // a control character within a sequence acts at once
            _ if byte == 0x7f => {}
            _ if byte > 0x7f => {
                self.forget();
                return false;
            }
            State::Escape => self.go_on_after_escape(byte, give),
            State::EscapeIntermediate if byte < 0x30 => self.hold(byte, State::EscapeIntermediate),
            State::Csi if byte < 0x40 => self.hold(byte, State::Csi),
            State::EscapeIntermediate | State::Csi => self.complete(byte, give),
        }
        true
    }

    fn begin(&mut self, byte: u8, give: &mut impl FnMut(Unit<'_>)) {
        match byte {
            ESCAPE => self.hold(byte, State::Escape),
            0xc2..=0xdf => self.hold(byte, State::Character(2)),
            0xe0..=0xef => self.hold(byte, State::Character(3)),
            0xf0..=0xf4 => self.hold(byte, State::Character(4)),
            _ => give(Unit::Text(REPLACEMENT)),
        }
    }

    fn go_on_with_character(&mut self, byte: u8, length: usize, give: &mut impl FnMut(Unit<'_>)) -> bool {
        if byte & 0xc0 != 0x80 {
            give(Unit::Text(REPLACEMENT));
            self.forget();
            return false;
        }
        self.held.push(byte);
        if self.held.len() == length {
            match std::str::from_utf8(&self.held) {
                // some terminals take a C1 control for the beginning of a sequence, which this scanner would not see
                Ok(text) if text.starts_with(|character: char| character.is_control()) => {}
                Ok(_) => give(Unit::Text(&self.held)),
                Err(_) => give(Unit::Text(REPLACEMENT)),
            }
            self.forget();
        }
        true
    }

    fn go_on_after_escape(&mut self, byte: u8, give: &mut impl FnMut(Unit<'_>)) {
        match byte {
            b'[' => self.hold(byte, State::Csi),
            b']' => self.hold(byte, State::Command),
            b'P' | b'X' | b'^' | b'_' => self.hold(byte, State::String),
            0x20..=0x2f => self.hold(byte, State::EscapeIntermediate),
            _ => self.complete(byte, give),
        }
    }

    fn hold(&mut self, byte: u8, state: State) {
        self.state = state;
        if self.held.len() < SEQUENCE_BYTES {
            self.held.push(byte);
        } else {
            self.overlong = true;
        }
    }

    fn complete(&mut self, last: u8, give: &mut impl FnMut(Unit<'_>)) {
        self.held.push(last);
        if !self.overlong {
            give(Unit::Sequence(&self.held));
        }
        self.forget();
    }

    fn forget(&mut self) {
        self.state = State::Ground;
        self.overlong = false;
        self.held.clear();
        self.held.shrink_to(64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(pieces: &[&[u8]]) -> Vec<String> {
        let mut units: Vec<String> = Vec::new();
        let mut scanner = Scanner::new();
        for piece in pieces {
            scanner.scan(piece, &mut |unit| {
                let (kind, bytes) = match unit {
                    Unit::Text(bytes) => ('t', bytes),
                    Unit::Sequence(bytes) => ('s', bytes),
                };
                let text = std::str::from_utf8(bytes).unwrap().replace('\x1b', "^");
                match units.last_mut() {
                    Some(last) if kind == 't' && last.starts_with('t') => last.push_str(&text),
                    _ => units.push(format!("{kind}{text}")),
                }
            });
        }
        units
    }

    #[test]
    fn cuts_at_the_same_places_however_the_bytes_arrive() {
        let bytes = "a\x1b[1;31mé\x1b]0;ti\u{e9}tle\x07漢\x1b(0\x1bP1$q\x1b\\\x1b]8;;x\x1b\\😀\x1b7z".as_bytes();
        let expected = ["ta", "s^[1;31m", "té", "s^]0;tiétle\u{7}", "t漢", "s^(0", "s^P1$q^\\", "s^]8;;x^\\", "t😀"];
        let expected: Vec<&str> = expected.into_iter().chain(["s^7", "tz"]).collect();
        assert_eq!(scan(&[bytes]), expected);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(scan(&single), expected);
    }

    #[test]
    fn what_is_broken_does_not_break_what_follows() {
        assert_eq!(scan(&[b"\x1b[3\x1b[4mA"]), ["s^[4m", "tA"]);
        assert_eq!(scan(&[b"\x1b[3\x18B"]), ["tB"]);
        assert_eq!(scan(&[b"\x1b]0;x\x1b[4mC"]), ["s^[4m", "tC"]);
        assert_eq!(scan(&[b"\x1b[3\xc3\xa9m"]), ["tém"]);
        assert_eq!(scan(&[b"\x1b[3\nm"]), ["t\n", "s^[3m"]);
        assert_eq!(scan(&[b"\xff\xc3(\xe2\x82"]), ["t\u{fffd}\u{fffd}("]);
        assert_eq!(scan(&[b"\xed\xa0\x80\xf4\x90\x80\x80!"]), ["t\u{fffd}\u{fffd}!"]);
        assert_eq!(scan(&["\u{9b}31m".as_bytes()]), ["t31m"]);
    }

    #[test]
    fn a_sequence_without_end_is_swallowed_within_bounds() {
        let mut scanner = Scanner::new();
        let mut given = 0;
        scanner.scan(b"\x1b]0;", &mut |_| given += 1);
        for _ in 0..1000 {
            scanner.scan(&[b'x'; 1000], &mut |_| given += 1);
        }
        assert_eq!((given, scanner.held.len()), (0, SEQUENCE_BYTES));
        scanner.scan(b"\x07", &mut |_| given += 1);
        assert_eq!((given, scanner.held.len()), (0, 0));
        assert!(scanner.held.capacity() <= 64);
    }
}
