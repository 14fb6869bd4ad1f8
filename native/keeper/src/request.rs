//! One request line.

/// most bytes of a line, its end included
pub const LINE_BYTES: usize = 256;
/// most bytes of one input; PIPE_BUF, so that a pipe takes all of it or nothing
pub const INPUT_BYTES: usize = 4096;
const MOST_INPUT: u64 = INPUT_BYTES as u64;

#[derive(Debug, PartialEq)]
pub enum Request {
    Status,
    Wait,
    Signal(i32),
    Console(u64),
    Follow(u64),
    ErrorOutput,
    Input(usize),
    Release,
}

/// The error is the text for the caller; it never needs escaping in JSON.
pub fn parse(line: &[u8]) -> Result<Request, &'static str> {
    let text = std::str::from_utf8(line).map_err(|_| "not UTF-8")?;
    let mut words = text.split(' ');
    let verb = words.next().unwrap_or("");
    let value = words.next();
    if words.next().is_some() {
        return Err("too many words");
    }
    match (verb, value) {
        ("status", None) => Ok(Request::Status),
        ("wait", None) => Ok(Request::Wait),
        ("error-output", None) => Ok(Request::ErrorOutput),
        ("release", None) => Ok(Request::Release),
        ("signal", Some(number)) => match parse_number(number) {
            Some(number @ 1..=64) => Ok(Request::Signal(number as i32)),
            _ => Err("a signal is a number from 1 to 64"),
        },
        ("console", Some(offset)) => Ok(Request::Console(parse_offset(offset)?)),
        ("follow", Some(offset)) => Ok(Request::Follow(parse_offset(offset)?)),
        ("input", Some(length)) => match parse_number(length) {
            Some(length @ 1..=MOST_INPUT) => Ok(Request::Input(length as usize)),
            _ => Err("an input has 1 to 4096 bytes"),
        },
        _ => Err("no such request"),
    }
}

fn parse_offset(text: &str) -> Result<u64, &'static str> {
    parse_number(text).ok_or("an offset is a number of bytes")
}

/// Digits only: `u64::from_str` would also take a plus sign.
fn parse_number(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_every_request() {
        for (line, request) in [
            ("status", Request::Status),
            ("wait", Request::Wait),
            ("signal 9", Request::Signal(9)),
            ("console 0", Request::Console(0)),
            ("follow 18446744073709551615", Request::Follow(u64::MAX)),
            ("error-output", Request::ErrorOutput),
            ("input 4096", Request::Input(4096)),
            ("release", Request::Release),
        ] {
            assert_eq!(parse(line.as_bytes()), Ok(request));
        }
    }

    #[test]
    fn refuses_what_is_none() {
        for line in [
            "",
            "status now",
            "signal",
            "signal 0",
            "signal 65",
            "signal -9",
            "console",
            "console -1",
            "input 0",
            "input 4097",
            "STATUS",
            "release ",
            " status",
            "signal +9",
            "signal 9 9",
            "signal ",
            "console 18446744073709551616",
            "status\r",
            "input 1e3",
        ] {
            assert!(parse(line.as_bytes()).is_err(), "{line:?}");
        }
        assert!(parse(&[0xff, 0xfe]).is_err());
    }
}
