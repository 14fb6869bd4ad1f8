//! Watching a directory: a line of JSON for each change, by inotify.

use std::collections::HashMap;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use serde_json::json;

use super::entries::names_in;
use super::reply::{Reply, gone};
use super::{Done, failed};

/// of directories, in one watch
const MOST_DIRECTORIES: usize = 8192;
const READ_BYTES: usize = 64 * 1024;

const CHANGES: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

pub fn watch(path: &Path, recursive: bool, reply: &mut Reply) -> Done {
    let instance = inotify::init(CreateFlags::CLOEXEC).map_err(|why| failed(path)(why.into()))?;
    let mut watch = Watch { root: path, recursive, instance, below: HashMap::new(), lines: Vec::new() };
    watch.add(Path::new("")).map_err(failed(path))?;
    watch.tell("watching", Path::new(""), true);
    watch.add_below(Path::new(""), false);
    let out = reply.begin("application/x-ndjson", &[])?;
    watch.run(&mut BufWriter::new(out)).map_err(gone)
}

struct Watch<'a> {
    root: &'a Path,
    recursive: bool,
    instance: OwnedFd,
    /// which directory below the root a watch is of
    below: HashMap<i32, PathBuf>,
    /// what is to be told
    lines: Vec<u8>,
}

impl Watch<'_> {
    /// Tells until the directory itself has gone.
    fn run(&mut self, out: &mut impl Write) -> io::Result<()> {
        let mut buffer = vec![MaybeUninit::uninit(); READ_BYTES];
        let instance = self.instance.try_clone()?;
        let mut reader = Reader::new(&instance, &mut buffer);
        loop {
            out.write_all(&std::mem::take(&mut self.lines))?;
            out.flush()?;
            loop {
                let event = reader.next()?;
                let name = event.file_name().map(|name| PathBuf::from(std::ffi::OsStr::from_bytes(name.to_bytes())));
                if !self.take(event.wd(), event.events(), name) {
                    out.write_all(&self.lines)?;
                    return out.flush();
                }
                if reader.is_buffer_empty() {
                    break;
                }
            }
        }
    }

    /// False when there is nothing left to watch.
    fn take(&mut self, watched: i32, what: ReadFlags, name: Option<PathBuf>) -> bool {
        if what.contains(ReadFlags::QUEUE_OVERFLOW) {
            self.tell("overflow", Path::new(""), true);
            return true;
        }
        let Some(directory) = self.below.get(&watched).cloned() else { return true };
        if what.intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF) && directory.as_os_str().is_empty() {
            self.tell("gone", Path::new(""), true);
            return false;
        }
        if what.contains(ReadFlags::IGNORED) {
            self.below.remove(&watched);
        }
        let (Some(name), Some(event)) = (name, event_name(what)) else { return true };
        let path = directory.join(name);
        let is_directory = what.contains(ReadFlags::ISDIR);
        self.tell(event, &path, is_directory);
        if is_directory && self.recursive {
            match event {
                "created" | "movedTo" => {
                    let _ = self.add(&path); // it may have gone again
                    self.add_below(&path, true);
                }
                "movedFrom" => self.forget(&path),
                _ => {}
            }
        }
        true
    }

    fn add(&mut self, below: &Path) -> io::Result<()> {
        if self.below.len() >= MOST_DIRECTORIES {
            self.tell("unwatched", below, true);
            return Ok(());
        }
        let watched = inotify::add_watch(&self.instance, self.root.join(below), CHANGES)?;
        self.below.insert(watched, below.to_path_buf());
        Ok(())
    }

    /// Watches the directories in this one; what a new one has in it already is told as created.
    fn add_below(&mut self, below: &Path, new: bool) {
        if !self.recursive {
            return;
        }
        for name in names_in(&self.root.join(below)).unwrap_or_default() {
            let path = below.join(name);
            let is_directory = fs::symlink_metadata(self.root.join(&path)).is_ok_and(|found| found.is_dir());
            if new {
                self.tell("created", &path, is_directory);
            }
            if is_directory && self.below.len() < MOST_DIRECTORIES && self.add(&path).is_ok() {
                self.add_below(&path, new);
            } else if is_directory {
                self.tell("unwatched", &path, true);
            }
        }
    }

    /// A directory that was moved away is no longer below.
    fn forget(&mut self, path: &Path) {
        let gone: Vec<i32> =
            self.below.iter().filter(|(_, below)| below.starts_with(path)).map(|(watched, _)| *watched).collect();
        for watched in gone {
            let _ = inotify::remove_watch(&self.instance, watched);
            self.below.remove(&watched);
        }
    }

    fn tell(&mut self, event: &str, path: &Path, is_directory: bool) {
        let line = json!({ "event": event, "path": path.to_string_lossy(), "isDirectory": is_directory });
        self.lines.extend(line.to_string().into_bytes());
        self.lines.push(b'\n');
    }
}

fn event_name(what: ReadFlags) -> Option<&'static str> {
    let names = [
        (ReadFlags::CREATE, "created"),
        (ReadFlags::MOVED_FROM, "movedFrom"),
        (ReadFlags::MOVED_TO, "movedTo"),
        (ReadFlags::DELETE, "deleted"),
        (ReadFlags::CLOSE_WRITE, "written"),
        (ReadFlags::MODIFY, "modified"),
        (ReadFlags::ATTRIB, "attributes"),
    ];
    names.into_iter().find(|(flag, _)| what.contains(*flag)).map(|(_, name)| name)
}
