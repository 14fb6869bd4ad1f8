//! A directory, or one file, as a tar. From descriptor to descriptor: who renames directories meanwhile leads it
//! nowhere else. What this user may not read is left out, and the archive says so.

use std::collections::HashMap;
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, open, openat, readlinkat, statat};
use tar::EntryType;

use super::reply::{Reply, gone};
use super::tar_out::TarOut;
use super::{Done, failed};
use crate::http::Failure;

/// each costs a descriptor
const MOST_DEPTH: usize = 1024;
/// hard links beyond so many files become files of their own
const MOST_LINKED: usize = 1_000_000;

const QUIET: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

pub fn pack(path: &Path, reply: &mut Reply) -> Done {
    let refuse = |why: rustix::io::Errno| failed(path)(why.into());
    let kind = FileType::from_raw_mode(rustix::fs::stat(path).map_err(refuse)?.st_mode);
    if !matches!(kind, FileType::Directory | FileType::RegularFile) {
        return Err(Failure::not_a_file(&path.display().to_string()));
    }
    let opened = open(path, QUIET, Mode::empty()).map_err(refuse)?;
    let found = fstat(&opened).map_err(refuse)?;
    let out = reply.begin("application/x-tar", &[])?.try_clone().map_err(gone)?;
    let mut packer = Packer { out: TarOut::new(out), linked: HashMap::new() };
    let name = path.file_name().map_or(&b"file"[..], |name| name.as_bytes());
    let packed = match FileType::from_raw_mode(found.st_mode) {
        FileType::Directory => packer.directory(b"./", opened, &found, 0),
        _ => packer.file(name, opened, &found),
    };
    packed.and_then(|()| packer.out.finish()).map_err(gone)
}

struct Packer {
    out: TarOut,
    /// device and inode of files with several names, and the first of these
    linked: HashMap<(u64, u64), Vec<u8>>,
}

impl Packer {
    /// `name` ends with a slash.
    fn directory(&mut self, name: &[u8], opened: OwnedFd, found: &Stat, depth: usize) -> io::Result<()> {
        self.out.entry(name, EntryType::Directory, found, None)?;
        if depth == MOST_DEPTH {
            return self.leave_out(name, "too deep");
        }
        let entries = match Dir::read_from(&opened) {
            Ok(entries) => entries,
            Err(why) => return self.leave_out(name, &io::Error::from(why).to_string()),
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(why) => return self.leave_out(name, &io::Error::from(why).to_string()),
            };
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                self.entry(name, &opened, entry.file_name(), depth)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, above: &[u8], directory: &OwnedFd, name: &CStr, depth: usize) -> io::Result<()> {
        let above = above.strip_prefix(b"./").unwrap_or(above);
        let full = [above, name.to_bytes()].concat();
        let found = match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => found,
            Err(rustix::io::Errno::NOENT) => return Ok(()), // it has gone since
            Err(why) => return self.leave_out(&full, &io::Error::from(why).to_string()),
        };
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Symlink => match readlinkat(directory, name, Vec::new()) {
                Ok(target) => self.out.entry(&full, EntryType::Symlink, &found, Some(target.as_bytes())),
                Err(why) => self.leave_out(&full, &io::Error::from(why).to_string()),
            },
            FileType::Directory | FileType::RegularFile => {
                let opened = openat(directory, name, QUIET | OFlags::NOFOLLOW, Mode::empty());
                match opened.and_then(|opened| fstat(&opened).map(|found| (opened, found))) {
                    Ok((opened, found)) => self.opened(full, opened, &found, depth),
                    Err(why) => self.leave_out(&full, &io::Error::from(why).to_string()),
                }
            }
            _ => self.leave_out(&full, "a pipe, a socket or a device"),
        }
    }

    fn opened(&mut self, mut name: Vec<u8>, opened: OwnedFd, found: &Stat, depth: usize) -> io::Result<()> {
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory => {
                name.push(b'/');
                self.directory(&name, opened, found, depth + 1)
            }
            FileType::RegularFile => self.file(&name, opened, found),
            _ => self.leave_out(&name, "it has changed meanwhile"),
        }
    }

    fn file(&mut self, name: &[u8], opened: OwnedFd, found: &Stat) -> io::Result<()> {
        let key = (found.st_dev, found.st_ino);
        if found.st_nlink > 1 {
            if let Some(first) = self.linked.get(&key) {
                return self.out.entry(name, EntryType::Link, found, Some(first));
            }
            if self.linked.len() < MOST_LINKED {
                self.linked.insert(key, name.to_vec());
            }
        }
        let size = u64::try_from(found.st_size).unwrap_or(0);
        if !self.out.file(name, found, size, &File::from(opened.as_fd().try_clone_to_owned()?))? {
            return self.out.notice(&format!("{}: it became shorter while it was read", shown(name)));
        }
        Ok(())
    }

    fn leave_out(&mut self, name: &[u8], why: &str) -> io::Result<()> {
        self.out.notice(&format!("{} is left out: {why}", shown(name)))
    }
}

fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}
