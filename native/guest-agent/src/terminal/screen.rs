//! The model of a terminal's screen: what a viewer that comes later has to be shown.

use std::panic::{AssertUnwindSafe, catch_unwind};

use avt::Terminal as Emulator;
use serde::{Deserialize, Serialize};

use super::drawing::{scrollback, spell_out};
use super::modes::Modes;
use super::scanner::{Scanner, Unit};
use super::sequence::{Meaning, Question, meaning};

/// lines that have left the screen at its top
pub const SCROLLBACK_LINES: usize = 500;

/// asks a terminal who it is
const ENQUIRY: u8 = 0x05;

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Size {
    pub columns: u16,
    pub rows: u16,
}

pub struct Screen {
    size: Size,
    emulator: Emulator,
    scanner: Scanner,
    modes: Modes,
}

/// What becomes of what a program printed.
#[derive(Default)]
pub struct Taken {
    /// for the viewers: whole characters and sequences
    pub shown: Vec<u8>,
    /// for the program, which asked something
    pub answers: Vec<u8>,
}

impl Screen {
    pub fn new(size: Size) -> Self {
        Screen { size, emulator: emulator(size), scanner: Scanner::new(), modes: Modes::default() }
    }

    pub fn size(&self) -> Size {
        self.size
    }

    pub fn title(&self) -> &str {
        self.modes.title()
    }

    pub fn resize(&mut self, size: Size) {
        self.size = size;
        self.guarded(|emulator| emulator.resize(size.columns.into(), size.rows.into()));
    }

    pub fn take(&mut self, bytes: &[u8]) -> Taken {
        let mut taken = Taken::default();
        let mut fed = 0;
        let mut scanner = std::mem::replace(&mut self.scanner, Scanner::new());
        scanner.scan(bytes, &mut |unit| match unit {
            Unit::Text(text) => taken.shown.extend(text.iter().filter(|byte| **byte != ENQUIRY)),
            Unit::Sequence(sequence) => match meaning(sequence, &mut self.modes) {
                Meaning::Show => taken.shown.extend_from_slice(sequence),
                Meaning::Keep => {}
                Meaning::Ask(question) => {
                    self.feed(&taken.shown[fed..]); // the answer may depend on it
                    fed = taken.shown.len();
                    taken.answers.extend_from_slice(self.answer(&question).as_bytes());
                }
            },
        });
        self.scanner = scanner;
        self.feed(&taken.shown[fed..]);
        taken
    }

    fn feed(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        self.guarded(|emulator| emulator.feed(&*text));
    }

    /// A fault of the emulator costs the picture and nothing else: this is the first process of the VM.
    fn guarded(&mut self, work: impl FnOnce(&mut Emulator)) {
        if catch_unwind(AssertUnwindSafe(|| work(&mut self.emulator))).is_err() {
            self.emulator = emulator(self.size);
        }
    }

    fn answer(&self, question: &Question) -> String {
        let cursor = self.emulator.cursor();
        let (row, column) = (cursor.row + 1, (cursor.col + 1).min(self.size.columns.into()));
        match question {
            Question::PrimaryAttributes => "\x1b[?62;22c".into(), // a VT220 with colours
            Question::SecondaryAttributes => "\x1b[>1;10;0c".into(),
            Question::Status => "\x1b[0n".into(),
            Question::CursorPosition => format!("\x1b[{row};{column}R"),
            Question::ExtendedCursorPosition => format!("\x1b[?{row};{column}R"),
            Question::PrivateMode(mode) => format!("\x1b[?{mode};{}$y", self.modes.report(*mode)),
            Question::Size => format!("\x1b[8;{};{}t", self.size.rows, self.size.columns),
            Question::Version => concat!("\x1bP>|WorkFort(", env!("CARGO_PKG_VERSION"), ")\x1b\\").into(),
        }
    }

    /// What gives a cleared terminal of this size the end of the scrollback, the screen, the modes and the cursor.
    pub fn restore(&mut self) -> String {
        let drawn = catch_unwind(AssertUnwindSafe(|| {
            let mut text = scrollback(&self.emulator);
            text.push_str(&spell_out(&self.emulator.dump()));
            text
        }));
        let mut text = drawn.unwrap_or_else(|_| {
            self.emulator = emulator(self.size);
            String::new()
        });
        self.modes.restore(&mut text);
        text
    }
}

fn emulator(size: Size) -> Emulator {
    let made = Emulator::with_scrollback(size.columns.into(), size.rows.into(), Some(SCROLLBACK_LINES));
    made.expect("a size is at least 1 by 1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(columns: u16, rows: u16, text: &str) -> Screen {
        let mut screen = Screen::new(Size { columns, rows });
        screen.take(text.as_bytes());
        screen
    }

    fn lines(screen: &Screen) -> Vec<String> {
        screen.emulator.screen().all_lines().map(|line| line.text().trim_end().to_string()).collect()
    }

    /// A second screen that was given what the first restores.
    fn restored(first: &mut Screen) -> Screen {
        let text = first.restore();
        let mut second = Screen::new(first.size());
        assert_eq!(String::from_utf8(second.take(text.as_bytes()).shown).unwrap(), text, "something of it was kept");
        second
    }

    fn assert_same(first: &mut Screen) {
        let mut second = restored(first);
        assert_eq!(lines(&second), lines(first));
        assert_eq!(second.emulator.cursor(), first.emulator.cursor());
        assert_eq!(second.emulator.active_screen_kind(), first.emulator.active_screen_kind());
        assert_eq!(second.restore(), first.restore());
    }

    #[test]
    fn a_screen_is_restored_with_colours_cursor_and_scrollback() {
        let many: String = (0..100).map(|number| format!("\x1b[3{}mline {number}\x1b[0m\r\n", number % 8)).collect();
        assert_same(&mut screen(20, 5, &many));
        assert_same(&mut screen(20, 200, &many));
        assert_same(&mut screen(20, 1, "one\r\ntwo\r\nthree"));
        assert_same(&mut screen(10, 4, "漢字かな交じり文\x1b[2;3H\x1b[38;2;1;2;3mx\x1b[?25l"));
        assert_same(&mut screen(8, 3, "a long line that wraps more than once and goes off\r\n\x1b[44m  \x1b[0m"));
        assert_same(&mut screen(2, 1, "漢x\r\n漢"));
    }

    #[test]
    fn the_alternate_screen_hides_the_primary_one_and_gives_it_back() {
        let mut first = screen(20, 4, "before\r\n\x1b[?1049h\x1b[2;4Heditor");
        assert_same(&mut first);
        let mut second = restored(&mut first);
        for screen in [&mut first, &mut second] {
            screen.take(b"\x1b[?1049l");
        }
        assert_eq!(lines(&second)[0], "before");
        assert_eq!(lines(&second), lines(&first));
        assert_eq!(second.emulator.cursor(), first.emulator.cursor());
    }

    #[test]
    fn modes_and_title_come_back() {
        let text = "\x1b[?1000;1006h\x1b[?1002h\x1b[?2004h\x1b=\x1b[5 q\x1b[?1h\x1b]0;a title\x07\x1b[2;3r";
        let mut first = screen(20, 4, text);
        let restored = first.restore();
        for wanted in ["\x1b[?1002h", "\x1b[?1006h", "\x1b[?2004h", "\x1b=", "\x1b[5 q", "\x1b[?1h", "\x1b[2;3r"] {
            assert!(restored.contains(wanted), "{wanted:?} in {restored:?}");
        }
        assert_eq!(first.title(), "a title");
        first.take(b"\x1bc");
        assert_eq!(first.title(), "");
        assert!(!first.restore().contains("2004"));
    }

    #[test]
    fn titles_are_bounded() {
        let long = format!("\x1b]2;{}\x07", "é".repeat(1000));
        assert_eq!(screen(10, 2, &long).title().chars().count(), 256);
    }

    #[test]
    fn questions_are_answered_and_not_shown() {
        let mut screen = Screen::new(Size { columns: 80, rows: 24 });
        let taken = screen.take(b"ab\x1b[6ncd\x1b[c\x1b[?2004$p\x1b[?2004h\x1b[?2004$p\x1b[18t");
        assert_eq!(taken.shown, b"abcd\x1b[?2004h");
        let answers = String::from_utf8(taken.answers).unwrap();
        assert_eq!(answers, "\x1b[1;3R\x1b[?62;22c\x1b[?2004;2$y\x1b[?2004;1$y\x1b[8;24;80t");
    }

    #[test]
    fn a_fault_of_the_emulator_costs_the_picture_only() {
        let mut screen = screen(10, 2, "before");
        screen.guarded(|_| panic!("a fault, for the test"));
        assert_eq!(screen.take(b"after").shown, b"after");
        assert_eq!(lines(&screen), ["after", ""]);
    }

    #[test]
    fn no_bytes_break_it() {
        let mut seed: u32 = 2_463_534_242;
        let mut random = move || {
            seed ^= seed << 13;
            seed ^= seed >> 17;
            seed ^= seed << 5;
            seed
        };
        let starts: [&[u8]; 8] = [b"\x1b[", b"\x1b]", b"\x1bP", b"\x1b", "漢".as_bytes(), b"\x1b[?", b"\r\n", b""];
        let letters = b"0123456789;?ABCDEFGHJKLMPSTXZ@`abcdefghlmrsu\x07\x1b[ ";
        let rounds = std::env::var("FUZZ_ROUNDS").map_or(300, |rounds| rounds.parse().unwrap());
        for round in 0..rounds {
            let size = Size { columns: 1 + (random() % 90) as u16, rows: 1 + (random() % 30) as u16 };
            let mut screen = Screen::new(size);
            // by itself, where nothing catches what goes wrong
            let mut bare = emulator(size);
            for _ in 0..40 {
                let mut bytes: Vec<u8> = starts[random() as usize % starts.len()].to_vec();
                for _ in 0..random() % 60 {
                    let byte = random();
                    bytes.push(if round % 2 == 0 { byte as u8 } else { letters[byte as usize % letters.len()] });
                }
                bare.feed(&*String::from_utf8_lossy(&screen.take(&bytes).shown));
                if random() % 5 == 0 {
                    let size = Size { columns: 1 + (random() % 90) as u16, rows: 1 + (random() % 30) as u16 };
                    screen.resize(size);
                    bare.resize(size.columns.into(), size.rows.into());
                }
            }
            assert_eq!(bare.dump(), screen.emulator.dump());
            assert_eq!(restored(&mut screen).emulator.dump(), screen.emulator.dump(), "round {round}");
        }
    }
}
