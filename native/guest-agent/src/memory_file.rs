//! Files of the image that say something else while this VM runs: what they say is in memory, and the image's disk
//! keeps its own.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::sys;

/// a file system in memory
const MEMORY: &str = "/run";
/// more of them lead in a circle, as for the kernel
const MOST_LINKS: usize = 40;

/// Has `path` say `content`, from the file `in_memory` where what is there now is not in memory by itself. An image
/// without the file gets an empty one, for a place to mount on.
pub fn lay_over(path: &str, in_memory: &str, content: &str) -> io::Result<()> {
    let memory = fs::metadata(MEMORY)?.dev();
    if memory == fs::metadata("/")?.dev() {
        return Err(io::Error::other(format!("{MEMORY} is not in memory")));
    }
    let place = destination(Path::new(path))?;
    // laid over before, or a link into memory, as to what systemd-resolved would write
    if place.ancestors().find_map(|place| fs::metadata(place).ok()).is_some_and(|found| found.dev() == memory) {
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent)?;
        }
        return write(&place, content);
    }
    write(Path::new(in_memory), content)?;
    if !place.exists() {
        File::create_new(&place)?;
    }
    let place = place.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
    sys::mount(in_memory, place, "", libc::MS_BIND, "")
}

fn write(path: &Path, content: &str) -> io::Result<()> {
    // the guest may have made a pipe of it, which would keep an ordinary open waiting for its other end
    let file = File::options().write(true).create(true).truncate(true).custom_flags(libc::O_NONBLOCK).open(path);
    file?.write_all(content.as_bytes())
}

/// Where links lead in the end, whether anything is there or not.
fn destination(path: &Path) -> io::Result<PathBuf> {
    let mut place = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        let Ok(target) = fs::read_link(&place) else { return Ok(place) };
        place.pop();
        place.push(target);
    }
    Err(io::Error::from_raw_os_error(libc::ELOOP))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_to_what_is_not_there() {
        let root = std::env::temp_dir().join(format!("guest-agent-links-{}", std::process::id()));
        fs::create_dir_all(root.join("etc")).unwrap();
        symlink("../run/systemd/resolv.conf", root.join("etc/resolv.conf")).unwrap();
        symlink(root.join("etc/resolv.conf"), root.join("absolute")).unwrap();
        symlink("circle", root.join("circle")).unwrap();
        fs::write(root.join("file"), "").unwrap();
        assert_eq!(destination(&root.join("absolute")).unwrap(), root.join("etc/../run/systemd/resolv.conf"));
        for same in ["file", "missing"] {
            assert_eq!(destination(&root.join(same)).unwrap(), root.join(same));
        }
        assert_eq!(destination(&root.join("circle")).unwrap_err().raw_os_error(), Some(libc::ELOOP));
        fs::remove_dir_all(root).unwrap();
    }
}
