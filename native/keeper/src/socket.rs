//! The listening socket and its place in the file system.

use std::fs::symlink_metadata;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::sys;

pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    /// device and inode of the socket's file; while the socket is bound nobody else can get the same
    file: Option<(u64, u64)>,
}

impl Socket {
    /// Listens with mode 0600 from the first moment.
    pub fn bind(path: &Path) -> Result<Self, Failure> {
        let before = sys::set_umask(0o177);
        let bound = UnixListener::bind(path);
        sys::set_umask(before);
        let listener = bound.map_err(|why| Failure::new(path.display(), why))?;
        let socket = Socket { listener, path: path.to_path_buf(), file: file_at(path) };
        if let Err(why) = socket.listener.set_nonblocking(true) {
            socket.remove();
            return Err(Failure::new(path.display(), why));
        }
        Ok(socket)
    }

    /// The next caller, who never blocks the loop.
    pub fn accept(&self) -> io::Result<UnixStream> {
        let (stream, _) = self.listener.accept()?;
        stream.set_nonblocking(true)?;
        Ok(stream)
    }

    /// Removes the socket's file, unless somebody else's is there by now.
    pub fn remove(&self) {
        if self.file.is_some() && file_at(&self.path) == self.file {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.listener.as_raw_fd()
    }
}

fn file_at(path: &Path) -> Option<(u64, u64)> {
    symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
}
