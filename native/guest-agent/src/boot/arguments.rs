//! What the kernel's command line says to the agent.

/// A data drive, and where it is to be mounted.
#[derive(Debug, PartialEq)]
pub struct Mount {
    /// in /dev
    pub device: String,
    pub path: String,
    pub read_only: bool,
}

#[derive(Debug, PartialEq)]
pub struct Arguments {
    pub root: String,
    pub root_type: String,
    pub read_only: bool,
    pub hostname: Option<String>,
    pub probe: bool,
    /// physical address to which the VMM wants its boot timer's byte
    pub boot_timer: Option<u64>,
    pub mounts: Vec<Mount>,
    /// what the network is to be, for `network` to understand
    pub network: Option<String>,
}

pub fn parse(command_line: &str) -> Arguments {
    let mut arguments = Arguments {
        root: "/dev/vda".into(),
        root_type: "ext4".into(),
        read_only: false,
        hostname: None,
        probe: false,
        boot_timer: None,
        mounts: Vec::new(),
        network: None,
    };
    for word in command_line.split_whitespace() {
        let Some(word) = word.strip_prefix("workfort.") else { continue };
        match word.split_once('=') {
            Some(("root", value)) => arguments.root = value.into(),
            Some(("rootfstype", value)) => arguments.root_type = value.into(),
            Some(("hostname", value)) => arguments.hostname = Some(value.into()),
            Some(("boot-timer", value)) => arguments.boot_timer = u64::from_str_radix(value, 16).ok(),
            Some(("mount", value)) => arguments.mounts.extend(parse_mount(value)),
            Some(("network", value)) => arguments.network = Some(value.into()),
            None if word == "readonly" => arguments.read_only = true,
            None if word == "probe" => arguments.probe = true,
            _ => {}
        }
    }
    arguments
}

/// `<device>:<path>[:ro]`, the path percent-encoded
fn parse_mount(text: &str) -> Option<Mount> {
    let (device, rest) = text.split_once(':')?;
    let (path, read_only) = match rest.strip_suffix(":ro") {
        Some(path) => (path, true),
        None => (rest, false),
    };
    Some(Mount { device: device.into(), path: percent_decode(path)?, read_only })
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let digits = str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_its_own_words_only() {
        let parsed =
            parse("console=ttyS0 root=/dev/sda workfort.hostname=dev workfort.readonly quiet workfort.root=/dev/vdb\n");
        assert_eq!((parsed.root.as_str(), parsed.root_type.as_str()), ("/dev/vdb", "ext4"));
        assert_eq!((parsed.read_only, parsed.hostname.as_deref(), parsed.probe), (true, Some("dev"), false));
        assert!(parse("workfort.probe").probe);
        assert_eq!(parse("workfort.boot-timer=c0000000").boot_timer, Some(0xc000_0000));
        assert_eq!(parse("workfort.boot-timer=").boot_timer, None);
        assert_eq!(parse("workfort.network=02:00,x").network.as_deref(), Some("02:00,x"));
    }

    #[test]
    fn drives_are_mounted_in_the_order_of_their_words() {
        let mount = |device: &str, path: &str, read_only| Mount { device: device.into(), path: path.into(), read_only };
        let parsed = parse("workfort.mount=vdc:/work workfort.mount=vdb:/work/my%20data%3A%C3%BC:ro quiet");
        assert_eq!(parsed.mounts, [mount("vdc", "/work", false), mount("vdb", "/work/my data:ü", true)]);
        for bad in ["vdb", "vdb:/a%2", "vdb:/a%zz", "vdb:/%ff"] {
            assert_eq!(parse(&format!("workfort.mount={bad}")).mounts, [], "{bad}");
        }
    }
}
