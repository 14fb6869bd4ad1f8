//! What the kernel's command line says to the agent.

#[derive(Debug, PartialEq)]
pub struct Arguments {
    pub root: String,
    pub root_type: String,
    pub read_only: bool,
    pub hostname: Option<String>,
    pub probe: bool,
}

pub fn parse(command_line: &str) -> Arguments {
    let mut arguments =
        Arguments { root: "/dev/vda".into(), root_type: "ext4".into(), read_only: false, hostname: None, probe: false };
    for word in command_line.split_whitespace() {
        let Some(word) = word.strip_prefix("workfort.") else { continue };
        match word.split_once('=') {
            Some(("root", value)) => arguments.root = value.into(),
            Some(("rootfstype", value)) => arguments.root_type = value.into(),
            Some(("hostname", value)) => arguments.hostname = Some(value.into()),
            None if word == "readonly" => arguments.read_only = true,
            None if word == "probe" => arguments.probe = true,
            _ => {}
        }
    }
    arguments
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
    }
}
