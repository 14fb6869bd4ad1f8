//! What may be asked of files, read from a request and checked; it goes on to the worker as JSON.

use h2::RecvStream;
use http::Method;
use http::request::Parts;
use serde::{Deserialize, Serialize};

use crate::http::{Failure, Query, read_json};

const PATH_BYTES: usize = 4096;
const MOST_ENTRIES: u64 = 10_000;
const MOST_DEPTH: u64 = 64;
const PATTERN_BYTES: usize = 4096;
const MOST_GLOBS: usize = 64;
const LONGEST_SEARCH_MS: u64 = 60_000;

/// what a worker gets
#[derive(Serialize, Deserialize)]
pub struct Order {
    /// what `~` stands for
    pub home: String,
    pub job: Job,
}

#[derive(Serialize, Deserialize)]
pub enum Job {
    Read { path: String, offset: u64, length: Option<u64> },
    Write(Write),
    Stat { path: String },
    List { path: String, depth: u64, limit: u64, after: Option<String> },
    Move(Move),
    Delete(Delete),
    Mkdir(Mkdir),
    Search(Search),
    Watch { path: String, recursive: bool },
    Pack { path: String },
    Unpack { path: String, owners: bool },
}

#[derive(Serialize, Deserialize)]
pub struct Write {
    pub path: String,
    pub mode: Option<u32>,
    pub owner: Option<(u32, u32)>,
    pub parents: bool,
    /// under what name to keep what has come, should the body break off
    pub draft: Option<String>,
    /// of the body's first byte; what the draft holds before it stays
    pub offset: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Move {
    #[serde(default = "root")]
    user: String,
    pub from: String,
    pub to: String,
    #[serde(default)]
    pub overwrite: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Delete {
    #[serde(default = "root")]
    user: String,
    pub path: String,
    #[serde(default)]
    pub recursive: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mkdir {
    #[serde(default = "root")]
    user: String,
    pub path: String,
    #[serde(default)]
    pub parents: bool,
    /// octal
    #[serde(default = "directory_mode")]
    pub mode: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Search {
    #[serde(default = "root")]
    user: String,
    pub path: String,
    /// regular expression, of one line's content
    pub pattern: Option<String>,
    /// of names, or of paths below `path` where they have a slash; any of them
    #[serde(default)]
    pub names: Vec<String>,
    #[serde(default)]
    pub ignore_case: bool,
    /// look into what begins with a dot, too
    #[serde(default)]
    pub hidden: bool,
    #[serde(default = "default_entries")]
    pub limit: u64,
    #[serde(default = "default_search_ms")]
    pub timeout_ms: u64,
}

fn root() -> String {
    "root".into()
}

fn directory_mode() -> String {
    "0755".into()
}

fn default_entries() -> u64 {
    1000
}

fn default_search_ms() -> u64 {
    10_000
}

/// a job, and for whom it is done
pub struct Asked {
    pub user: String,
    pub job: Job,
}

impl Asked {
    /// Reads `/v1/files/<what>`; `owner_of` finds the ids of an owner by name.
    pub async fn read(
        head: &Parts,
        what: &str,
        body: &mut RecvStream,
        owner_of: impl Fn(&str) -> Result<(u32, u32), Failure>,
    ) -> Result<Self, Failure> {
        let asked = match (&head.method, what) {
            (&Method::POST, "move") => read_json::<Move>(body).await.map(|it| (it.user.clone(), Job::Move(it))),
            (&Method::POST, "delete") => read_json::<Delete>(body).await.map(|it| (it.user.clone(), Job::Delete(it))),
            (&Method::POST, "mkdir") => read_json::<Mkdir>(body).await.map(|it| (it.user.clone(), Job::Mkdir(it))),
            (&Method::POST, "search") => read_json::<Search>(body).await.map(|it| (it.user.clone(), Job::Search(it))),
            _ => by_query(head, what, owner_of),
        };
        let (user, job) = asked?;
        job.check()?;
        Ok(Asked { user, job })
    }
}

fn by_query(
    head: &Parts,
    what: &str,
    owner_of: impl Fn(&str) -> Result<(u32, u32), Failure>,
) -> Result<(String, Job), Failure> {
    let allowed: &[&str] = match (&head.method, what) {
        (&Method::GET, "content") => &["path", "user", "offset", "length"],
        (&Method::PUT, "content") => &["path", "user", "mode", "owner", "parents", "draft", "offset"],
        (&Method::GET, "stat" | "archive") => &["path", "user"],
        (&Method::GET, "list") => &["path", "user", "depth", "limit", "after"],
        (&Method::GET, "watch") => &["path", "user", "recursive"],
        (&Method::PUT, "archive") => &["path", "user", "owners"],
        (method, _) => return Err(Failure::unsupported(&format!("there is no {method} {}", head.uri.path()))),
    };
    let query = Query::parse(head.uri.query(), allowed)?;
    let path = query.text("path")?.ok_or_else(|| Failure::bad_request("query: path is missing"))?;
    let user = query.text("user")?.unwrap_or_else(root);
    let job = match (&head.method, what) {
        (&Method::GET, "content") => {
            Job::Read { path, offset: query.offset("offset")?, length: query.number("length")? }
        }
        (&Method::PUT, "content") => Job::Write(Write {
            path,
            mode: query.text("mode")?.map(|text| parse_mode(&text)).transpose()?,
            owner: query.text("owner")?.map(|name| owner_of(&name)).transpose()?,
            parents: query.flag("parents")?,
            draft: query.text("draft")?,
            offset: query.offset("offset")?,
        }),
        (_, "stat") => Job::Stat { path },
        (_, "list") => Job::List {
            path,
            depth: query.number("depth")?.unwrap_or(1),
            limit: query.number("limit")?.unwrap_or_else(default_entries),
            after: query.text("after")?,
        },
        (_, "watch") => Job::Watch { path, recursive: query.flag("recursive")? },
        (&Method::GET, _) => Job::Pack { path },
        _ => Job::Unpack { path, owners: query.flag("owners")? },
    };
    Ok((user, job))
}

impl Write {
    fn check(&self) -> Result<(), Failure> {
        match &self.draft {
            None if self.offset > 0 => Err(Failure::bad_request("offset: it needs a draft")),
            Some(name) if !is_draft_name(name) => Err(Failure::bad_request("draft: 16 lower-case hexadecimal digits")),
            _ => Ok(()),
        }
    }
}

fn is_draft_name(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl Job {
    fn check(&self) -> Result<(), Failure> {
        match self {
            Job::Read { path, .. }
            | Job::Stat { path }
            | Job::Watch { path, .. }
            | Job::Pack { path }
            | Job::Unpack { path, .. } => check_path("path", path),
            Job::Write(request) => check_path("path", &request.path).and_then(|()| request.check()),
            Job::List { path, depth, limit, after } => {
                check_path("path", path)?;
                check_range("depth", *depth, MOST_DEPTH)?;
                check_range("limit", *limit, MOST_ENTRIES)?;
                check_text("after", after.as_deref().unwrap_or("."))
            }
            Job::Move(request) => check_path("from", &request.from).and_then(|()| check_path("to", &request.to)),
            Job::Delete(request) => check_path("path", &request.path),
            Job::Mkdir(request) => check_path("path", &request.path).and(parse_mode(&request.mode).map(drop)),
            Job::Search(request) => request.check(),
        }
    }

    /// Whether the request's body is the worker's to read.
    pub fn takes_body(&self) -> bool {
        matches!(self, Job::Write { .. } | Job::Unpack { .. })
    }

    /// Whether the answer may be long.
    pub fn gives_much(&self) -> bool {
        matches!(self, Job::Read { .. } | Job::Pack { .. })
    }

    /// Whether it may be ended at any moment without anything being left behind.
    pub fn only_reads(&self) -> bool {
        !matches!(self, Job::Write { .. } | Job::Unpack { .. } | Job::Move(_) | Job::Delete(_) | Job::Mkdir(_))
    }
}

impl Search {
    fn check(&self) -> Result<(), Failure> {
        check_path("path", &self.path)?;
        check_range("limit", self.limit, MOST_ENTRIES)?;
        check_range("timeoutMs", self.timeout_ms, LONGEST_SEARCH_MS)?;
        if self.pattern.is_none() && self.names.is_empty() {
            return Err(Failure::bad_request("pattern, names: one of them is needed"));
        }
        let texts = self.pattern.iter().chain(&self.names);
        if self.names.len() > MOST_GLOBS || texts.clone().any(|text| text.is_empty() || text.len() > PATTERN_BYTES) {
            return Err(Failure::bad_request("pattern, names: at most 64 names, each of 1 to 4096 bytes"));
        }
        Ok(())
    }
}

fn check_path(field: &str, path: &str) -> Result<(), Failure> {
    check_text(field, path)?;
    if path.starts_with('/') || path == "~" || path.starts_with("~/") {
        return Ok(());
    }
    Err(Failure::bad_request(&format!("{field}: an absolute path, or one that begins with ~/")))
}

fn check_text(field: &str, text: &str) -> Result<(), Failure> {
    if (1..=PATH_BYTES).contains(&text.len()) && !text.contains('\0') {
        return Ok(());
    }
    Err(Failure::bad_request(&format!("{field}: 1 to {PATH_BYTES} bytes without NUL")))
}

fn check_range(field: &str, number: u64, most: u64) -> Result<(), Failure> {
    if (1..=most).contains(&number) {
        return Ok(());
    }
    Err(Failure::bad_request(&format!("{field}: 1 to {most}")))
}

/// Permissions as octal text.
pub fn parse_mode(text: &str) -> Result<u32, Failure> {
    let octal = (3..=4).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let mode = u32::from_str_radix(text, 8).ok().filter(|_| octal);
    mode.ok_or_else(|| Failure::bad_request("mode: three or four octal digits, for example 0644"))
}
