//! Who this guest is: what the host asks of it and tells it.

use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

use crate::boot::{Booted, FailedMount};
use crate::http::Failure;
use crate::{memory_file, network, sys};

const HOST_NAME_FILE: &str = "/etc/hostname";
const HOST_NAME_IN_MEMORY: &str = "/run/hostname";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentInfo<'a> {
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
    failed_mounts: &'a [FailedMount],
    network_trouble: Option<&'a str>,
}

pub fn describe(userspace_start_ms: f64, booted: &Booted) -> AgentInfo<'_> {
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
        root_read_only: sys::is_root_read_only(),
        failed_mounts: &booted.failed_mounts,
        network_trouble: booted.network_trouble.as_deref(),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Identity {
    hostname: Option<String>,
    clock_unix_ns: Option<String>,
}

pub fn apply(identity: &Identity) -> Result<(), Failure> {
    if identity.hostname.as_deref().is_some_and(|name| !is_host_name(name)) {
        return Err(Failure::bad_request("hostname: 1 to 63 letters, digits and -, neither first nor last a -"));
    }
    let unix_ns = identity.clock_unix_ns.as_deref().map(unix_ns).transpose()?;
    if std::process::id() != 1 {
        return Err(Failure::conflict("outside a VM the host name and the clock are not the agent's to set"));
    }
    if let Some(name) = &identity.hostname {
        set_host_name(name).map_err(|why| Failure::internal(&format!("the host name cannot be set: {why}")))?;
        let _ = network::provide_hosts(name); // where it cannot, the boot has said so
    }
    if let Some(unix_ns) = unix_ns {
        sys::set_realtime_clock(unix_ns)
            .map_err(|why| Failure::internal(&format!("the clock cannot be set: {why}")))?;
    }
    Ok(())
}

/// Names the guest, in `/etc/hostname` too, but there in memory only.
pub fn set_host_name(name: &str) -> io::Result<()> {
    sys::set_host_name(name)?;
    if fs::exists(HOST_NAME_FILE)? {
        memory_file::lay_over(HOST_NAME_FILE, HOST_NAME_IN_MEMORY, &format!("{name}\n"))?;
    } // an image without it shall stay so
    Ok(())
}

fn is_host_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn unix_ns(text: &str) -> Result<i64, Failure> {
    let digits_only = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| digits_only)
        .ok_or_else(|| Failure::bad_request("clockUnixNs: a decimal number of nanoseconds"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_checked() {
        for good in ["a", "dev-1", "X"] {
            assert!(is_host_name(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a.b", "a b", "ü", &"a".repeat(64)] {
            assert!(!is_host_name(bad), "{bad}");
        }
    }

    #[test]
    fn times_are_decimal_digits() {
        assert_eq!(unix_ns("1700000000000000000").unwrap(), 1_700_000_000_000_000_000);
        for bad in ["", "-1", "+1", "1.5", "0x10", "99999999999999999999"] {
            assert!(unix_ns(bad).is_err(), "{bad}");
        }
    }
}
