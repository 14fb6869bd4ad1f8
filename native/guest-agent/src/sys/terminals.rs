//! Pseudo-terminals.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use super::check;

/// both ends of a pseudo-terminal
pub struct Pty {
    pub ours: OwnedFd,
    pub theirs: OwnedFd,
}

/// A new pseudo-terminal; its line discipline knows UTF-8.
pub fn open_pty() -> io::Result<Pty> {
    let ours: OwnedFd =
        OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY).open("/dev/ptmx")?.into();
    let unlocked: libc::c_int = 0;
    // SAFETY: the record is valid for reading and writing, and the fresh descriptor is ours.
    unsafe {
        check(libc::ioctl(ours.as_raw_fd(), libc::TIOCSPTLCK, &unlocked))?;
        let theirs =
            check(libc::ioctl(ours.as_raw_fd(), libc::TIOCGPTPEER, libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC))?;
        let theirs = OwnedFd::from_raw_fd(theirs);
        let mut settings: libc::termios = std::mem::zeroed();
        check(libc::tcgetattr(theirs.as_raw_fd(), &mut settings))?;
        settings.c_iflag |= libc::IUTF8;
        check(libc::tcsetattr(theirs.as_raw_fd(), libc::TCSANOW, &settings))?;
        Ok(Pty { ours, theirs })
    }
}

/// Gives a pseudo-terminal's end to a user, who may open it by its name.
pub fn give_terminal(theirs: &impl AsRawFd, uid: u32) -> io::Result<()> {
    // SAFETY: plain system calls on an open descriptor; the highest group means "no change".
    unsafe {
        check(libc::fchown(theirs.as_raw_fd(), uid, u32::MAX))?;
        check(libc::fchmod(theirs.as_raw_fd(), 0o620)).map(drop)
    }
}

/// The kernel tells the terminal's foreground processes with SIGWINCH.
pub fn set_terminal_size(pty: &impl AsRawFd, columns: u16, rows: u16) -> io::Result<()> {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the record is valid for reading.
    check(unsafe { libc::ioctl(pty.as_raw_fd(), libc::TIOCSWINSZ, &size) }).map(drop)
}
