//! A file that appears whole or not at all: written under a name of its own beside its place, then renamed.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const MOST_TRIES: u32 = 100;

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

    /// One that its writer has named and that stays when he breaks off; what it holds beyond `offset` is dropped.
    pub fn resume(directory: &Path, name: &str, offset: u64) -> io::Result<Self> {
        let path = directory.join(format!(".workfort-draft-{name}"));
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let mut file =
            File::options().write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(&path)?;
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

/// A name that no other worker uses.
pub fn temporary_name(number: u32) -> String {
    format!(".workfort-{}-{number}", std::process::id())
}
