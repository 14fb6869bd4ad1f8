//! A tar, unpacked below a directory. Whatever it says, nothing is written outside: parents are found by `beneath`, and
//! what is in an entry's place is replaced, never written through. Pipes, sockets and devices are left out.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::{self, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, chownat, fchmod, fchown, futimens, linkat,
    mkdirat, openat, renameat, symlinkat, unlinkat, utimensat,
};
use serde::Serialize;
use tar::{Archive, Entry, EntryType};

use super::beneath::{Beneath, Spot, clean};
use super::body::Body;
use super::content::copy;
use super::draft::temporary_name;
use super::reply::Reply;
use super::{Done, failed};
use crate::http::Failure;

const READ_BYTES: usize = 256 * 1024;
/// directories whose modes and times are set at the end
const MOST_DIRECTORIES: usize = 1_000_000;
const MOST_TOLD: usize = 100;

type Item<'a> = Entry<'a, BufReader<Body>>;

pub fn unpack(path: &Path, owners: bool, body: Body, reply: &mut Reply) -> Done {
    if owners && !rustix::process::geteuid().is_root() {
        return Err(Failure::bad_request("owners: only root may keep them"));
    }
    match DirBuilder::new().mode(0o755).create(path) {
        Err(why) if why.kind() != io::ErrorKind::AlreadyExists => return Err(failed(path)(why)),
        _ => {}
    }
    let root = fs::canonicalize(path).and_then(File::open).map_err(failed(path))?;
    if !root.metadata().map_err(failed(path))?.is_dir() {
        return Err(failed(path)(io::Error::from_raw_os_error(libc::ENOTDIR)));
    }
    let mut unpacker =
        Unpacker { beneath: Beneath::new(root), owners, directories: Vec::new(), done: Summary::default() };
    let mut archive = Archive::new(BufReader::with_capacity(READ_BYTES, body));
    for entry in archive.entries().map_err(unreadable)? {
        unpacker.take(entry.map_err(unreadable)?)?;
    }
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(unreadable)?; // it has to have its end
    unpacker.finish_directories()?;
    reply.json(&unpacker.done)
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    files: u64,
    directories: u64,
    links: u64,
    bytes: u64,
    /// what was left out, and why; the first hundred
    left_out: Vec<String>,
}

struct Unpacker {
    beneath: Beneath,
    owners: bool,
    directories: Vec<(PathBuf, Attributes)>,
    done: Summary,
}

#[derive(Clone, Copy)]
struct Attributes {
    mode: u32,
    owner: Option<(u32, u32)>,
    modified: i64,
}

impl Unpacker {
    fn take(&mut self, mut entry: Item<'_>) -> Done {
        let name = entry.path_bytes().into_owned();
        let path = clean(&name).ok_or_else(|| outside(&name))?;
        let attributes = self.attributes(&entry)?;
        let done = match entry.header().entry_type() {
            EntryType::Directory => self.directory(&path, attributes),
            _ if path.as_os_str().is_empty() => return Err(outside(&name)),
            // an old archive's directory is a file whose name ends with a slash
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse if name.ends_with(b"/") => {
                self.directory(&path, attributes)
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                return self.file(&path, attributes, &mut entry);
            }
            EntryType::Symlink => self.symlink(&path, attributes, &link_name(&entry)?),
            EntryType::Link => {
                let target = link_name(&entry)?;
                let target = clean(&target).filter(|it| !it.as_os_str().is_empty()).ok_or_else(|| outside(&target))?;
                self.hard_link(&path, &target)
            }
            EntryType::XGlobalHeader => Ok(()),
            _ => {
                self.leave_out(&path);
                Ok(())
            }
        };
        done.map_err(|why| refused(&path, &why))
    }

    fn attributes(&self, entry: &Item<'_>) -> Result<Attributes, Failure> {
        let header = entry.header();
        let id = |id: io::Result<u64>| id.ok().and_then(|id| u32::try_from(id).ok());
        let owner = id(header.uid()).zip(id(header.gid()));
        Ok(Attributes {
            mode: header.mode().map_err(unreadable)? & 0o7777,
            owner: if self.owners { owner } else { None },
            modified: header.mtime().ok().and_then(|time| i64::try_from(time).ok()).unwrap_or(0),
        })
    }

    fn directory(&mut self, path: &Path, attributes: Attributes) -> io::Result<()> {
        if !path.as_os_str().is_empty() {
            let spot = self.beneath.spot(path)?;
            match mkdirat(spot.directory, spot.name.as_os_str(), Mode::RWXU) {
                Ok(()) => {}
                Err(rustix::io::Errno::EXIST) => drop(self.beneath.open(path)?),
                Err(why) => return Err(why.into()),
            }
            self.done.directories += 1;
        }
        if self.directories.len() < MOST_DIRECTORIES {
            self.directories.push((path.to_path_buf(), attributes));
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, attributes: Attributes, entry: &mut Item<'_>) -> Done {
        let spot = self.beneath.spot(path).map_err(|why| refused(path, &why))?;
        let new = |directory: &OwnedFd, name: &str| {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            Ok(openat(directory, name, flags, Mode::RUSR | Mode::WUSR)?)
        };
        let size = place(&spot, new, |opened| {
            let mut file = File::from(opened);
            let size = copy(&mut Content(entry), &mut file)?;
            if size != entry.size() {
                return Err(io::Error::other("it ends inside a file"));
            }
            attributes.apply(&file)?;
            Ok(size)
        })
        .map_err(|why| refused(path, &why))?;
        self.done.files += 1;
        self.done.bytes += size;
        Ok(())
    }

    fn symlink(&mut self, path: &Path, attributes: Attributes, target: &[u8]) -> io::Result<()> {
        let spot = self.beneath.spot(path)?;
        let new = |directory: &OwnedFd, name: &str| Ok(symlinkat(OsStr::from_bytes(target), directory, name)?);
        place(&spot, new, |()| Ok(0))?;
        if let Some((uid, gid)) = attributes.owner {
            let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            chownat(spot.directory, &*spot.name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        utimensat(spot.directory, &*spot.name, &attributes.times(), AtFlags::SYMLINK_NOFOLLOW)?;
        self.done.links += 1;
        Ok(())
    }

    /// Another name for what is at `target`; a link there is not followed.
    fn hard_link(&mut self, path: &Path, target: &Path) -> io::Result<()> {
        let above = self.beneath.open(target.parent().unwrap_or(Path::new("")))?;
        let target = target.file_name().unwrap_or_default();
        let spot = self.beneath.spot(path)?;
        let new = |directory: &OwnedFd, name: &str| Ok(linkat(&above, target, directory, name, AtFlags::empty())?);
        place(&spot, new, |()| Ok(0))?;
        self.done.links += 1;
        Ok(())
    }

    fn leave_out(&mut self, path: &Path) {
        if self.done.left_out.len() < MOST_TOLD {
            self.done.left_out.push(format!("{}: a pipe, a device or something unknown", path.display()));
        }
    }

    /// The innermost first: what is written into a directory changes its time, and one may be closed to its own user.
    fn finish_directories(&mut self) -> Done {
        for (path, attributes) in self.directories.iter().rev() {
            let set = self.beneath.open(path).map(File::from).and_then(|opened| attributes.apply(&opened));
            set.map_err(|why| refused(path, &why))?;
        }
        Ok(())
    }
}

impl Attributes {
    fn apply(&self, file: &File) -> io::Result<()> {
        if let Some((uid, gid)) = self.owner {
            fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?; // takes setuid away, so before the mode
        }
        fchmod(file, Mode::from_raw_mode(self.mode))?;
        Ok(futimens(file, &self.times())?)
    }

    fn times(&self) -> Timestamps {
        Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: self.modified, tv_nsec: 0 },
        }
    }
}

/// Makes something under a name of its own, fills it, and puts it in its place.
fn place<T>(
    spot: &Spot<'_>,
    make: impl Fn(&OwnedFd, &str) -> io::Result<T>,
    fill: impl FnOnce(T) -> io::Result<u64>,
) -> io::Result<u64> {
    let mut number = 0;
    let (name, made) = loop {
        let name = temporary_name(number);
        match make(spot.directory, &name) {
            Err(why) if why.kind() == io::ErrorKind::AlreadyExists && number < 100 => number += 1,
            made => break (name, made?),
        }
    };
    let placed = fill(made).and_then(|size| {
        renameat(spot.directory, &name, spot.directory, &*spot.name)?;
        Ok(size)
    });
    // a rename to another name of the same file leaves both
    let _ = unlinkat(spot.directory, &name, AtFlags::empty());
    placed
}

/// An entry's content; what cannot be read of it is the archive's fault, not the disk's.
struct Content<'a, 'b>(&'a mut Item<'b>);

impl Read for Content<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why.to_string()))
    }
}

fn link_name(entry: &Item<'_>) -> Result<Vec<u8>, Failure> {
    let target = entry.link_name_bytes().map(|target| target.into_owned()).filter(|target| !target.is_empty());
    target.ok_or_else(|| Failure::bad_archive("a link without a target"))
}

fn outside(name: &[u8]) -> Failure {
    let name = String::from_utf8_lossy(name).into_owned();
    Failure::bad_archive(&format!("{name:?} is no path below the directory that is unpacked into"))
}

fn refused(path: &Path, why: &io::Error) -> Failure {
    match why.raw_os_error() {
        // what `beneath` says to a way that leads through a link
        Some(libc::ELOOP | libc::EXDEV) => {
            Failure::bad_archive(&format!("{}: it or its directory would be reached by a link", path.display()))
        }
        Some(_) => failed(path)(io::Error::from_raw_os_error(why.raw_os_error().unwrap_or_default())),
        None => unreadable(io::Error::other(why.to_string())),
    }
}

fn unreadable(why: io::Error) -> Failure {
    Failure::bad_archive(&format!("the archive cannot be read: {why}"))
}
