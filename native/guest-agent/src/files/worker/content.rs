//! A file's content, read and written.

use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::body::Body;
use super::draft::Draft;
use super::entries::modified_ms;
use super::reply::{Reply, gone};
use super::{Done, failed};
use crate::files::order::Write;
use crate::http::Failure;

const COPY_BYTES: usize = 256 * 1024;
const MOST_LINKS: usize = 40;
const NEW_FILE_MODE: u32 = 0o644;
const NEW_DIRECTORY_MODE: u32 = 0o755;

/// Sends the bytes from `offset` on, at most `length`.
pub fn read(path: &Path, offset: u64, length: Option<u64>, reply: &mut Reply) -> Done {
    let (mut file, found) = open_file(path)?;
    file.seek(SeekFrom::Start(offset)).map_err(failed(path))?;
    let rest = found.len().saturating_sub(offset);
    let headers = [
        ("workfort-size", found.len().to_string()),
        ("workfort-length", length.unwrap_or(rest).min(rest).to_string()),
        ("workfort-mode", mode_text(&found)),
        ("workfort-modified", modified_ms(&found).to_string()),
    ];
    let out = reply.begin("application/octet-stream", &headers)?;
    // to its end, whatever its size was: files of /proc have none
    copy(&mut file.take(length.unwrap_or(u64::MAX)), out).map(drop).map_err(gone)
}

/// An open regular file; nothing else is waited for or opened in earnest.
fn open_file(path: &Path) -> Result<(File, Metadata), Failure> {
    let kind = fs::metadata(path).map_err(failed(path))?;
    if kind.is_dir() {
        return Err(failed(path)(io::Error::from_raw_os_error(libc::EISDIR)));
    }
    if !kind.is_file() {
        return Err(Failure::not_a_file(&path.display().to_string()));
    }
    let options = File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).clone();
    let file = options.open(path).map_err(failed(path))?;
    let found = file.metadata().map_err(failed(path))?;
    if !found.is_file() {
        return Err(Failure::not_a_file(&path.display().to_string()));
    }
    Ok((file, found))
}

/// Writes the body to where `path` leads. What is there keeps its mode and its owner unless others are given.
pub fn write(path: &Path, about: &Write, mut body: Body, reply: &mut Reply) -> Done {
    if about.parents
        && let Some(directory) = path.parent()
    {
        DirBuilder::new().recursive(true).mode(NEW_DIRECTORY_MODE).create(directory).map_err(failed(directory))?;
    }
    let place = follow(path).map_err(failed(path))?;
    let before = existing(&place)?;
    let directory = place.parent().unwrap_or(Path::new("/"));
    let draft = match &about.draft {
        Some(name) => Draft::resume(directory, name, about.offset),
        None => Draft::create(directory),
    };
    let mut draft = draft.map_err(failed(path))?;
    let size = about.offset + copy(&mut body, &mut draft.file).map_err(|why| broken_off(path, &why))?;
    let kept_owner = before.as_ref().map(|found| (found.uid(), found.gid()));
    if let Some((uid, gid)) = about.owner.or(kept_owner) {
        set_owner(&draft.file, uid, gid)
            .map_err(|why| Failure::of_file(&format!("the owner of {}", path.display()), &why))?;
    }
    let mode = about.mode.or(before.as_ref().map(|found| found.mode() & 0o7777)).unwrap_or(NEW_FILE_MODE);
    draft.file.set_permissions(Permissions::from_mode(mode)).map_err(failed(path))?;
    draft.finish(|written| fs::rename(written, &place)).map_err(failed(path))?;
    reply.json(&json!({ "path": place.to_string_lossy(), "sizeBytes": size, "created": before.is_none() }))
}

/// Follows links at the end of a path, to a file that need not exist.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::from_raw_os_error(libc::EISDIR));
        };
        let place = directory.canonicalize()?.join(name);
        match fs::read_link(&place) {
            Ok(target) => path = place.with_file_name("").join(target),
            Err(why) if matches!(why.raw_os_error(), Some(libc::EINVAL | libc::ENOENT)) => return Ok(place),
            Err(why) => return Err(why),
        }
    }
    Err(io::Error::from_raw_os_error(libc::ELOOP))
}

/// The file that is there; none where there is nothing.
fn existing(place: &Path) -> Result<Option<Metadata>, Failure> {
    match fs::symlink_metadata(place) {
        Ok(found) if found.is_file() => Ok(Some(found)),
        Ok(found) if found.is_dir() => Err(failed(place)(io::Error::from_raw_os_error(libc::EISDIR))),
        Ok(_) => Err(Failure::not_a_file(&place.display().to_string())),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(failed(place)(why)),
    }
}

pub fn set_owner(file: &File, uid: u32, gid: u32) -> io::Result<()> {
    let found = file.metadata()?;
    if (found.uid(), found.gid()) == (uid, gid) { Ok(()) } else { fchown(file, Some(uid), Some(gid)) }
}

/// Copies to the end; gives the number of bytes. Not by `io::copy`, which has the kernel move a file into a pipe page by
/// page: that took several times as long under software emulation.
pub fn copy(source: &mut impl Read, target: &mut File) -> io::Result<u64> {
    let mut buffer = vec![0; COPY_BYTES];
    let mut size = 0;
    loop {
        match source.read(&mut buffer)? {
            0 => return Ok(size),
            length => {
                target.write_all(&buffer[..length])?;
                size += length as u64;
            }
        }
    }
}

fn broken_off(path: &Path, why: &io::Error) -> Failure {
    match why.kind() {
        io::ErrorKind::UnexpectedEof => Failure::bad_request("the body broke off"),
        _ => failed(path)(io::Error::from_raw_os_error(why.raw_os_error().unwrap_or(libc::EIO))),
    }
}

/// Permissions as octal text.
pub fn mode_text(found: &Metadata) -> String {
    format!("{:04o}", found.mode() & 0o7777)
}
