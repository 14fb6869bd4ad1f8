//! Users and groups of the guest, from `/etc/passwd` and `/etc/group`: a static binary cannot ask the guest's libc.

use crate::guest_file;
use crate::http::Failure;
use crate::sys::Credentials;

/// the kernel takes no more
const MOST_GROUPS: usize = 65_535;

#[derive(Debug)]
pub struct User {
    pub name: String,
    pub home: String,
    pub shell: String,
    pub credentials: Credentials,
}

/// `name`, `uid`, `name:group` or `uid:gid`.
pub fn find(text: &str) -> Result<User, Failure> {
    let found = look_up(text, &guest_file::read("/etc/passwd"), &guest_file::read("/etc/group"));
    found.ok_or_else(|| Failure::bad_request(&format!("user: there is no {text:?} in this guest")))
}

fn look_up(text: &str, passwd: &str, group: &str) -> Option<User> {
    let (user_part, group_part) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    let by_number = number(user_part);
    let is_meant = |row: &Vec<&str>| {
        row.len() >= 7 && (row[0] == user_part || (by_number.is_some() && number(row[2]) == by_number))
    };
    let (name, uid, own_gid, home, shell) = match passwd.lines().map(fields).find(is_meant) {
        Some(row) => (row[0].to_string(), number(row[2])?, number(row[3])?, row[5].to_string(), row[6].to_string()),
        // root has to exist even in an image without users; a bare number needs no row
        None if user_part == "root" => ("root".into(), 0, 0, "/root".into(), "/bin/sh".into()),
        None => (user_part.to_string(), by_number?, by_number?, "/".into(), "/bin/sh".into()),
    };
    let gid = match group_part {
        None => own_gid,
        Some(wanted) => match number(wanted) {
            Some(gid) => gid,
            None => number(group.lines().map(fields).find(|row| row.len() >= 3 && row[0] == wanted)?[2])?,
        },
    };
    let mut groups: Vec<u32> = group
        .lines()
        .map(fields)
        .filter(|row| row.len() >= 4 && row[3].split(',').any(|member| member == name))
        .filter_map(|row| number(row[2]))
        .take(MOST_GROUPS)
        .collect();
    if !groups.contains(&gid) {
        groups.push(gid);
    }
    let shell = if shell.is_empty() { "/bin/sh".into() } else { shell };
    Some(User { name, home, shell, credentials: Credentials { uid, gid, groups } })
}

/// A user or group id; the highest value means "no change" to the kernel and is none.
fn number(text: &str) -> Option<u32> {
    let digits_only = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|id| digits_only && *id != u32::MAX)
}

fn fields(line: &str) -> Vec<&str> {
    line.split(':').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\ndev:x:1000:1000::/home/dev:\nbroken line\n";
    const GROUP: &str = "root:x:0:\ndev:x:1000:\ndocker:x:999:dev,root\nkvm:x:104:dev\n";

    #[test]
    fn finds_users_by_name_and_number() {
        let dev = look_up("dev", PASSWD, GROUP).unwrap();
        assert_eq!((dev.credentials.uid, dev.credentials.gid), (1000, 1000));
        assert_eq!(dev.credentials.groups, [999, 104, 1000]);
        assert_eq!((dev.home.as_str(), dev.shell.as_str()), ("/home/dev", "/bin/sh"));
        assert_eq!(look_up("1000", PASSWD, GROUP).unwrap().name, "dev");
    }

    #[test]
    fn takes_groups_by_name_and_number() {
        assert_eq!(look_up("dev:docker", PASSWD, GROUP).unwrap().credentials.gid, 999);
        assert_eq!(look_up("1000:7", PASSWD, GROUP).unwrap().credentials.gid, 7);
        assert!(look_up("dev:nobody", PASSWD, GROUP).is_none());
    }

    #[test]
    fn does_without_rows_where_that_makes_sense() {
        assert_eq!(look_up("root", "", "").unwrap().home, "/root");
        assert_eq!(look_up("4242", PASSWD, GROUP).unwrap().credentials.uid, 4242);
        assert!(look_up("nobody-here", PASSWD, GROUP).is_none());
        assert!(look_up("", PASSWD, GROUP).is_none());
        for odd in ["+5", "-1", "4294967295", "99999999999", "dev:", ":dev", "root:0:0"] {
            assert!(look_up(odd, PASSWD, GROUP).is_none(), "{odd}");
        }
    }

    #[test]
    fn broken_rows_are_passed_over_or_refused() {
        let passwd = "a\nb:x\n::::::\nc:x:many:0::/:\nd:x:7:0::/d:/bin/d:extra\n";
        assert!(look_up("a", passwd, "").is_none());
        assert!(look_up("c", passwd, "").is_none());
        let found = look_up("d", passwd, "x\ny:x:5\nz:x:nine:d\nw:x:4:c,d\n").unwrap();
        assert_eq!((found.credentials.uid, found.shell.as_str()), (7, "/bin/d"));
        assert_eq!(found.credentials.groups, [4, 0]);
    }
}
