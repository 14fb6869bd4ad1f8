//! What the host may ask of processes, checked.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::http::Failure;

const MOST_WORDS: usize = 4096;
const WORDS_BYTES: usize = 1024 * 1024;
pub const RING_BYTES: std::ops::RangeInclusive<usize> = 4096..=16 * 1024 * 1024;
const LONGEST_TIMEOUT_MS: u64 = 604_800_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StartRequest {
    pub id: Option<String>,
    pub argv: Vec<String>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    pub cwd: Option<String>,
    #[serde(default = "root")]
    pub user: String,
    #[serde(default)]
    pub stdin: StdinKind,
    #[serde(default)]
    pub attach: bool,
    pub timeout_ms: Option<u64>,
    #[serde(default = "default_ring_bytes")]
    pub ring_bytes: usize,
}

/// what is to run, and as whom
pub struct Program<'a> {
    pub argv: &'a [String],
    pub env: &'a BTreeMap<String, String>,
    pub cwd: Option<&'a str>,
    pub user: &'a str,
}

#[derive(Clone, Copy, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum StdinKind {
    #[default]
    None,
    Open,
}

pub fn root() -> String {
    "root".into()
}

fn default_ring_bytes() -> usize {
    1024 * 1024
}

impl StartRequest {
    pub fn program(&self) -> Program<'_> {
        Program { argv: &self.argv, env: &self.env, cwd: self.cwd.as_deref(), user: &self.user }
    }

    pub fn check(&self) -> Result<(), Failure> {
        let refuse = |text: &str| Err(Failure::bad_request(text));
        check_id(self.id.as_deref())?;
        self.program().check()?;
        if self.timeout_ms.is_some_and(|ms| ms == 0 || ms > LONGEST_TIMEOUT_MS) {
            return refuse("timeoutMs: 1 to 604800000");
        }
        if !RING_BYTES.contains(&self.ring_bytes) {
            return refuse("ringBytes: 4096 to 16777216");
        }
        Ok(())
    }
}

impl Program<'_> {
    pub fn check(&self) -> Result<(), Failure> {
        let refuse = |text: &str| Err(Failure::bad_request(text));
        if self.argv.is_empty() || self.argv[0].is_empty() {
            return refuse("argv: a program is missing");
        }
        let words = self.argv.len().max(self.env.len());
        let bytes = |words: &mut dyn Iterator<Item = &String>| words.map(|word| word.len() + 1).sum::<usize>();
        if words > MOST_WORDS
            || bytes(&mut self.argv.iter()) > WORDS_BYTES
            || bytes(&mut self.env.iter().flat_map(|(key, value)| [key, value])) > WORDS_BYTES
        {
            return refuse("argv, env: at most 4096 entries and 1 MiB each");
        }
        let texts = self.argv.iter().chain(self.env.keys()).chain(self.env.values()).map(String::as_str);
        if texts.chain(self.cwd).any(|text| text.contains('\0')) {
            return refuse("argv, env, cwd: no NUL");
        }
        if self.env.keys().any(|key| key.is_empty() || key.contains('=')) {
            return refuse("env: a name is not empty and has no =");
        }
        Ok(())
    }
}

pub fn check_id(id: Option<&str>) -> Result<(), Failure> {
    match id {
        Some(id) if !is_id(id) => {
            Err(Failure::bad_request("id: 1 to 64 characters of a-z, 0-9 and -, not beginning with -"))
        }
        _ => Ok(()),
    }
}

fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && !text.starts_with('-')
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}
