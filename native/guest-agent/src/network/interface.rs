//! The interface: found by its MAC address, up, with its addresses and the ways out.

use std::fs;
use std::io;
use std::net::IpAddr;

use super::netlink::{Message, Netlink};
use super::settings::{Family, Settings};
use crate::device_events;

const INTERFACES: &str = "/sys/class/net";
/// the host says what address there is: routers and their prefixes are not listened to
const OF_IPV6: [(&str, &str); 2] = [("accept_ra", "0"), ("autoconf", "0")];

/// What could not be done, in sentences.
pub fn set_up(settings: &Settings) -> Vec<String> {
    let find = || find(&settings.mac_address);
    let (name, index) = match device_events::wait_for(find) {
        Ok(Some(found)) => found,
        Ok(None) => return vec![format!("no interface has the address {}", settings.mac_address)],
        Err(why) => return vec![format!("interfaces cannot be waited for: {why}")],
    };
    let mut troubles = Vec::new();
    let mut note = |what: String, result: io::Result<()>| {
        result.is_ok() || {
            troubles.push(format!("{name}: {what}: {}", result.unwrap_err()));
            false
        }
    };
    let kernel = match Netlink::open() {
        Ok(kernel) => kernel,
        Err(why) => return vec![format!("{name}: the kernel cannot be asked: {why}")],
    };
    for (setting, value) in OF_IPV6 {
        // before it is up, or a router could be first
        note(setting.into(), fs::write(format!("/proc/sys/net/ipv6/conf/{name}/{setting}"), value));
    }
    note(format!("up, with an MTU of {}", settings.mtu), kernel.ask(up(index, settings.mtu)));
    for family in &settings.families {
        if note(format!("the address {}/{}", family.address, family.prefix), kernel.ask(address(index, family))) {
            note(format!("the way out by {}", family.gateway), kernel.ask(default_route(index, family)));
        }
    }
    troubles
}

/// name and number
fn find(mac_address: &str) -> Option<(String, u32)> {
    let mut names = fs::read_dir(INTERFACES).ok()?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let of = |name: &str, what: &str| fs::read_to_string(format!("{INTERFACES}/{name}/{what}")).unwrap_or_default();
    let name = names.find(|name| of(name, "address").trim() == mac_address)?;
    let index = of(&name, "ifindex").trim().parse().ok()?;
    Some((name, index))
}

fn up(index: u32, mtu: u32) -> Message {
    let up = (libc::IFF_UP as u32).to_ne_bytes();
    // `struct ifinfomsg`: family, type, number, flags, and which flags change
    let fixed = [&[libc::AF_UNSPEC as u8, 0, 0, 0][..], &index.to_ne_bytes(), &up, &up].concat();
    Message::new(libc::RTM_NEWLINK, 0, &fixed).attribute(libc::IFLA_MTU, &mtu.to_ne_bytes())
}

fn address(index: u32, Family { address, prefix, .. }: &Family) -> Message {
    // `struct ifaddrmsg`: family, prefix, flags, scope, number of the interface
    let fixed = [&[family_number(address), *prefix, 0, libc::RT_SCOPE_UNIVERSE][..], &index.to_ne_bytes()].concat();
    let message = Message::new(libc::RTM_NEWADDR, libc::NLM_F_CREATE | libc::NLM_F_REPLACE, &fixed)
        .attribute(libc::IFA_LOCAL, &octets(address))
        .attribute(libc::IFA_ADDRESS, &octets(address));
    // the host gives no address twice, and asking around would hold it back for a second
    if address.is_ipv6() { message.attribute(libc::IFA_FLAGS, &libc::IFA_F_NODAD.to_ne_bytes()) } else { message }
}

fn default_route(index: u32, Family { gateway, .. }: &Family) -> Message {
    // `struct rtmsg`: family, length of destination, of source, type of service; table, origin, scope, type; flags
    let fixed = [
        [family_number(gateway), 0, 0, 0],
        [libc::RT_TABLE_MAIN, libc::RTPROT_BOOT, libc::RT_SCOPE_UNIVERSE, libc::RTN_UNICAST],
        [0; 4],
    ];
    Message::new(libc::RTM_NEWROUTE, libc::NLM_F_CREATE | libc::NLM_F_REPLACE, fixed.as_flattened())
        .attribute(libc::RTA_GATEWAY, &octets(gateway))
        .attribute(libc::RTA_OIF, &index.to_ne_bytes())
}

fn family_number(address: &IpAddr) -> u8 {
    (if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 }) as u8
}

fn octets(address: &IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// set where the test runs in a network of its own
    const WITHIN: &str = "WORKFORT_TEST_NETWORK";
    const WORD: &str = "02:ab:00:00:00:01,192.0.2.2/24,192.0.2.1,2001:db8::2/64,2001:db8::1,1400";

    /// Runs a test again in a network namespace, by the same program; says whether this is that.
    fn is_within(test: &str) -> bool {
        if std::env::var_os(WITHIN).is_some() {
            return true;
        }
        let script = "mount -t sysfs sysfs /sys && exec \"$@\"";
        let output = Command::new("unshare")
            .args(["--user", "--map-root-user", "--net", "--mount", "sh", "-c", script, "sh"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(WITHIN, "yes")
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        false
    }

    fn ip(words: &str) -> String {
        let output = Command::new("ip").args(words.split(' ')).output().unwrap();
        assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn is_up_with_its_addresses_and_ways_out_and_stays_so_if_told_again() {
        if !is_within("network::interface::tests::is_up_with_its_addresses_and_ways_out_and_stays_so_if_told_again") {
            return;
        }
        ip("link add other type veth peer name beyond");
        ip("link add eth7 address 02:AB:00:00:00:01 type veth peer name far");
        ip("link set far up");
        let settings = Settings::parse(WORD).unwrap();
        for _ in 0..2 {
            assert_eq!(set_up(&settings), [""; 0]);
            let about = ip("-o link show dev eth7");
            assert!(about.contains("mtu 1400") && about.contains("state UP"), "{about}");
            let addresses = ip("-o address show dev eth7");
            assert_eq!(addresses.matches("inet 192.0.2.2/24").count(), 1, "{addresses}");
            let ipv6 = addresses.lines().find(|line| line.contains("inet6 2001:db8::2/64")).unwrap();
            assert!(ipv6.contains("nodad") && !ipv6.contains("tentative"), "{ipv6}");
            assert_eq!(ip("route show default").trim_end(), "default via 192.0.2.1 dev eth7");
            assert!(ip("-6 route show default").starts_with("default via 2001:db8::1 dev eth7 "));
        }
        for setting in ["accept_ra", "autoconf"] {
            assert_eq!(fs::read_to_string(format!("/proc/sys/net/ipv6/conf/eth7/{setting}")).unwrap(), "0\n");
        }
        assert!(ip("-o link show dev other").contains("state DOWN"));
    }

    #[test]
    fn what_cannot_be_done_is_told_and_the_rest_is_done() {
        if !is_within("network::interface::tests::what_cannot_be_done_is_told_and_the_rest_is_done") {
            return;
        }
        ip("link add eth7 address 02:ab:00:00:00:01 type veth peer name far");
        let mut settings = Settings::parse(WORD).unwrap();
        settings.families[0].gateway = "198.51.100.1".parse().unwrap(); // on no link
        fs::write("/proc/sys/net/ipv6/conf/eth7/disable_ipv6", "1").unwrap();
        let troubles = set_up(&settings);
        assert_eq!(
            troubles,
            [
                "eth7: the way out by 198.51.100.1: Network is unreachable (os error 101)",
                "eth7: the address 2001:db8::2/64: Permission denied (os error 13)",
            ]
        );
        assert!(ip("-o address show dev eth7").contains("inet 192.0.2.2/24"));
    }
}
