//! From the initramfs to a running system, as PID 1. A failure that leaves no system is told on the console and
//! ends the VM; anything less is told and passed over.

mod arguments;
mod data_drives;
mod mounts;
pub mod unmount;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use arguments::Arguments;
pub use data_drives::FailedMount;

use crate::{device_events, guest_file, identity, network, sys};

/// the byte that Firecracker's boot timer waits for (its MAGIC_VALUE_SIGNAL_GUEST_BOOT_COMPLETE)
const BOOT_TIMER_BYTE: u8 = 123;
const MODULES: &str = "/modules";

/// What is wrong after the boot but leaves a system.
#[derive(Default)]
pub struct Booted {
    pub failed_mounts: Vec<FailedMount>,
    pub network_trouble: Option<String>,
}

pub fn run() -> Booted {
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
    let network_trouble = arguments.network.and_then(|word| network::set_up(&word).err());
    if let Some(why) = &network_trouble {
        say(&format!("guest-agent: network: {why}"));
    }
    Booted { failed_mounts, network_trouble }
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
    match device_events::wait_for(|| Path::new(path).exists().then_some(())) {
        Ok(Some(())) => Ok(()),
        Ok(None) => Err(format!("the device {path} has not appeared within {} s", device_events::PATIENCE.as_secs())),
        Err(why) => Err(format!("devices cannot be waited for: {why}")),
    }
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
    if let Err(why) = network::provide_hosts(&name) {
        say(&format!("guest-agent: /etc/hosts: {why}"));
    }
}
