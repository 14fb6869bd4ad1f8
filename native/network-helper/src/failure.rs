//! Why something was not done: one line on stderr and an exit code.

use std::fmt::Display;
use std::process::ExitCode;

#[derive(Debug)]
pub struct Failure {
    code: u8,
    text: String,
}

pub type Outcome<T> = Result<T, Failure>;

impl Failure {
    pub fn new(what: impl Display, why: impl Display) -> Self {
        Failure { code: 1, text: format!("{what}: {why}") }
    }

    /// words that are not in the vocabulary
    pub fn usage(why: impl Display) -> Self {
        Failure { code: 2, text: why.to_string() }
    }

    /// asked by somebody who may not, as sudo and sshd number it (sysexits.h: EX_NOPERM)
    pub fn forbidden(why: impl Display) -> Self {
        Failure { code: 77, text: why.to_string() }
    }

    /// What it quotes cannot break the line in two.
    pub fn tell(&self) -> ExitCode {
        let text: String = self.text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        eprintln!("network-helper: {text}");
        ExitCode::from(self.code)
    }
}
