//! Signals by name and number.

use serde::Deserialize;

use crate::http::Failure;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignalRequest {
    signal: SignalText,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum SignalText {
    Number(i32),
    Name(String),
}

impl SignalRequest {
    pub fn number(&self) -> Result<i32, Failure> {
        let known = match &self.signal {
            SignalText::Number(number) => Some(*number).filter(|number| (1..=64).contains(number)),
            SignalText::Name(name) => SIGNALS.iter().find(|(known, _)| known == name).map(|(_, number)| *number),
        };
        known.ok_or_else(|| Failure::bad_request("signal: a name without SIG, or a number from 1 to 64"))
    }
}

/// The name without SIG, or the number of one that has none.
pub fn name(number: i32) -> String {
    SIGNALS
        .iter()
        .find(|(_, known)| *known == number)
        .map_or_else(|| number.to_string(), |(name, _)| (*name).to_string())
}

const SIGNALS: [(&str, i32); 31] = [
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("ILL", libc::SIGILL),
    ("TRAP", libc::SIGTRAP),
    ("ABRT", libc::SIGABRT),
    ("BUS", libc::SIGBUS),
    ("FPE", libc::SIGFPE),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("SEGV", libc::SIGSEGV),
    ("USR2", libc::SIGUSR2),
    ("PIPE", libc::SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("TERM", libc::SIGTERM),
    ("STKFLT", libc::SIGSTKFLT),
    ("CHLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("STOP", libc::SIGSTOP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
    ("VTALRM", libc::SIGVTALRM),
    ("PROF", libc::SIGPROF),
    ("WINCH", libc::SIGWINCH),
    ("IO", libc::SIGIO),
    ("PWR", libc::SIGPWR),
    ("SYS", libc::SIGSYS),
];
