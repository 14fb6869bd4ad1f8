//! A link: a veth pair from the host into a workplace's network namespace, where its end is called `uplink`.
//!
//! The rules are there before the pair is, and go after it. What is done half is mended by doing it again.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

use crate::addresses::{self, Ends, IPV4_PREFIX, IPV6_PREFIX};
use crate::configuration::Configuration;
use crate::failure::{Failure, Outcome};
use crate::forwarding::{self, Family};
use crate::words::Tag;
use crate::{rules, sys, tools};

/// of the namespace's end
const INSIDE: &str = "uplink";

/// who asks
pub struct Caller {
    pub uid: u32,
    pub configuration: Configuration,
}

pub fn up(tag: &Tag, pid: u32, caller: &Caller) -> Outcome<String> {
    let namespace = open_namespace(pid, caller)?;
    let ends = match owner(tag)? {
        Some((uid, _)) if uid != caller.uid && caller.uid != 0 => return Err(not_yours(tag)),
        Some((_, host4)) => Ends::of_host(&host4),
        None => None,
    };
    let is_there = ends.is_some() && joins(tag, &namespace);
    let ends = match ends {
        Some(ends) if is_there => ends,
        _ => {
            forwarding::recall()?;
            remove(tag)?;
            drop_strays(caller)?;
            refuse_more(caller)?;
            let routes = tools::ip(&["-4", "-o", "route", "show", "table", "all"], None)?;
            addresses::choose(&caller.configuration.pools, tag.number(), &routes)?
        }
    };
    tools::nft_script(&rules::table(tag, caller.uid, &ends))?;
    let made = if is_there { Ok(()) } else { make(tag, &namespace, &ends) };
    let joined = made.and_then(|()| open_ways(tag, &namespace, &ends));
    match joined {
        Ok(has_ipv6) => Ok(describe(tag, &ends, has_ipv6)),
        Err(failure) => {
            let _ = down(tag, caller);
            Err(failure)
        }
    }
}

pub fn down(tag: &Tag, caller: &Caller) -> Outcome<()> {
    forwarding::recall()?;
    match owner(tag)? {
        Some((uid, _)) if uid != caller.uid && caller.uid != 0 => return Err(not_yours(tag)),
        // an interface without a table is nobody's, and so root's
        None if caller.uid != 0 => {}
        _ => remove(tag)?,
    }
    if all_tables()?.is_empty() { forwarding::switch_back() } else { Ok(()) }
}

pub fn status(tag: &Tag, caller: &Caller) -> Outcome<String> {
    match owner(tag)? {
        Some((uid, _)) if uid != caller.uid && caller.uid != 0 => Err(not_yours(tag)),
        Some((_, host4)) => match Ends::of_host(&host4) {
            Some(ends) if has_interface(tag) && forwarding::is_still_on(Family::Ipv4, &tag.interface())? => {
                Ok(describe(tag, &ends, outward_ipv6(tag)))
            }
            _ => Ok("{\"state\":\"broken\"}".into()),
        },
        None if has_interface(tag) => Ok("{\"state\":\"broken\"}".into()),
        None => Ok("{\"state\":\"down\"}".into()),
    }
}

fn describe(tag: &Tag, ends: &Ends, has_ipv6: bool) -> String {
    let Ends { host4, inside4, inside6, .. } = ends;
    let six = if has_ipv6 { format!("\"{inside6}\"") } else { "null".into() };
    let interface = tag.interface();
    format!(
        "{{\"state\":\"up\",\"interface\":\"{interface}\",\"host\":\"{host4}\",\"ipv4\":\"{inside4}\",\"ipv6\":{six}}}"
    )
}

/// The namespace of a process, where it is the caller's to give away.
fn open_namespace(pid: u32, caller: &Caller) -> Outcome<File> {
    let path = format!("/proc/{pid}/ns/net");
    let namespace = File::open(&path).map_err(|why| Failure::new(&path, why))?;
    if !sys::is_network_namespace(&namespace) {
        return Err(Failure::new(&path, "it is no network namespace"));
    }
    // judged by what has been opened, whatever process has the number by now
    let owner = sys::namespace_owner(&namespace).map_err(|why| Failure::new(&path, why))?;
    if caller.uid != 0 && owner != caller.uid {
        return Err(Failure::forbidden(format!("{path}: it belongs to uid {owner}, not to {}", caller.uid)));
    }
    let inode = |file: &File| -> io::Result<u64> { Ok(file.metadata()?.ino()) };
    let own = File::open("/proc/self/ns/net").and_then(|file| inode(&file)).map_err(|why| Failure::new(&path, why))?;
    if inode(&namespace).map_err(|why| Failure::new(&path, why))? == own {
        return Err(Failure::new(&path, "it is the host's own"));
    }
    Ok(namespace)
}

fn make(tag: &Tag, namespace: &File, ends: &Ends) -> Outcome<()> {
    let link = tag.interface();
    sys::keep_open_for_children(namespace).map_err(|why| Failure::new("namespace", why))?;
    let place = format!("/proc/self/fd/{}", namespace.as_raw_fd());
    tools::ip(&["link", "add", &link, "type", "veth", "peer", "name", INSIDE, "netns", &place], None)?;
    // what a namespace of somebody's says is no router's word
    for (family, name) in [("ipv6", "accept_ra"), ("ipv6", "accept_redirects"), ("ipv4", "accept_redirects")] {
        let _ = std::fs::write(format!("/proc/sys/net/{family}/conf/{link}/{name}"), "0");
    }
    let Ends { host4, inside4, host6, inside6 } = ends;
    let host = format!(
        "address add {host4}/{IPV4_PREFIX} dev {link}\n\
         address add {host6}/{IPV6_PREFIX} dev {link} nodad\n\
         link set {link} up\n"
    );
    let inside = format!(
        "address add {inside4}/{IPV4_PREFIX} dev {INSIDE}\n\
         address add {inside6}/{IPV6_PREFIX} dev {INSIDE} nodad\n\
         link set {INSIDE} up\n\
         route add default via {host4} dev {INSIDE}\n"
    );
    tools::ip_batch(&host, None)?;
    tools::ip_batch(&inside, Some(namespace))
}

/// Has the host forward, and the namespace know where IPv6 leads; whether it leads anywhere.
fn open_ways(tag: &Tag, namespace: &File, ends: &Ends) -> Outcome<bool> {
    let link = tag.interface();
    forwarding::switch_on(Family::Ipv4, &link)?;
    let has_ipv6 = forwarding::switch_on(Family::Ipv6, &link)?;
    let Ends { host6, .. } = ends;
    let word = if has_ipv6 { "replace" } else { "delete" };
    let route = tools::ip(&["-6", "route", word, "default", "via", &host6.to_string(), "dev", INSIDE], Some(namespace));
    if has_ipv6 { route.map(|_| true) } else { Ok(false) }
}

fn outward_ipv6(tag: &Tag) -> bool {
    forwarding::is_on(Family::Ipv6, &tag.interface())
}

fn remove(tag: &Tag) -> Outcome<()> {
    if has_interface(tag) {
        tools::ip(&["link", "delete", &tag.interface()], None)?;
    }
    let table = tag.table();
    tools::nft_script(&format!("add table inet {table}\ndelete table inet {table}\n"))
}

fn has_interface(tag: &Tag) -> bool {
    tools::ip(&["-o", "link", "show", "dev", &tag.interface()], None).is_ok()
}

/// Whether both ends of the pair are where they should be: each names the other's index.
fn joins(tag: &Tag, namespace: &File) -> bool {
    let ends = |name: &str, namespace| -> Option<(String, String)> {
        let line = tools::ip(&["-o", "link", "show", "dev", name], namespace).ok()?;
        // `5: uplink@if9: <…`
        let (index, rest) = line.split_once(": ")?;
        let peer = rest.split_once("@if")?.1.split_once(':')?.0;
        Some((index.into(), peer.into()))
    };
    match (ends(&tag.interface(), None), ends(INSIDE, Some(namespace))) {
        (Some(host), Some((index, peer))) => host == (peer, index),
        _ => false,
    }
}

/// Who has the link of a tag, and at which address.
fn owner(tag: &Tag) -> Outcome<Option<(u32, String)>> {
    if !all_tables()?.contains(&tag.table()) {
        return Ok(None);
    }
    Ok(rules::owner(&tools::nft(&["list", "table", "inet", &tag.table()])?))
}

/// The tables of all links.
fn all_tables() -> Outcome<Vec<String>> {
    let listed = tools::nft(&["list", "tables", "inet"])?;
    let tables = listed.lines().filter_map(|line| line.strip_prefix("table inet "));
    Ok(tables
        .filter(|name| name.strip_prefix("workfort_").is_some_and(|tag| Tag::parse(tag).is_ok()))
        .map(String::from)
        .collect())
}

/// The tags of a caller's own links.
fn links_of(caller: &Caller) -> Outcome<Vec<Tag>> {
    let mut found = Vec::new();
    for table in all_tables()? {
        let Ok(tag) = Tag::parse(table.trim_start_matches("workfort_")) else { continue };
        if owner(&tag)?.is_some_and(|(uid, _)| uid == caller.uid) {
            found.push(tag);
        }
    }
    Ok(found)
}

/// A namespace that went has taken its pair with it; the table is what is left.
fn drop_strays(caller: &Caller) -> Outcome<()> {
    for tag in links_of(caller)? {
        if !has_interface(&tag) {
            remove(&tag)?;
        }
    }
    Ok(())
}

fn refuse_more(caller: &Caller) -> Outcome<()> {
    let most = caller.configuration.links;
    if caller.uid != 0 && links_of(caller)?.len() >= most {
        return Err(Failure::forbidden(format!("uid {} has {most} links, and may have no more", caller.uid)));
    }
    Ok(())
}

fn not_yours(tag: &Tag) -> Failure {
    Failure::forbidden(format!("{} is somebody else's", tag.interface()))
}
