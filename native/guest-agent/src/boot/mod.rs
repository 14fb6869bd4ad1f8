//! From the initramfs to a running system, as PID 1. A failure that leaves no system is told on the console and
//! ends the VM; anything less is told and passed over.

mod arguments;
mod data_drives;
mod mounts;
pub mod unmount;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use arguments::Arguments;
pub use data_drives::FailedMount;

use crate::device_events::DeviceEvents;
use crate::{guest_file, identity, sys};

/// the byte that Firecracker's boot timer waits for (its MAGIC_VALUE_SIGNAL_GUEST_BOOT_COMPLETE)
const BOOT_TIMER_BYTE: u8 = 123;
/// for a device to appear
const DEVICE_PATIENCE: Duration = Duration::from_secs(10);
const MODULES: &str = "/modules";

/// What is wrong afterwards but leaves a system is in the answer.
pub fn run() -> Vec<FailedMount> {
    if let Err(why) = mounts::mount_first() {
        fatal(&why);
    }
    if let Ok(console) = File::options().read(true).write(true).open("/dev/console") {
        sys::use_as_standard_streams(&console);
    }
    let arguments = arguments::parse(&fs::read_to_string("/proc/cmdline").unwrap_or_default());
    if arguments.probe {
        say("workfort-probe: ok");
        sys::reboot();
    }
    if let Some(address) = arguments.boot_timer
        && let Err(why) = sys::write_physical(address, BOOT_TIMER_BYTE)
    {
        say(&format!("guest-agent: boot timer: {why}"));
    }
    protect_from_oom_killer();
    sys::take_precedence();
    load_modules();
    if let Err(why) = enter_root(&arguments) {
        fatal(&why);
    }
    mounts::mount_rest();
    let failed_mounts = data_drives::mount_all(arguments.mounts);
    if let Err(why) = sys::loopback_up() {
        say(&format!("guest-agent: loopback: {why}"));
    }
    name_host(arguments.hostname);
    failed_mounts
}

/// Writes a line to the console.
pub fn say(line: &str) {
    if let Ok(mut console) = File::options().write(true).open("/dev/console") {
        let _ = writeln!(console, "{line}");
    }
}

/// Says why there can be no system, and ends the VM.
pub fn fatal(why: &str) -> ! {
    say(&format!("guest-agent: fatal: {why}"));
    sys::sync();
    let refused = sys::reboot();
    say(&format!("guest-agent: fatal: cannot end the VM: {refused}"));
    std::process::exit(1)
}

fn protect_from_oom_killer() {
    let _ = fs::write("/proc/self/oom_score_adj", "-1000");
}

fn load_modules() {
    let Ok(entries) = fs::read_dir(MODULES) else { return };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if let Err(why) = File::open(&path).and_then(|file| sys::load_module(&file)) {
            say(&format!("guest-agent: module {}: {why}", path.display()));
        }
        let _ = fs::remove_file(&path); // its memory is the guest's
    }
}

fn enter_root(arguments: &Arguments) -> Result<(), String> {
    wait_for_device(&arguments.root).map_err(|why| format!("the root drive: {why}"))?;
    mounts::mount_root(arguments)
}

fn wait_for_device(path: &str) -> Result<(), String> {
    let begun = Instant::now();
    let events = DeviceEvents::listen().map_err(|why| format!("devices cannot be waited for: {why}"))?;
    while !Path::new(path).exists() {
        let patience = DEVICE_PATIENCE.saturating_sub(begun.elapsed());
        if patience.is_zero() {
            return Err(format!("the device {path} has not appeared within {} s", DEVICE_PATIENCE.as_secs()));
        }
        events.block(patience);
    }
    Ok(())
}

fn name_host(told: Option<String>) {
    let (name, result) = match told {
        Some(name) => {
            let result = identity::set_host_name(&name);
            (name, result)
        }
        None => {
            let name = guest_file::read("/etc/hostname").trim().to_string();
            let result = if name.is_empty() { Ok(()) } else { sys::set_host_name(&name) };
            (name, result)
        }
    };
    if let Err(why) = result {
        say(&format!("guest-agent: host name {name}: {why}"));
    }
}
