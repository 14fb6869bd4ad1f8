//! A file that appears whole or not at all: written under a name of its own beside its place, then renamed.

use std::fs::{self, File, TryLockError};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

const MOST_TRIES: u32 = 100;
/// For another writer of the same draft to end; one whose line has broken does at once, or when it has synced.
const OTHER_WRITER_BOUND: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

pub struct Draft {
    pub file: File,
    path: PathBuf,
    kept: bool,
}

impl Draft {
    /// Nobody else may read it before it has its own mode.
    pub fn create(directory: &Path) -> io::Result<Self> {
        for number in 0..MOST_TRIES {
            let path = directory.join(temporary_name(number));
            match File::options().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => return Ok(Draft { file, path, kept: false }),
                Err(why) if why.kind() == io::ErrorKind::AlreadyExists => {}
                Err(why) => return Err(why),
            }
        }
        Err(io::Error::from_raw_os_error(libc::EEXIST))
    }

    /// One that its writer has named and that stays when he breaks off; what it holds beyond `offset` is dropped. It
    /// has one writer at a time, which may be one that broke off a moment ago.
    pub fn resume(directory: &Path, name: &str, offset: u64) -> io::Result<Self> {
        let path = directory.join(format!(".workfort-draft-{name}"));
        let mut file = Self::alone(&path, offset == 0)?;
        let found = file.metadata()?;
        // SAFETY: it cannot fail
        let own = found.is_file() && found.nlink() == 1 && found.uid() == unsafe { libc::geteuid() };
        if !own {
            return Err(io::Error::from_raw_os_error(libc::EEXIST));
        }
        if offset > found.len() {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        file.set_len(offset)?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(Draft { file, path, kept: true })
    }

    /// The file at this path, locked; made where `create`, else it is as if it held nothing.
    fn alone(path: &Path, create: bool) -> io::Result<File> {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let mut options = File::options();
        options.write(true).create(create).truncate(false).mode(0o600).custom_flags(flags);
        let begun = Instant::now();
        while begun.elapsed() < OTHER_WRITER_BOUND {
            let file = options.open(path).map_err(|why| match why.raw_os_error() {
                Some(libc::ENOENT) if !create => io::Error::from_raw_os_error(libc::EINVAL),
                _ => why,
            })?;
            match file.try_lock() {
                // the other one may have put it in its place
                Ok(()) if is_at(&file, path)? => return Ok(file),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => thread::sleep(LOOK_AGAIN),
                Err(TryLockError::Error(why)) => return Err(why),
            }
        }
        Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            "another copy is still writing it; try again when that has ended",
        ))
    }

    /// Makes it durable and puts it in its place.
    pub fn finish(mut self, place: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
        self.file.sync_all()?;
        place(&self.path)?;
        self.kept = true;
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        File::open(directory).and_then(|opened| opened.sync_all()).or(Ok(())) // not every directory may be read
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (ours.dev(), ours.ino())),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(why) => Err(why),
    }
}

/// A name that no other worker uses.
pub fn temporary_name(number: u32) -> String {
    format!(".workfort-{}-{number}", std::process::id())
}
