//! Modes that the emulator leaves to others: the keyboard's, the mouse's, the cursor's look, and the title.

use std::fmt::Write;

const TITLE_CHARACTERS: usize = 256;
/// reverse video, mouse and focus reports, bracketed paste
const KNOWN: [u32; 12] = [5, 9, 1000, 1002, 1003, 1004, 1005, 1006, 1007, 1015, 1016, 2004];
const KEYPAD: u32 = 66;
const CURSOR_STYLES: u32 = 6;

#[derive(Default)]
pub struct Modes {
    /// private modes that are set, the last set last: of the mouse's the last one counts
    set: Vec<u32>,
    cursor_style: u32,
    title: String,
}

impl Modes {
    pub fn set(&mut self, mode: u32, on: bool) {
        if KNOWN.contains(&mode) || mode == KEYPAD {
            self.set.retain(|known| *known != mode);
            if on {
                self.set.push(mode);
            }
        }
    }

    pub fn set_keypad(&mut self, application: bool) {
        self.set(KEYPAD, application);
    }

    pub fn set_cursor_style(&mut self, style: u32) {
        self.cursor_style = if style <= CURSOR_STYLES { style } else { 0 };
    }

    pub fn set_title(&mut self, title: &str) {
        self.title = title.chars().take(TITLE_CHARACTERS).collect();
    }

    pub fn title(&self) -> &str {
        &self.title
    }

    /// As a report has it: 0 unknown, 1 set, 2 reset.
    pub fn report(&self, mode: u32) -> u8 {
        match mode {
            mode if self.set.contains(&mode) => 1,
            mode if KNOWN.contains(&mode) || mode == KEYPAD => 2,
            _ => 0,
        }
    }

    /// Sequences that set all this in a terminal that has been reset.
    pub fn restore(&self, target: &mut String) {
        for mode in &self.set {
            let _ = match *mode {
                KEYPAD => target.write_str("\x1b="), // understood by more terminals
                mode => write!(target, "\x1b[?{mode}h"),
            };
        }
        if self.cursor_style != 0 {
            let _ = write!(target, "\x1b[{} q", self.cursor_style);
        }
        if !self.title.is_empty() {
            let _ = write!(target, "\x1b]2;{}\x07", self.title);
        }
    }
}
