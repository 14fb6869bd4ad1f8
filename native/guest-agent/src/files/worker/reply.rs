//! The answer: one line of head, then bytes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::process::ExitCode;

use serde::Serialize;

use super::super::relay::Head;
use super::Done;
use crate::http::Failure;

pub struct Reply {
    out: File,
    begun: bool,
}

impl Reply {
    pub fn new(out: File) -> Self {
        Reply { out, begun: false }
    }

    /// Sends the head; what is written then is the body.
    pub fn begin(&mut self, media_type: &str, headers: &[(&str, String)]) -> Result<&mut File, Failure> {
        self.send_head(200, media_type, headers).map_err(gone)?;
        Ok(&mut self.out)
    }

    pub fn json<T: Serialize>(&mut self, value: &T) -> Done {
        let body = serde_json::to_vec(value).unwrap_or_default();
        self.begin("application/json", &[])?.write_all(&body).map_err(gone)
    }

    /// Answers with an error, where the answer has not begun yet.
    pub fn refuse(&mut self, failure: &Failure) -> ExitCode {
        if self.begun {
            return ExitCode::FAILURE; // which the agent tells the host by breaking the answer off
        }
        let body = serde_json::to_vec(&failure.body()).unwrap_or_default();
        let sent = self.send_head(failure.status.as_u16(), "application/json", &[]);
        match sent.and_then(|()| self.out.write_all(&body)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        }
    }

    fn send_head(&mut self, status: u16, media_type: &str, headers: &[(&str, String)]) -> io::Result<()> {
        let mut all = BTreeMap::from([("content-type".to_string(), media_type.to_string())]);
        all.extend(headers.iter().map(|(name, value)| (name.to_string(), value.clone())));
        let mut line = serde_json::to_vec(&Head { status, headers: all })?;
        line.push(b'\n');
        self.begun = true;
        self.out.write_all(&line)
    }
}

/// Nobody reads the answer any more.
pub fn gone(why: io::Error) -> Failure {
    Failure::internal(&format!("the answer: {why}"))
}
