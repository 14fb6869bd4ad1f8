//! The agent is in the memory of every guest, and what it is relocated by is 220 KB: it is packed where the C library
//! that is linked in can unpack it, glibc 2.36 and later.

use std::ffi::{CStr, c_char};

unsafe extern "C" {
    fn gnu_get_libc_version() -> *const c_char;
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |part: &str| std::env::var(format!("CARGO_CFG_TARGET_{part}")).unwrap_or_default();
    // SAFETY: gives a constant string of the library.
    let version = unsafe { CStr::from_ptr(gnu_get_libc_version()) }.to_string_lossy().into_owned();
    let minor = version.strip_prefix("2.").and_then(|minor| minor.parse().ok()).unwrap_or(0);
    if target("ARCH") == "x86_64" && target("ENV") == "gnu" && minor >= 36 {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
