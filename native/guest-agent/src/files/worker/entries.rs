//! What is there: one entry, or those of a directory.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;

use super::content::mode_text;
use super::reply::Reply;
use super::{Done, failed};
use crate::http::Failure;

/// of one directory; its names are held to sort them
const MOST_NAMES: usize = 1_000_000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    /// as asked, or below the directory that is listed
    path: String,
    #[serde(rename = "type")]
    kind: &'static str,
    size_bytes: u64,
    mode: String,
    uid: u32,
    gid: u32,
    /// Unix ms
    modified_at: i64,
    /// hard links
    links: u64,
    /// of a symbolic link
    target: Option<String>,
}

impl Entry {
    fn new(shown: &Path, path: &Path, found: &Metadata) -> Self {
        Entry {
            path: shown.to_string_lossy().into_owned(),
            kind: kind_of(found),
            size_bytes: found.len(),
            mode: mode_text(found),
            uid: found.uid(),
            gid: found.gid(),
            modified_at: modified_ms(found),
            links: found.nlink(),
            target: fs::read_link(path).ok().map(|target| target.to_string_lossy().into_owned()),
        }
    }
}

pub fn kind_of(found: &Metadata) -> &'static str {
    let kind = found.file_type();
    if kind.is_file() {
        "file"
    } else if kind.is_dir() {
        "directory"
    } else if kind.is_symlink() {
        "link"
    } else if kind.is_fifo() {
        "fifo"
    } else if kind.is_socket() {
        "socket"
    } else {
        "device"
    }
}

pub fn modified_ms(found: &Metadata) -> i64 {
    found.mtime().saturating_mul(1000).saturating_add(found.mtime_nsec() / 1_000_000)
}

/// Of the entry itself, not of what it links to.
pub fn stat(path: &Path, reply: &mut Reply) -> Done {
    let found = fs::symlink_metadata(path).map_err(failed(path))?;
    reply.json(&Entry::new(path, path, &found))
}

/// A directory's entries after `after`, `depth` levels of them, in the order of their paths.
pub fn list(path: &Path, depth: usize, limit: usize, after: Option<&str>, reply: &mut Reply) -> Done {
    let mut listing = Listing { root: path, depth, limit, after: after.map(Path::new), entries: Vec::new() };
    let truncated = !listing.take(Path::new(""))?;
    reply.json(&json!({ "entries": listing.entries, "truncated": truncated }))
}

struct Listing<'a> {
    root: &'a Path,
    depth: usize,
    limit: usize,
    after: Option<&'a Path>,
    entries: Vec<Entry>,
}

impl Listing<'_> {
    /// Takes what is in a directory below the root; false when there is no more room.
    fn take(&mut self, below: &Path) -> Result<bool, Failure> {
        let directory = self.root.join(below);
        let level = below.components().count() + 1;
        let names = match names_in(&directory) {
            Ok(names) => names,
            Err(why) if level > 1 && is_passing(&why) => return Ok(true), // the entry itself has been listed
            Err(why) => return Err(failed(&directory)(why)),
        };
        for name in names {
            let shown = below.join(name);
            let path = self.root.join(&shown);
            let Ok(found) = fs::symlink_metadata(&path) else { continue }; // it has gone since
            if self.after.is_none_or(|after| shown.as_path() > after) {
                if self.entries.len() == self.limit {
                    return Ok(false);
                }
                self.entries.push(Entry::new(&shown, &path, &found));
            }
            if found.is_dir() && level < self.depth && self.may_follow(&shown) && !self.take(&shown)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether anything in this directory may come after `after`.
    fn may_follow(&self, shown: &Path) -> bool {
        self.after.is_none_or(|after| shown > after || after.starts_with(shown))
    }
}

/// Gone, or closed to this user.
fn is_passing(why: &io::Error) -> bool {
    matches!(why.raw_os_error(), Some(libc::ENOENT | libc::EACCES | libc::ENOTDIR))
}

/// The names in a directory, sorted.
pub fn names_in(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        if names.len() == MOST_NAMES {
            return Err(io::Error::from_raw_os_error(libc::EFBIG));
        }
        names.push(PathBuf::from(entry?.file_name()));
    }
    names.sort_unstable();
    Ok(names)
}
