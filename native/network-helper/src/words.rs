//! The whole vocabulary, and nothing else:
//!
//! ```text
//! up <tag> <pid>         joins the network namespace of a process to the host; may be repeated
//! down <tag>             takes that away again; of one that is not there, nothing
//! status <tag>           says whether it is there
//! ```

use crate::failure::{Failure, Outcome};

/// 6 hexadecimal digits that tell one workplace from another
#[derive(Debug, Clone, PartialEq)]
pub struct Tag(String);

impl Tag {
    /// The host's end of the pair.
    pub fn interface(&self) -> String {
        format!("nx{}", self.0)
    }

    pub fn table(&self) -> String {
        format!("workfort_{}", self.0)
    }

    /// A number that is the same each time, so that a workplace gets the same addresses where it can.
    pub fn number(&self) -> u32 {
        u32::from_str_radix(&self.0, 16).unwrap_or(0)
    }

    pub fn parse(word: &str) -> Outcome<Self> {
        let fits = word.len() == 6 && word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if fits { Ok(Tag(word.into())) } else { Err(Failure::usage("a tag is 6 hexadecimal digits")) }
    }
}

#[derive(Debug, PartialEq)]
pub enum Request {
    Up { tag: Tag, pid: u32 },
    Down { tag: Tag },
    Status { tag: Tag },
}

pub fn parse(words: &[String]) -> Outcome<Request> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["up", tag, pid] => Ok(Request::Up { tag: Tag::parse(tag)?, pid: number(pid, "a pid")? }),
        ["down", tag] => Ok(Request::Down { tag: Tag::parse(tag)? }),
        ["status", tag] => Ok(Request::Status { tag: Tag::parse(tag)? }),
        _ => Err(Failure::usage("usage: up <tag> <pid> | down <tag> | status <tag>")),
    }
}

/// Digits alone: no sign, no space, nothing that is taken for something else later.
fn number(word: &str, what: &str) -> Outcome<u32> {
    let digits = (1..=10).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_digit());
    match word.parse() {
        Ok(number) if digits && number > 0 => Ok(number),
        _ => Err(Failure::usage(format!("{what} is a number from 1 on"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Outcome<Request> {
        parse(&text.split(' ').map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn takes_its_words() {
        assert_eq!(parsed("up 0a1b2c 17").unwrap(), Request::Up { tag: Tag("0a1b2c".into()), pid: 17 });
        assert_eq!(parsed("down 0a1b2c").unwrap(), Request::Down { tag: Tag("0a1b2c".into()) });
    }

    #[test]
    fn refuses_everything_else() {
        for bad in [
            "",
            "up",
            "up 0a1b2c",
            "up 0a1b2c 1 2",
            "up 0A1B2C 1",
            "up 0a1b2 1",
            "up 0a1b2cd 1",
            "up ../../ 1",
            "up 0a1b2c 0",
            "up 0a1b2c -1",
            "up 0a1b2c +1",
            "up 0a1b2c 99999999999",
            "up 0a1b2c 1\n",
            "down 0a1b2c 1",
            "down nx0a1b",
            "status",
            "--help",
        ] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
    }
}
