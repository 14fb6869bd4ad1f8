//! Names that need no server: an image without any gets them, in memory.

use std::io;

use crate::{guest_file, memory_file};

const HOSTS_FILE: &str = "/etc/hosts";
const HOSTS_IN_MEMORY: &str = "/run/hosts";
const OWN_ADDRESS: &str = "127.0.1.1\t";
const WITHOUT_OWN: &str = "# the image has no entries; these are in memory, and so is what is added\n\
    127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";

/// Names the guest and `localhost`, unless there are entries of somebody else.
pub fn provide_hosts(name: &str) -> io::Result<()> {
    let text = guest_file::read(HOSTS_FILE);
    if has_entries(&text) && !is_own(&text) {
        return Ok(());
    }
    memory_file::lay_over(HOSTS_FILE, HOSTS_IN_MEMORY, &hosts(name))
}

fn has_entries(text: &str) -> bool {
    text.lines().any(|line| line.split('#').next().is_some_and(|line| !line.trim().is_empty()))
}

/// Whether it says what this program wrote, whatever the name was.
fn is_own(text: &str) -> bool {
    text.lines().filter(|line| !line.starts_with(OWN_ADDRESS)).eq(WITHOUT_OWN.lines())
}

/// The own name has an address of its own, as Debian has it, so that 127.0.0.1 is `localhost` both ways.
fn hosts(name: &str) -> String {
    if name.is_empty() { WITHOUT_OWN.into() } else { format!("{WITHOUT_OWN}{OWN_ADDRESS}{name}\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_entries_from_their_lack() {
        for none in ["", "\n \t\n", "# 127.0.0.1 localhost\n#\n"] {
            assert!(!has_entries(none), "{none:?}");
        }
        assert!(has_entries("#\n127.0.0.1 localhost # me"));
    }

    #[test]
    fn knows_its_own_from_those_of_others() {
        for own in [hosts("dev"), hosts("")] {
            assert!(has_entries(&own) && is_own(&own), "{own}");
            assert!(!is_own(&format!("{own}10.0.0.5 db\n")));
        }
        assert!(hosts("dev").ends_with("127.0.1.1\tdev\n"));
        assert!(!is_own("127.0.0.1 localhost\n"));
    }
}
