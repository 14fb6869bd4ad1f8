//! A directory that nothing leads out of: every way below it is resolved by the kernel without links and without `..`.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, mkdirat, openat2};

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const STRICTLY: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);
const DIRECTORY_MODE: u32 = 0o755;

pub struct Beneath {
    root: OwnedFd,
    /// the parent that was asked for last: entries of a directory come together
    latest: Option<(PathBuf, OwnedFd)>,
}

/// where an entry goes: its directory, and its name there
pub struct Spot<'a> {
    pub directory: &'a OwnedFd,
    pub name: OsString,
}

impl Beneath {
    pub fn new(directory: File) -> Self {
        Beneath { root: directory.into(), latest: None }
    }

    /// The directory of a clean path, made where it is missing, and the name in it.
    pub fn spot(&mut self, path: &Path) -> io::Result<Spot<'_>> {
        let parent = path.parent().unwrap_or(Path::new(""));
        let name = path.file_name().unwrap_or(OsStr::new(".")).to_owned();
        if parent.as_os_str().is_empty() {
            return Ok(Spot { directory: &self.root, name });
        }
        if self.latest.as_ref().is_none_or(|(latest, _)| latest != parent) {
            let opened = self.open_or_make(parent)?;
            self.latest = Some((parent.to_path_buf(), opened));
        }
        let directory = self.latest.as_ref().map_or(&self.root, |(_, opened)| opened);
        Ok(Spot { directory, name })
    }

    /// Opens a directory below.
    pub fn open(&self, path: &Path) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        openat2(&self.root, path, DIRECTORY, Mode::empty(), STRICTLY).map_err(io::Error::from)
    }

    fn open_or_make(&self, path: &Path) -> io::Result<OwnedFd> {
        match self.open(path) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        let mut below = PathBuf::new();
        for part in path.components() {
            let above = self.open(&below)?;
            below.push(part);
            match mkdirat(&above, part.as_os_str(), Mode::from_raw_mode(DIRECTORY_MODE)) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(why) => return Err(why.into()),
            }
        }
        self.open(path)
    }
}

/// A path of an archive without `.` and doubled slashes; none where it is absolute or climbs.
pub fn clean(name: &[u8]) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for part in Path::new(OsStr::from_bytes(name)).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::RootDir | Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleans_and_refuses() {
        assert_eq!(clean(b"./a//b/./c/").unwrap(), Path::new("a/b/c"));
        assert_eq!(clean(b"./").unwrap(), Path::new(""));
        for bad in [&b"/a"[..], b"..", b"a/../b", b"../a", b"a/..", b"//"] {
            assert!(clean(bad).is_none(), "{bad:?}");
        }
    }
}
