//! The guest's network, as the host has told it: an interface known by its MAC address, an address of each family, the
//! way out by the gateway, and who answers for names. What cannot be done is told, and the rest is done all the same.

mod hosts;
mod interface;
mod netlink;
mod settings;

use std::net::IpAddr;

pub use hosts::provide_hosts;
use settings::Settings;

use crate::memory_file;

const RESOLVER_FILE: &str = "/etc/resolv.conf";
const RESOLVER_IN_MEMORY: &str = "/run/resolv.conf";

/// Sets up what the host's word says; else gives a sentence of what is missing.
pub fn set_up(word: &str) -> Result<(), String> {
    let settings = Settings::parse(word).map_err(|why| format!("the network {word:?} is not understood: {why}"))?;
    let mut troubles = interface::set_up(&settings);
    if let Err(why) = ask_for_names(settings.families[0].gateway) {
        troubles.push(format!("{RESOLVER_FILE} cannot name the server of names: {why}"));
    }
    if troubles.is_empty() { Ok(()) } else { Err(troubles.join("; ")) }
}

fn ask_for_names(server: IpAddr) -> std::io::Result<()> {
    memory_file::lay_over(RESOLVER_FILE, RESOLVER_IN_MEMORY, &format!("nameserver {server}\n"))
}
