//! Where a link stands: four IPv4 addresses of a pool, of which the host has the first that is usable and the namespace
//! the second, and the same four in a unique local IPv6 subnet.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::failure::{Failure, Outcome};

/// tried in this order; the guests' own subnet is 10.213.0.0/16
const USUAL: [&str; 3] = ["10.212.0.0/16", "172.31.212.0/24", "192.168.212.0/24"];
const IPV6_BASE: Ipv6Addr = Ipv6Addr::new(0xfd5f, 0x2113, 0x61c6, 0, 0, 0, 0, 0);
const BLOCK: u32 = 4;
pub const IPV4_PREFIX: u32 = 30;
pub const IPV6_PREFIX: u32 = 126;

/// a subnet
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pool {
    base: u32,
    length: u32,
}

impl Pool {
    pub fn usual() -> Vec<Pool> {
        USUAL.iter().filter_map(|text| Pool::parse(text)).collect()
    }

    /// At least one block large.
    pub fn parse(text: &str) -> Option<Pool> {
        let pool = Pool::any(text)?;
        (8..=IPV4_PREFIX).contains(&pool.length).then_some(pool)
    }

    /// `10.0.0.0/8`, `10.0.0.1`
    fn any(text: &str) -> Option<Pool> {
        let (address, length) = text.split_once('/').unwrap_or((text, "32"));
        let length: u32 = length.parse().ok().filter(|length| *length <= 32)?;
        let base = u32::from(address.parse::<Ipv4Addr>().ok()?);
        Some(Pool { base: base & mask(length), length })
    }

    fn overlaps(&self, other: &Pool) -> bool {
        let length = self.length.min(other.length);
        self.base & mask(length) == other.base & mask(length)
    }
}

fn mask(length: u32) -> u32 {
    u32::MAX.checked_shl(32 - length).unwrap_or(0)
}

/// the two ends of a link
#[derive(Debug, Clone, PartialEq)]
pub struct Ends {
    pub host4: Ipv4Addr,
    pub inside4: Ipv4Addr,
    pub host6: Ipv6Addr,
    pub inside6: Ipv6Addr,
}

impl Ends {
    fn of(block: Pool) -> Self {
        let six = |offset: u32| Ipv6Addr::from(u128::from(IPV6_BASE) + u128::from(block.base + offset));
        Ends { host4: (block.base + 1).into(), inside4: (block.base + 2).into(), host6: six(1), inside6: six(2) }
    }

    /// Of a link that is there, by its host's end.
    pub fn of_host(host4: &str) -> Option<Self> {
        Some(Ends::of(Pool { length: IPV4_PREFIX, ..Pool::any(&format!("{host4}/{IPV4_PREFIX}"))? }))
    }
}

/// The first block from `start` on that no route of the host has; `routes` as `ip -4 -o route show table all` lists them.
pub fn choose(pools: &[Pool], start: u32, routes: &str) -> Outcome<Ends> {
    let taken: Vec<Pool> = routes.lines().filter_map(destination).collect();
    for pool in pools {
        let blocks = 1_u32 << (IPV4_PREFIX - pool.length);
        let free = (0..blocks)
            .map(|step| Pool { base: pool.base + (start.wrapping_add(step) % blocks) * BLOCK, length: IPV4_PREFIX })
            .find(|block| !taken.iter().any(|other| block.overlaps(other)));
        if let Some(block) = free {
            return Ok(Ends::of(block));
        }
    }
    Err(Failure::new(
        "addresses",
        "the host has routes to all of the pools; name another by a line `pool` in the configuration",
    ))
}

/// Where a route leads; none for the default route, which leads everywhere.
fn destination(line: &str) -> Option<Pool> {
    let kinds = [
        "unicast",
        "local",
        "broadcast",
        "multicast",
        "throw",
        "unreachable",
        "prohibit",
        "blackhole",
        "nat",
        "anycast",
    ];
    let word = line.split_ascii_whitespace().find(|word| !kinds.contains(word))?;
    Pool::any(word).filter(|route| route.length > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_workplace_gets_the_same_addresses() {
        let routes = "default via 192.0.2.1 dev eth0\n192.0.2.0/24 dev eth0 proto kernel\nlocal 127.0.0.0/8 dev lo\n";
        let ends = choose(&Pool::usual(), 5, routes).unwrap();
        assert_eq!((ends.host4, ends.inside4), ([10, 212, 0, 21].into(), [10, 212, 0, 22].into()));
        assert_eq!(ends.host6.to_string(), "fd5f:2113:61c6::ad4:15");
        assert_eq!(choose(&Pool::usual(), 5 + 16_384, routes).unwrap(), ends);
        assert_eq!(Ends::of_host("10.212.0.21"), Some(ends));
    }

    #[test]
    fn routes_of_the_host_are_passed_over() {
        let one = choose(&Pool::usual(), 0, "10.212.0.0/30 dev nx0 proto kernel\nlocal 10.212.0.5 dev x table local\n")
            .unwrap();
        assert_eq!(one.host4, Ipv4Addr::from([10, 212, 0, 9]));
        let other = choose(&Pool::usual(), 0, "10.0.0.0/8 dev vpn\n172.16.0.0/12 dev vpn\n").unwrap();
        assert_eq!(other.host4, Ipv4Addr::from([192, 168, 212, 1]));
        assert!(choose(&Pool::usual(), 0, "0.0.0.0/1 dev vpn\n128.0.0.0/1 dev vpn\n").is_err());
    }
}
