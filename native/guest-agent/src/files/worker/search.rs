//! Looking for names and for text, within bounds of results and of time. No link is followed.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use fast_glob::glob_match;
use regex::bytes::{Regex, RegexBuilder};
use rustix::fs::FsWord;
use serde::Serialize;
use serde_json::json;

use super::super::order::Search;
use super::entries::{kind_of, names_in};
use super::reply::Reply;
use super::{Done, failed};
use crate::http::Failure;

const REGEX_BYTES: usize = 4 * 1024 * 1024;
/// of a line; what is beyond is not looked at
const LINE_BYTES: usize = 64 * 1024;
/// of a line as it is shown
const SHOWN_CHARACTERS: usize = 500;
/// in which a NUL makes a file binary
const PROBE_BYTES: usize = 8192;
/// of all matches together
const ANSWER_BYTES: usize = 8 * 1024 * 1024;
const MOST_DEPTH: usize = 256;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Match {
    /// below the directory that is searched
    path: String,
    #[serde(rename = "type")]
    kind: &'static str,
    /// from 1; none where only names are looked for
    line: Option<u64>,
    text: Option<String>,
}

pub fn search(path: &Path, request: &Search, reply: &mut Reply) -> Done {
    let found = fs::metadata(path).map_err(failed(path))?;
    let mut hunt = Hunt {
        pattern: request.pattern.as_deref().map(|text| pattern(text, request.ignore_case)).transpose()?,
        names: if request.names.is_empty() { None } else { Some(Globs::new(&request.names, request.ignore_case)?) },
        hidden: request.hidden,
        limit: request.limit as usize,
        deadline: Instant::now() + Duration::from_millis(request.timeout_ms),
        matches: Vec::new(),
        bytes: 0,
        files: 0,
        stopped: None,
    };
    if found.is_dir() {
        names_in(path).map_err(failed(path))?; // that it cannot be read is an answer of its own
        hunt.directory(path, Path::new(""), found.dev(), 0);
    } else {
        let name = path.file_name().map(Path::new).unwrap_or(path);
        hunt.entry(path, name, &found, 0);
    }
    reply.json(&json!({
        "matches": hunt.matches,
        "filesSearched": hunt.files,
        "truncated": hunt.stopped.is_some(),
        "stoppedBy": hunt.stopped,
    }))
}

struct Hunt {
    pattern: Option<Regex>,
    names: Option<Globs>,
    hidden: bool,
    limit: usize,
    deadline: Instant,
    matches: Vec<Match>,
    bytes: usize,
    files: u64,
    stopped: Option<&'static str>,
}

impl Hunt {
    fn directory(&mut self, path: &Path, below: &Path, device: u64, depth: usize) {
        // what cannot be read is passed over
        for name in names_in(path).unwrap_or_default() {
            if !self.hidden && name.as_os_str().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let full = path.join(&name);
            let Ok(found) = fs::symlink_metadata(&full) else { continue };
            if found.is_dir() && found.dev() != device && is_made_up(&full) {
                continue;
            }
            self.entry(&full, &below.join(&name), &found, depth);
            if !self.goes_on() {
                return;
            }
        }
    }

    fn entry(&mut self, path: &Path, shown: &Path, found: &fs::Metadata, depth: usize) {
        let meant = self.names.as_ref().is_none_or(|names| names.is_match(shown));
        if meant && self.pattern.is_none() {
            self.add(shown, kind_of(found), None);
        } else if meant && found.is_file() {
            self.files += 1;
            let _ = self.content(path, shown); // what cannot be read is passed over
        }
        if found.is_dir() && depth < MOST_DEPTH && self.goes_on() {
            self.directory(path, shown, found.dev(), depth + 1);
        }
    }

    fn content(&mut self, path: &Path, shown: &Path) -> io::Result<()> {
        let file = File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(path)?;
        let mut reader = BufReader::with_capacity(LINE_BYTES, file);
        let probe = reader.fill_buf()?;
        if probe[..probe.len().min(PROBE_BYTES)].contains(&0) {
            return Ok(());
        }
        let mut line = Vec::new();
        let mut number = 0;
        while self.goes_on() {
            line.clear();
            if (&mut reader).take(LINE_BYTES as u64).read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            number += 1;
            if line.last() == Some(&b'\n') {
                line.pop();
            } else {
                reader.skip_until(b'\n')?;
            }
            if let Some(at) = self.pattern.as_ref().and_then(|pattern| pattern.find(&line)) {
                let text = excerpt(&line, at.start());
                self.add(shown, "file", Some((number, text)));
            }
        }
        Ok(())
    }

    fn add(&mut self, shown: &Path, kind: &'static str, line: Option<(u64, String)>) {
        if self.matches.len() == self.limit {
            self.stopped = Some("limit");
            return;
        }
        let path = shown.to_string_lossy().into_owned();
        self.bytes += path.len() + line.as_ref().map_or(0, |(_, text)| text.len());
        let (line, text) = line.unzip();
        self.matches.push(Match { path, kind, line, text });
        if self.bytes > ANSWER_BYTES {
            self.stopped = Some("limit");
        }
    }

    fn goes_on(&mut self) -> bool {
        if self.stopped.is_none() && Instant::now() > self.deadline {
            self.stopped = Some("time");
        }
        self.stopped.is_none()
    }
}

fn pattern(text: &str, ignore_case: bool) -> Result<Regex, Failure> {
    let built = RegexBuilder::new(text).case_insensitive(ignore_case).size_limit(REGEX_BYTES).build();
    built.map_err(|why| Failure::bad_request(&format!("pattern: {why}")))
}

struct Globs {
    patterns: Vec<String>,
    ignore_case: bool,
}

impl Globs {
    /// A glob without a slash is of the name alone, wherever it is.
    fn new(texts: &[String], ignore_case: bool) -> Result<Self, Failure> {
        let mut patterns = Vec::with_capacity(texts.len());
        for text in texts {
            if let Some(unclosed) = unclosed(text) {
                return Err(Failure::bad_request(&format!("names: {text}: {unclosed} is not closed")));
            }
            let whole = if text.contains('/') { text.clone() } else { format!("**/{text}") };
            patterns.push(if ignore_case { whole.to_lowercase() } else { whole });
        }
        Ok(Self { patterns, ignore_case })
    }

    fn is_match(&self, path: &Path) -> bool {
        if self.ignore_case {
            let path = path.to_string_lossy().to_lowercase();
            return self.patterns.iter().any(|pattern| glob_match(pattern, &path));
        }
        self.patterns.iter().any(|pattern| glob_match(pattern, path.as_os_str().as_encoded_bytes()))
    }
}

/// The matcher takes a glob that does not end for one that matches nothing; whoever asks is to hear of it.
fn unclosed(glob: &str) -> Option<char> {
    let mut open = Vec::new();
    let mut characters = glob.chars();
    while let Some(character) = characters.next() {
        let in_class = open.last() == Some(&'[');
        match character {
            '\\' if characters.next().is_none() => return Some('\\'),
            '[' if !in_class => open.push('['),
            ']' if in_class => drop(open.pop()),
            '{' if !in_class => open.push('{'),
            '}' if open.last() == Some(&'{') => drop(open.pop()),
            _ => {}
        }
    }
    open.pop()
}

/// The part of a line around its match.
fn excerpt(line: &[u8], at: usize) -> String {
    let line = String::from_utf8_lossy(&line[at.saturating_sub(SHOWN_CHARACTERS / 2)..]).into_owned();
    line.trim_end_matches('\r').chars().take(SHOWN_CHARACTERS).collect()
}

/// Whether a directory is the top of a file system that has no files of its own: /proc and its like.
fn is_made_up(path: &Path) -> bool {
    const PROC: FsWord = 0x9fa0;
    const SYSFS: FsWord = 0x6265_6572;
    const CGROUP2: FsWord = 0x6367_7270;
    rustix::fs::statfs(path).is_ok_and(|found| [PROC, SYSFS, CGROUP2].contains(&found.f_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(glob: &str, ignore_case: bool, path: &str) -> bool {
        Globs::new(&[glob.to_owned()], ignore_case).ok().unwrap().is_match(Path::new(path))
    }

    #[test]
    fn a_glob_without_a_slash_is_of_the_name_and_one_with_it_of_the_path() {
        for (glob, path, meant) in [
            ("*.rs", "main.rs", true),
            ("*.rs", "a/b/main.rs", true),
            ("*.rs", "a/main.rss", false),
            ("main.?s", "a/main.rs", true),
            ("a/*.rs", "a/main.rs", true),
            ("a/*.rs", "a/b/main.rs", false),
            ("a/**/*.rs", "a/main.rs", true),
            ("a/**/*.rs", "a/b/c/main.rs", true),
            ("*.{rs,ts}", "a/main.ts", true),
            ("*.{rs,ts}", "a/main.js", false),
            ("[a-m]*.rs", "main.rs", true),
            ("[!a-m]*.rs", "main.rs", false),
            ("\\*.rs", "*.rs", true),
            ("\\*.rs", "a.rs", false),
            (".*", ".hidden", true),
            ("*.RS", "main.rs", false),
        ] {
            assert_eq!(matches(glob, false, path), meant, "{glob} of {path}");
        }
        assert!(matches("*.RS", true, "a/Main.rs"));
        assert!(matches("\u{c4}*", true, "\u{e4}b"));
    }

    #[test]
    fn a_glob_that_does_not_end_is_refused() {
        for glob in ["[a", "{a,b", "a\\", "{a,[b}"] {
            assert!(Globs::new(&[glob.to_owned()], false).is_err(), "{glob}");
        }
    }

    #[test]
    fn alternatives_upon_alternatives_do_not_take_for_ever() {
        let glob = format!("{}b", "{a,a}".repeat(40));
        assert!(!matches(&glob, false, &"a".repeat(60)));
    }
}
