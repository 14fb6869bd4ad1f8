//! Users and groups of the guest, from `/etc/passwd` and `/etc/group`: a static binary cannot ask the guest's libc.

use std::fs;

use crate::http::Failure;
use crate::sys::Credentials;

#[derive(Debug)]
pub struct User {
    pub name: String,
    pub home: String,
    pub shell: String,
    pub credentials: Credentials,
}

/// `name`, `uid`, `name:group` or `uid:gid`.
pub fn find(text: &str) -> Result<User, Failure> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let group = fs::read_to_string("/etc/group").unwrap_or_default();
    look_up(text, &passwd, &group).ok_or_else(|| Failure::bad_request(&format!("user: there is no {:?} in this guest", text.chars().take(100).collect::<String>())))
}

fn look_up(text: &str, passwd: &str, group: &str) -> Option<User> {
    let (user_part, group_part) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    let by_number = user_part.parse::<u32>().ok();
    let row = passwd.lines().map(fields).find(|row| row.len() >= 7 && (row[0] == user_part || (by_number.is_some() && row[2].parse() == Ok(by_number.unwrap_or(0)))));
    let (name, uid, own_gid, home, shell) = match row {
        Some(row) => (row[0].to_string(), row[2].parse().ok()?, row[3].parse().ok()?, row[5].to_string(), row[6].to_string()),
        // root has to exist even in an image without users; a bare number needs no row
        None if user_part == "root" => ("root".into(), 0, 0, "/root".into(), "/bin/sh".into()),
        None => (user_part.to_string(), by_number?, by_number?, "/".into(), "/bin/sh".into()),
    };
    let gid = match group_part {
        None => own_gid,
        Some(wanted) => match wanted.parse() {
            Ok(gid) => gid,
            Err(_) => group.lines().map(fields).find(|row| row.len() >= 3 && row[0] == wanted)?[2].parse().ok()?,
        },
    };
    let mut groups: Vec<u32> = group
        .lines()
        .map(fields)
        .filter(|row| row.len() >= 4 && row[3].split(',').any(|member| member == name))
        .filter_map(|row| row[2].parse().ok())
        .collect();
    if !groups.contains(&gid) {
        groups.push(gid);
    }
    let shell = if shell.is_empty() { "/bin/sh".into() } else { shell };
    Some(User { name, home, shell, credentials: Credentials { uid, gid, groups } })
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
    }
}
