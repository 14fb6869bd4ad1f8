//! Why a keeper could not begin its work: one line on stderr and an exit code.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

#[derive(Debug)]
pub struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    pub fn new(what: impl Display, why: impl Display) -> Self {
        Failure { code: 1, text: format!("{what}: {why}") }
    }

    pub fn arguments(why: String) -> Self {
        Failure { code: 2, text: format!("arguments: {why}") }
    }

    pub fn cannot_execute(what: impl Display, why: io::Error) -> Self {
        Failure { code: 127, text: format!("{what}: {why}") }
    }

    /// Writes the line, if anybody still reads it; what it quotes cannot break it in two.
    pub fn tell(&self) -> ExitCode {
        let text: String = self.text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        let _ = writeln!(io::stderr(), "keeper: {text}");
        ExitCode::from(self.code)
    }
}
