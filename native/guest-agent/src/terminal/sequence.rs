//! What an escape sequence is for: some change modes, some ask the terminal something, and some are kept from viewers.

use super::modes::Modes;

/// for a program that repeats a character more often than a line is long: every column of the widest terminal
const MOST_REPETITIONS: u32 = 1000;
/// OSC commands that are let through: titles, colours, the directory, links, the shell's marks
const COMMANDS: [u32; 14] = [0, 1, 2, 4, 7, 8, 10, 11, 12, 104, 110, 111, 112, 133];

#[derive(Debug, PartialEq)]
pub enum Meaning {
    /// goes to the emulator and to the viewers
    Show,
    /// goes nowhere: it would act on the viewer's machine, ask it something, or cost without end
    Keep,
    Ask(Question),
}

/// Answered by this terminal and not by its viewers': there may be several, or none.
#[derive(Debug, PartialEq)]
pub enum Question {
    PrimaryAttributes,
    SecondaryAttributes,
    Status,
    CursorPosition,
    ExtendedCursorPosition,
    PrivateMode(u32),
    Size,
    Version,
}

struct Csi<'a> {
    /// one of `<=>?`, or 0
    prefix: u8,
    numbers: Vec<u32>,
    intermediates: &'a [u8],
    last: u8,
}

/// Tells what a whole sequence means, and notes the modes it sets.
pub fn meaning(sequence: &[u8], modes: &mut Modes) -> Meaning {
    match sequence {
        [_, b'[', rest @ ..] => parse(rest).map_or(Meaning::Keep, |csi| csi_meaning(&csi, modes)),
        [_, b']', rest @ ..] => command_meaning(rest, modes),
        // strings; another coding of characters, or of answers
        [_, b'P' | b'X' | b'^' | b'_' | b'%' | b' ', ..] => Meaning::Keep,
        [_, b'Z'] => Meaning::Ask(Question::PrimaryAttributes),
        [_, last @ (b'=' | b'>')] => {
            modes.set_keypad(*last == b'=');
            Meaning::Show
        }
        [_, b'c'] => {
            *modes = Modes::default();
            Meaning::Show
        }
        _ => Meaning::Show,
    }
}

fn parse(text: &[u8]) -> Option<Csi<'_>> {
    let (last, text) = text.split_last()?;
    let (prefix, text) = match text.split_first() {
        Some((prefix @ b'<'..=b'?', rest)) => (*prefix, rest),
        _ => (0, text),
    };
    let intermediates = text.iter().position(|byte| *byte < 0x30).unwrap_or(text.len());
    let (numbers, intermediates) = text.split_at(intermediates);
    let numbers = std::str::from_utf8(numbers).ok()?.split(';');
    let numbers = numbers.map(|number| number.parse().unwrap_or(0)).collect();
    Some(Csi { prefix, numbers, intermediates, last: *last })
}

fn csi_meaning(csi: &Csi<'_>, modes: &mut Modes) -> Meaning {
    let first = csi.numbers.first().copied().unwrap_or(0);
    match (csi.prefix, csi.intermediates, csi.last) {
        (0, b"", b'c') => Meaning::Ask(Question::PrimaryAttributes),
        (b'>', b"", b'c') => Meaning::Ask(Question::SecondaryAttributes),
        (0, b"", b'n') if first == 5 => Meaning::Ask(Question::Status),
        (0, b"", b'n') if first == 6 => Meaning::Ask(Question::CursorPosition),
        (b'?', b"", b'n') if first == 6 => Meaning::Ask(Question::ExtendedCursorPosition),
        (b'?', b"$", b'p') => Meaning::Ask(Question::PrivateMode(first)),
        (b'>', b"", b'q') => Meaning::Ask(Question::Version),
        (0, b"", b't') if first == 18 => Meaning::Ask(Question::Size),
        // the other reports, the window's size and place, printing
        (_, _, b'c' | b'i' | b'n' | b't' | b'x' | b'y') | (_, b"$", _) => Meaning::Keep,
        // a keyboard protocol that the model does not know, and other levels of conformance
        (b'<'..=b'?', _, b'u') | (0, b"\"", b'p') => Meaning::Keep,
        // a terminal of before escape sequences were as they are, and mouse reports that wait for an answer
        (b'?', b"", b'l') if csi.numbers.contains(&2) => Meaning::Keep,
        (b'?', b"", b'h') if csi.numbers.contains(&1001) => Meaning::Keep,
        (0, b"", b'b') if first > MOST_REPETITIONS => Meaning::Keep,
        (b'?', b"", b'h' | b'l') => {
            csi.numbers.iter().for_each(|mode| modes.set(*mode, csi.last == b'h'));
            Meaning::Show
        }
        (0, b" ", b'q') => {
            modes.set_cursor_style(first);
            Meaning::Show
        }
        (0, b"!", b'p') => {
            modes.set_keypad(false);
            Meaning::Show
        }
        _ => Meaning::Show,
    }
}

/// `text` is an operating system command with its end, BEL or ST.
fn command_meaning(text: &[u8], modes: &mut Modes) -> Meaning {
    let text = text.strip_suffix(b"\x07").or(text.strip_suffix(b"\x1b\\")).unwrap_or(text);
    let Ok(text) = std::str::from_utf8(text) else { return Meaning::Keep };
    let (number, rest) = text.split_once(';').unwrap_or((text, ""));
    let Some(number) = number.parse().ok().filter(|number| COMMANDS.contains(number)) else { return Meaning::Keep };
    let asks = rest.split(';').any(|word| word == "?");
    if rest.contains(char::is_control) || asks {
        return Meaning::Keep;
    }
    if number == 0 || number == 2 {
        modes.set_title(rest);
    }
    Meaning::Show
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sequence: &str) -> Meaning {
        meaning(sequence.as_bytes(), &mut Modes::default())
    }

    #[test]
    fn questions_are_recognised() {
        assert_eq!(of("\x1b[c"), Meaning::Ask(Question::PrimaryAttributes));
        assert_eq!(of("\x1b[0c"), Meaning::Ask(Question::PrimaryAttributes));
        assert_eq!(of("\x1bZ"), Meaning::Ask(Question::PrimaryAttributes));
        assert_eq!(of("\x1b[>c"), Meaning::Ask(Question::SecondaryAttributes));
        assert_eq!(of("\x1b[6n"), Meaning::Ask(Question::CursorPosition));
        assert_eq!(of("\x1b[?2004$p"), Meaning::Ask(Question::PrivateMode(2004)));
        assert_eq!(of("\x1b[18t"), Meaning::Ask(Question::Size));
    }

    #[test]
    fn what_would_reach_the_viewers_machine_is_kept() {
        for kept in [
            "\x1b]52;c;aGFsbG8=\x07",
            "\x1b]11;?\x1b\\",
            "\x1b]4;1;?\x07",
            "\x1b]0;a\nb\x07",
            "\x1bP$qm\x1b\\",
            "\x1b_Ga=T\x1b\\",
            "\x1b[21t",
            "\x1b[8;60000;60000t",
            "\x1b[1;1;1;1;9;9*y",
            "\x1b[?u",
            "\x1b[>1u",
            "\x1b[=c",
            "\x1b[65535b",
            "\x1b[5i",
            "\x1b[?4i",
            "\x1b[?2l",
            "\x1b[?1001h",
            "\x1b[61\"p",
            "\x1b%@",
            "\x1b G",
        ] {
            assert_eq!(of(kept), Meaning::Keep, "{kept:?}");
        }
        for shown in ["\x1b[1;31m", "\x1b[38:2::1:2:3m", "\x1b[5b", "\x1b]2;title\x07", "\x1b[u", "\x1b[2J", "\x1bM"] {
            assert_eq!(of(shown), Meaning::Show, "{shown:?}");
        }
    }
}
