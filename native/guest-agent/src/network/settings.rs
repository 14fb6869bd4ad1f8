//! What the host says of a guest's network, as one word.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// IPv6 does not go on a link with less, RFC 8200 section 5
const LEAST_MTU: u32 = 1280;
const MOST_MTU: u32 = 65_535;

#[derive(Debug, PartialEq)]
pub struct Settings {
    /// of the interface, lower case with colons
    pub mac_address: String,
    /// IPv4, then IPv6
    pub families: [Family; 2],
    /// bytes
    pub mtu: u32,
}

/// what the interface has of one family
#[derive(Debug, PartialEq)]
pub struct Family {
    pub address: IpAddr,
    pub prefix: u8,
    /// where everything else goes, and who answers for names
    pub gateway: IpAddr,
}

impl Settings {
    /// `<mac>,<ipv4>/<prefix>,<ipv4 gateway>,<ipv6>/<prefix>,<ipv6 gateway>,<mtu>`
    pub fn parse(word: &str) -> Result<Self, String> {
        let parts: Vec<&str> = word.split(',').collect();
        let [mac_address, ipv4, gateway4, ipv6, gateway6, mtu] = parts[..] else {
            return Err(format!("it has {} parts instead of 6", parts.len()));
        };
        let mtu = mtu.parse().ok().filter(|mtu| (LEAST_MTU..=MOST_MTU).contains(mtu));
        Ok(Settings {
            mac_address: parse_mac_address(mac_address)?,
            families: [family::<Ipv4Addr>(ipv4, gateway4, 32)?, family::<Ipv6Addr>(ipv6, gateway6, 128)?],
            mtu: mtu.ok_or_else(|| format!("an MTU is a number from {LEAST_MTU} to {MOST_MTU}"))?,
        })
    }
}

fn parse_mac_address(text: &str) -> Result<String, String> {
    let pairs: Vec<&str> = text.split(':').collect();
    let is_pair = |pair: &&str| pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit());
    if pairs.len() == 6 && pairs.iter().all(is_pair) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(format!("{text:?} is no MAC address"))
    }
}

fn family<A: FromStr + Into<IpAddr>>(place: &str, gateway: &str, most: u8) -> Result<Family, String> {
    let parse = |text: &str| text.parse::<A>().map(Into::into).map_err(|_| format!("{text:?} is no such address"));
    let (address, prefix) = place.split_once('/').ok_or_else(|| format!("{place:?} has no prefix length"))?;
    let prefix = prefix.parse().ok().filter(|prefix| *prefix <= most);
    Ok(Family {
        address: parse(address)?,
        prefix: prefix.ok_or_else(|| format!("{place:?} has no prefix length from 0 to {most}"))?,
        gateway: parse(gateway)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORD: &str = "02:AB:00:00:00:01,10.213.0.2/16,10.213.0.1,fd5f:2113:61c5::2/64,fd5f:2113:61c5::1,1500";

    #[test]
    fn takes_the_words_of_the_host() {
        let settings = Settings::parse(WORD).unwrap();
        assert_eq!((settings.mac_address.as_str(), settings.mtu), ("02:ab:00:00:00:01", 1500));
        let [ipv4, ipv6] = settings.families;
        assert_eq!(
            ipv4,
            Family { address: "10.213.0.2".parse().unwrap(), prefix: 16, gateway: "10.213.0.1".parse().unwrap() }
        );
        assert_eq!((ipv6.address.to_string(), ipv6.prefix), ("fd5f:2113:61c5::2".into(), 64));
    }

    #[test]
    fn says_what_is_wrong_with_others() {
        for (from, to, why) in [
            (",1500", "", "5 parts"),
            (",1500", ",1500,", "7 parts"),
            ("02:AB", "02AB", "no MAC address"),
            ("02:AB", "02:+B", "no MAC address"),
            ("10.213.0.2/16", "10.213.0.2", "no prefix length"),
            ("/16", "/33", "no prefix length from 0 to 32"),
            ("/64", "/-1", "no prefix length from 0 to 128"),
            ("10.213.0.1", "fd00::1", "no such address"),
            ("fd5f:2113:61c5::1", "gateway", "no such address"),
            ("1500", "1279", "MTU"),
            ("1500", "x", "MTU"),
        ] {
            let told = Settings::parse(&WORD.replacen(from, to, 1)).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
        assert!(Settings::parse("").is_err());
    }
}
