//! The system calls that the standard library does not offer; all unsafe code is in this folder.

mod children;
mod descriptors;
mod machine;
mod sockets;
mod terminals;

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub use children::*;
pub use descriptors::*;
pub use machine::*;
pub use sockets::*;
pub use terminals::*;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn text(value: impl AsRef<Path>) -> io::Result<CString> {
    CString::new(value.as_ref().as_os_str().as_bytes()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}
