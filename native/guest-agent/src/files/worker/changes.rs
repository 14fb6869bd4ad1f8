//! Moving, deleting, making directories.

use std::fs::{self, DirBuilder, File, FileTimes, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::json;

use super::super::order::{Mkdir, parse_mode};
use super::content::{copy, set_owner};
use super::draft::Draft;
use super::reply::Reply;
use super::{Done, failed};
use crate::http::Failure;

/// Renames; a file is copied where the two places are on different file systems.
pub fn move_to(from: &Path, to: &Path, overwrite: bool, reply: &mut Reply) -> Done {
    let what = format!("{} to {}", from.display(), to.display());
    match rename(from, to, overwrite) {
        Err(why) if why.raw_os_error() == Some(libc::EXDEV) => move_by_copy(from, to, overwrite, &what)?,
        moved => moved.map_err(|why| Failure::of_file(&what, &why))?,
    }
    reply.json(&json!({}))
}

fn rename(from: &Path, to: &Path, overwrite: bool) -> io::Result<()> {
    let flags = if overwrite { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
    renameat_with(CWD, from, CWD, to, flags).map_err(io::Error::from)
}

fn move_by_copy(from: &Path, to: &Path, overwrite: bool, what: &str) -> Done {
    let refuse = |why| Failure::of_file(what, &why);
    let found = fs::symlink_metadata(from).map_err(refuse)?;
    if !found.is_file() {
        let what = format!("{what}: the places are on different file systems, and it is no regular file");
        return Err(Failure::of_file(&what, &io::Error::from_raw_os_error(libc::EXDEV)));
    }
    let moved = (|| {
        let mut source = File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(from)?;
        let mut draft = Draft::create(to.parent().unwrap_or(Path::new("/")))?;
        copy(&mut source, &mut draft.file)?;
        set_owner(&draft.file, found.uid(), found.gid())?;
        draft.file.set_permissions(Permissions::from_mode(found.mode() & 0o7777))?;
        draft.file.set_times(FileTimes::new().set_modified(found.modified()?))?;
        draft.finish(|written| rename(written, to, overwrite))?;
        fs::remove_file(from)
    })();
    moved.map_err(refuse)
}

/// Removes a file, a link (not what it leads to), or a directory: an empty one, or with all that is in it.
pub fn delete(path: &Path, recursive: bool, reply: &mut Reply) -> Done {
    if path.parent().is_none() {
        return Err(Failure::bad_request("path: the root is not deleted"));
    }
    let found = fs::symlink_metadata(path).map_err(failed(path))?;
    let deleted = match (found.is_dir(), recursive) {
        (true, true) => fs::remove_dir_all(path), // goes from descriptor to descriptor and follows no link
        (true, false) => fs::remove_dir(path),
        _ => fs::remove_file(path),
    };
    deleted.map_err(failed(path))?;
    reply.json(&json!({}))
}

pub fn mkdir(path: &Path, request: &Mkdir, reply: &mut Reply) -> Done {
    let mode = parse_mode(&request.mode)?;
    if request.parents
        && let Some(directory) = path.parent()
    {
        DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(failed(directory))?;
    }
    let made = DirBuilder::new().mode(mode).create(path);
    let created = match made {
        Err(why) if why.kind() == io::ErrorKind::AlreadyExists && request.parents && path.is_dir() => false,
        made => made.map(|()| true).map_err(failed(path))?,
    };
    reply.json(&json!({ "created": created }))
}
