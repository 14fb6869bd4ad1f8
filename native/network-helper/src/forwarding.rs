//! The host has to pass on what comes from a link, and the answers to it. Only where it does not do so already is that
//! switched on, on the interfaces that lead outside alone, and what was switched is kept in a table of nftables, so that
//! it is there as long as the switch is, and can be put back when the last link goes. Each link bears a copy as its
//! alias: a firewall that is loaded anew takes the table away, but no link.
//!
//! IPv6 has no switch for one interface before Linux 6.17 (`force_forwarding`), and the one for all makes a host deaf to
//! its router's advertisements: there it is left alone, and guests have no IPv6 unless the host is a router already.

use std::collections::BTreeSet;
use std::fs;

use crate::failure::{Failure, Outcome};
use crate::tools;

const TABLE: &str = "workfort_forwarding";
/// first word of the alias that a link bears
const ALIAS: &str = "workfort-forwarding";

/// one of the two families, as the kernel's files and our sets name it
#[derive(Clone, Copy)]
pub enum Family {
    Ipv4,
    Ipv6,
}

impl Family {
    fn name(self) -> &'static str {
        match self {
            Family::Ipv4 => "ipv4",
            Family::Ipv6 => "ipv6",
        }
    }

    fn switch(self, interface: &str) -> String {
        match self {
            Family::Ipv4 => format!("/proc/sys/net/ipv4/conf/{interface}/forwarding"),
            Family::Ipv6 => format!("/proc/sys/net/ipv6/conf/{interface}/force_forwarding"),
        }
    }

    /// Whether the host forwards on every interface anyhow.
    fn is_on_everywhere(self) -> bool {
        match self {
            Family::Ipv4 => false, // what is on is on interface by interface
            Family::Ipv6 => reads("/proc/sys/net/ipv6/conf/all/forwarding", "1"),
        }
    }
}

/// The interfaces of the host's default routes.
pub fn outward(family: Family) -> Outcome<BTreeSet<String>> {
    let option = if matches!(family, Family::Ipv4) { "-4" } else { "-6" };
    let routes = tools::ip(&[option, "-o", "route", "show", "default"], None)?;
    Ok(devices(&routes))
}

fn devices(routes: &str) -> BTreeSet<String> {
    let words: Vec<&str> = routes.split_ascii_whitespace().collect();
    words.windows(2).filter(|pair| pair[0] == "dev" && is_interface(pair[1])).map(|pair| pair[1].to_string()).collect()
}

/// Fit to be a part of a path, and of a script.
fn is_interface(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'@' | b':' | b'+');
    (1..=15).contains(&name.len()) && name != "." && name != ".." && name != "lo" && name.bytes().all(fits)
}

/// Has the host forward between a link and the outside; false where it cannot for that family.
pub fn switch_on(family: Family, link: &str) -> Outcome<bool> {
    let outward = outward(family)?;
    if outward.is_empty() {
        return Ok(false);
    }
    if family.is_on_everywhere() {
        return Ok(true);
    }
    if !fs::exists(family.switch(link)).unwrap_or(false) {
        return Ok(false);
    }
    let off: Vec<&String> = outward.iter().filter(|name| reads(&family.switch(name), "0")).collect();
    if !off.is_empty() {
        remember(family, off.iter().copied())?;
    }
    let _ = mark(link); // one that is too long for an alias is in the table alone
    for name in off.iter().map(|name| name.as_str()).chain([link]) {
        write(&family.switch(name), "1")?;
    }
    Ok(true)
}

/// Whether the host passes on what comes from an interface.
pub fn is_on(family: Family, interface: &str) -> bool {
    family.is_on_everywhere() || reads(&family.switch(interface), "1")
}

/// Whether nobody has switched off again what `switch_on` has switched on.
pub fn is_still_on(family: Family, link: &str) -> Outcome<bool> {
    let outward = outward(family)?;
    Ok(outward.is_empty() || outward.iter().map(String::as_str).chain([link]).all(|name| is_on(family, name)))
}

/// Puts back what was switched, once there is no link any more.
pub fn switch_back() -> Outcome<()> {
    let Ok(listed) = tools::nft(&["list", "table", "inet", TABLE]) else { return Ok(()) };
    for family in [Family::Ipv4, Family::Ipv6] {
        for interface in remembered(&listed, family) {
            let switch = family.switch(&interface);
            // an interface may have gone since
            if fs::exists(&switch).unwrap_or(false) {
                write(&switch, "0")?;
            }
        }
    }
    tools::nft(&["delete", "table", "inet", TABLE]).map(drop)
}

/// Makes the table again from what the links bear; to be called before one of them is taken away.
pub fn recall() -> Outcome<()> {
    let links = tools::ip(&["-o", "link", "show", "type", "veth"], None)?;
    for family in [Family::Ipv4, Family::Ipv6] {
        let interfaces = borne(&links, family);
        if !interfaces.is_empty() {
            remember(family, &interfaces)?;
        }
    }
    Ok(())
}

/// Has a link bear what is remembered.
fn mark(link: &str) -> Outcome<()> {
    let Ok(listed) = tools::nft(&["list", "table", "inet", TABLE]) else { return Ok(()) };
    let of = |family: Family| format!("{}={}", family.name(), remembered(&listed, family).join(","));
    let alias = format!("{ALIAS} {} {}", of(Family::Ipv4), of(Family::Ipv6));
    tools::ip(&["link", "set", "dev", link, "alias", &alias], None).map(drop)
}

/// What the links of workplaces bear of a family, as `ip -o link` prints it; only root can write it.
fn borne(links: &str, family: Family) -> BTreeSet<String> {
    let head = format!("{}=", family.name());
    let aliases = links.lines().filter_map(|line| line.split_once(&format!("alias {ALIAS} ")));
    let words = aliases.flat_map(|(_, alias)| alias.split(['\\', ' ']));
    let names = words.filter_map(|word| word.strip_prefix(&head)).flat_map(|names| names.split(','));
    names.filter(|name| is_interface(name)).map(String::from).collect()
}

/// Written before the switch is moved.
fn remember<'a>(family: Family, interfaces: impl IntoIterator<Item = &'a String>) -> Outcome<()> {
    let names: Vec<String> = interfaces.into_iter().map(|name| format!("\"{name}\"")).collect();
    let set = family.name();
    tools::nft_script(&format!(
        "add table inet {TABLE}\n\
         add set inet {TABLE} ipv4 {{ type ifname; }}\n\
         add set inet {TABLE} ipv6 {{ type ifname; }}\n\
         add element inet {TABLE} {set} {{ {} }}\n",
        names.join(", ")
    ))
}

/// The elements of a family's set, as `nft list table` prints it.
fn remembered(listed: &str, family: Family) -> Vec<String> {
    let head = format!("set {} {{", family.name());
    let Some((_, rest)) = listed.split_once(&head) else { return Vec::new() };
    let set = rest.split_once("\n\t}").map_or(rest, |(set, _)| set);
    let Some((_, elements)) = set.split_once("elements = {") else { return Vec::new() };
    elements.split('"').skip(1).step_by(2).filter(|name| is_interface(name)).map(String::from).collect()
}

fn reads(path: &str, value: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.trim() == value)
}

fn write(path: &str, value: &str) -> Outcome<()> {
    fs::write(path, value).map_err(|why| Failure::new(path, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_links_bear() {
        let links = "5: nx0a0b0c@if2: <UP> mtu 1500 qdisc noqueue\\    link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff link-netnsid 0\\    alias workfort-forwarding ipv4=eth0,wlan0 ipv6=\n\
                     7: veth1@if2: <UP> mtu 1500\\    alias workfort-forwarding-of-others ipv4=lo\n\
                     8: nx0a0b0d@if2: <UP> mtu 1500\\    alias workfort-forwarding ipv4=eth1 ipv6=eth0\n";
        let of = |family| borne(links, family).into_iter().collect::<Vec<_>>();
        assert_eq!(of(Family::Ipv4), ["eth0", "eth1", "wlan0"]);
        assert_eq!(of(Family::Ipv6), ["eth0"]);
    }

    #[test]
    fn finds_the_interfaces_of_default_routes() {
        let routes =
            "default via 192.0.2.1 dev eth0 proto dhcp metric 100 \ndefault via 10.0.0.1 dev wlp3s0 metric 600 \n";
        assert_eq!(devices(routes), ["eth0", "wlp3s0"].map(String::from).into());
        let multipath = "default proto ra metric 1024 \\\tnexthop via fe80::1 dev eth0 weight 1 \\\tnexthop via fe80::2 dev eth1 weight 1";
        assert_eq!(devices(multipath), ["eth0", "eth1"].map(String::from).into());
        assert!(devices("default via 1.1.1.1 dev ../../x\ndefault dev lo\n").is_empty());
    }

    #[test]
    fn reads_back_what_was_remembered() {
        let listed = "table inet workfort_forwarding {\n\tset ipv4 {\n\t\ttype ifname\n\t\telements = { \"eth0\",\n\t\t\t     \"wlan0\" }\n\t}\n\n\tset ipv6 {\n\t\ttype ifname\n\t}\n}\n";
        assert_eq!(remembered(listed, Family::Ipv4), ["eth0", "wlan0"]);
        assert!(remembered(listed, Family::Ipv6).is_empty());
    }
}
