//! Who this guest is: what the host asks of it and tells it.

use std::fs;

use serde::{Deserialize, Serialize};

use crate::http::Failure;
use crate::sys;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentInfo {
    protocol: u32,
    version: &'static str,
    boot_id: String,
    hostname: String,
    kernel: String,
    pid: u32,
    uptime_ms: f64,
    userspace_start_ms: f64,
    clock_unix_ms: f64,
    memory_total_bytes: u64,
    memory_available_bytes: u64,
    resident_bytes: u64,
    root_read_only: bool,
}

pub fn describe(userspace_start_ms: f64) -> AgentInfo {
    AgentInfo {
        protocol: 1,
        version: env!("CARGO_PKG_VERSION"),
        boot_id: line("/proc/sys/kernel/random/boot_id"),
        hostname: line("/proc/sys/kernel/hostname"),
        kernel: line("/proc/sys/kernel/osrelease"),
        pid: std::process::id(),
        uptime_ms: sys::since_boot_ms(),
        userspace_start_ms,
        clock_unix_ms: crate::process::now_ms(),
        memory_total_bytes: kib_of("/proc/meminfo", "MemTotal:"),
        memory_available_bytes: kib_of("/proc/meminfo", "MemAvailable:"),
        resident_bytes: kib_of("/proc/self/status", "VmRSS:"),
        root_read_only: line("/proc/mounts").split(' ').nth(3).is_some_and(|options| options.split(',').any(|option| option == "ro")),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Identity {
    hostname: Option<String>,
    clock_unix_ns: Option<String>,
}

pub fn apply(identity: &Identity) -> Result<(), Failure> {
    if let Some(name) = &identity.hostname {
        let fits = (1..=63).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !fits {
            return Err(Failure::bad_request("hostname: 1 to 63 letters, digits and -"));
        }
        sys::set_host_name(name).map_err(|why| Failure::internal(&format!("the host name cannot be set: {why}")))?;
    }
    if let Some(text) = &identity.clock_unix_ns {
        let unix_ns: i64 = text.parse().map_err(|_| Failure::bad_request("clockUnixNs: a decimal number of nanoseconds"))?;
        sys::set_realtime_clock(unix_ns).map_err(|why| Failure::internal(&format!("the clock cannot be set: {why}")))?;
    }
    Ok(())
}

/// the first line of a file
fn line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().lines().next().unwrap_or_default().to_string()
}

/// a value in KiB of a file of `key value kB` lines, in bytes
fn kib_of(path: &str, key: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse::<u64>().ok());
    value.unwrap_or(0) * 1024
}
