//! From the initramfs to a running system, as PID 1. A failure that leaves no system is told on the console and
//! ends the VM; anything less is told and passed over.

mod arguments;
mod mounts;
pub mod unmount;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use arguments::Arguments;

use crate::device_events::DeviceEvents;
use crate::{guest_file, identity, sys};

/// for the root device to appear
const ROOT_PATIENCE: Duration = Duration::from_secs(10);
const MODULES: &str = "/modules";

pub fn run() {
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
    protect_from_oom_killer();
    load_modules();
    if let Err(why) = enter_root(&arguments) {
        fatal(&why);
    }
    mounts::mount_rest();
    if let Err(why) = sys::loopback_up() {
        say(&format!("guest-agent: loopback: {why}"));
    }
    name_host(&arguments);
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
    let root = Path::new(&arguments.root);
    let begun = Instant::now();
    let events = DeviceEvents::listen().map_err(|why| format!("devices cannot be waited for: {why}"))?;
    while !root.exists() {
        let patience = ROOT_PATIENCE.saturating_sub(begun.elapsed());
        if patience.is_zero() {
            return Err(format!(
                "the root device {} has not appeared within {} s",
                arguments.root,
                ROOT_PATIENCE.as_secs()
            ));
        }
        events.block(patience);
    }
    mounts::mount_root(arguments)
}

fn name_host(arguments: &Arguments) {
    let (name, result) = match &arguments.hostname {
        Some(name) => (name.clone(), identity::set_host_name(name)),
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
