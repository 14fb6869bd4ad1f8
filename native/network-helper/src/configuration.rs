//! Who may ask: `/etc/workfort/network-helper.conf`, which only root can write. One word and its value a line:
//!
//! ```text
//! allow 1000            a uid that may have links
//! links 8               most links of one uid
//! pool 10.212.0.0/16    where links take their addresses from, instead of the usual places
//! ```

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::addresses::Pool;
use crate::failure::{Failure, Outcome};

const PATH: &str = "/etc/workfort/network-helper.conf";
const MOST_BYTES: u64 = 64 * 1024;
const USUAL_LINKS: usize = 8;

#[derive(Debug, PartialEq)]
pub struct Configuration {
    allowed: Vec<u32>,
    pub links: usize,
    pub pools: Vec<Pool>,
}

impl Configuration {
    /// What holds for root, who needs no leave.
    pub fn of_root() -> Self {
        Configuration { allowed: Vec::new(), links: usize::MAX, pools: Pool::usual() }
    }

    pub fn read() -> Outcome<Self> {
        let fail = |why: &dyn std::fmt::Display| Failure::forbidden(format!("{PATH}: {why}"));
        for directory in Path::new(PATH).ancestors().skip(1) {
            let found = std::fs::symlink_metadata(directory).map_err(|why| fail(&why))?;
            if !found.is_dir() || found.uid() != 0 || found.mode() & 0o022 != 0 {
                return Err(fail(&format!("{} is not root's alone to write", directory.display())));
            }
        }
        let mut file = File::options()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(PATH)
            .map_err(|why| fail(&why))?;
        let found = file.metadata().map_err(|why| fail(&why))?;
        if !found.is_file() || found.uid() != 0 || found.mode() & 0o022 != 0 || found.nlink() != 1 {
            return Err(fail(&"it is not root's alone to write"));
        }
        let mut text = String::new();
        file.by_ref().take(MOST_BYTES).read_to_string(&mut text).map_err(|why| fail(&why))?;
        Self::parse(&text).map_err(|why| fail(&why))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut all = Configuration { allowed: Vec::new(), links: USUAL_LINKS, pools: Vec::new() };
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let bad = || format!("\"{line}\" is not understood");
            match line.split_ascii_whitespace().collect::<Vec<_>>().as_slice() {
                ["allow", uid] => all.allowed.push(uid.parse().map_err(|_| bad())?),
                ["links", count] => all.links = count.parse().map_err(|_| bad())?,
                ["pool", subnet] => all.pools.push(Pool::parse(subnet).ok_or_else(bad)?),
                _ => return Err(bad()),
            }
        }
        if all.pools.is_empty() {
            all.pools = Pool::usual();
        }
        Ok(all)
    }

    pub fn allows(&self, uid: u32) -> bool {
        self.allowed.contains(&uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_knows() {
        let read = Configuration::parse("# a comment\nallow 1000\n\nallow 1001\nlinks 2\npool 10.9.0.0/24\n").unwrap();
        assert!(read.allows(1000) && read.allows(1001) && !read.allows(0));
        assert_eq!((read.links, read.pools.len()), (2, 1));
    }

    #[test]
    fn refuses_the_rest() {
        for bad in ["allow", "allow me", "allow 1000 1001", "links -1", "pool 10.0.0.0/31", "pool x", "include /etc/x"]
        {
            assert!(Configuration::parse(bad).is_err(), "{bad}");
        }
    }
}
