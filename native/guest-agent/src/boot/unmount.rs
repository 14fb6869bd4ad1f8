//! Leaving the disks clean: whatever can be unmounted is, and the rest becomes read-only.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::say;
use crate::sys;

/// the kernel's own; this program needs them to the end
const NEEDED: [&str; 4] = ["/", "/proc", "/sys", "/dev"];

pub fn all() {
    sys::sync();
    for line in fs::read_to_string("/proc/swaps").unwrap_or_default().lines().skip(1) {
        let _ = sys::swap_off(&unescape(line.split_whitespace().next().unwrap_or_default())); // else its file system stays busy
    }
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    // the latest first: it may lie on an earlier one
    for target in mounts.lines().rev().filter_map(|line| line.split(' ').nth(1)).map(unescape) {
        if !NEEDED.iter().any(|needed| target == Path::new(needed)) && sys::unmount(&target).is_err() {
            let _ = sys::remount_read_only(&target);
        }
    }
    if let Err(why) = sys::remount_read_only(Path::new("/")) {
        say(&format!("guest-agent: the root stays writable: {why}"));
    }
    sys::sync();
}

/// The kernel writes white space and backslashes in names as `\` and three octal digits.
pub fn unescape(text: &str) -> PathBuf {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let octal =
            bytes.get(at + 1..at + 4).and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok());
        match (bytes[at], octal) {
            (b'\\', Some(byte)) => {
                plain.push(byte);
                at += 4;
            }
            (byte, _) => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    PathBuf::from(OsString::from_vec(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unescaped() {
        assert_eq!(unescape("/mnt/my\\040disk\\134x"), Path::new("/mnt/my disk\\x"));
        assert_eq!(unescape("/a\\9\\"), Path::new("/a\\9\\"));
    }
}
