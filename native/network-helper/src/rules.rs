//! The rules of one link on the host, in a table of its own: what comes from it may go out with the link's addresses,
//! and reaches nothing of the host; to it go answers alone.
//!
//! The host's own addresses are closed before anything can translate them, since a published port of Docker's, say,
//! leads on to a container; and once more where packets for the host arrive, since a translation may lead there.

use crate::addresses::Ends;
use crate::words::Tag;

/// A script for nft, which puts the whole table in the place of what is there, at once.
pub fn table(tag: &Tag, uid: u32, ends: &Ends) -> String {
    let Ends { host4, inside4, inside6, .. } = ends;
    let (table, link) = (tag.table(), tag.interface());
    format!(
        r#"add table inet {table}
delete table inet {table}
table inet {table} {{
  comment "uid {uid} at {host4}"
  chain prerouting {{
    type filter hook prerouting priority mangle; policy accept;
    iifname "{link}" icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
    iifname "{link}" ip saddr != {inside4} counter drop
    iifname "{link}" ip6 saddr != {inside6} counter drop
    iifname "{link}" fib daddr type != unicast ct state != {{ established, related }} counter drop
  }}
  chain input {{
    type filter hook input priority filter; policy accept;
    iifname "{link}" icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
    iifname "{link}" ct state != {{ established, related }} counter drop
  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    oifname "{link}" ct state != {{ established, related }} counter drop
    iifname "{link}" tcp flags syn tcp option maxseg size set rt mtu
    oifname "{link}" tcp flags syn tcp option maxseg size set rt mtu
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname != "{link}" ip saddr {inside4} masquerade
    oifname != "{link}" ip6 saddr {inside6} masquerade
  }}
}}
"#
    )
}

/// The uid and the host's address that a table's comment names, as `nft list table` prints it.
pub fn owner(listed: &str) -> Option<(u32, String)> {
    let comment = listed.split_once("comment \"uid ")?.1.split_once('"')?.0;
    let (uid, host4) = comment.split_once(" at ")?;
    Some((uid.parse().ok()?, host4.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_whose_it_is() {
        let listed = "table inet workfort_0a1b2c {\n\tcomment \"uid 1000 at 10.212.0.1\"\n\tchain a {\n\t}\n}\n";
        assert_eq!(owner(listed), Some((1000, "10.212.0.1".into())));
        assert_eq!(owner("table inet x {\n\tcomment \"something else\"\n}\n"), None);
        assert_eq!(owner(""), None);
    }
}
