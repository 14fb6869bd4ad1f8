//! Query strings: known names, each at most once. Only texts may have escapes.

use super::Failure;

pub struct Query<'a> {
    pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> Query<'a> {
    pub fn parse(text: Option<&'a str>, allowed: &[&str]) -> Result<Self, Failure> {
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        for part in text.unwrap_or("").split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            if !allowed.contains(&name) {
                return Err(Failure::unsupported(&format!("query: there is no {name:?} here")));
            }
            if pairs.iter().any(|(seen, _)| *seen == name) {
                return Err(Failure::bad_request(&format!("query: {name} stands twice")));
            }
            pairs.push((name, value));
        }
        Ok(Query { pairs })
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.pairs.iter().find(|(seen, _)| *seen == name).map(|(_, value)| *value)
    }

    /// a byte offset, 0 if absent
    pub fn offset(&self, name: &str) -> Result<u64, Failure> {
        let Some(text) = self.get(name) else { return Ok(0) };
        let digits_only = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(offset) if digits_only && offset < 1 << 53 => Ok(offset),
            _ => Err(Failure::bad_request(&format!("query: {name} is a byte offset, a number from 0"))),
        }
    }

    /// a whole number below 2^53
    pub fn number(&self, name: &str) -> Result<Option<u64>, Failure> {
        self.get(name).map(|_| self.offset(name)).transpose()
    }

    /// text in UTF-8, percent-encoded
    pub fn text(&self, name: &str) -> Result<Option<String>, Failure> {
        let decoded = self.get(name).map(|text| decode(text).and_then(|bytes| String::from_utf8(bytes).ok()));
        match decoded {
            None => Ok(None),
            Some(Some(text)) => Ok(Some(text)),
            Some(None) => Err(Failure::bad_request(&format!("query: {name} is percent-encoded UTF-8"))),
        }
    }

    /// `true` or `false`, false if absent
    pub fn flag(&self, name: &str) -> Result<bool, Failure> {
        match self.get(name) {
            Some("true") => Ok(true),
            Some("false") | None => Ok(false),
            Some(_) => Err(Failure::bad_request(&format!("query: {name} is true or false"))),
        }
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        bytes.push(match byte {
            b'%' => (digit(rest.next()?)? * 16 + digit(rest.next()?)?) as u8,
            byte => byte,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_offsets_and_flags() {
        let query = Query::parse(Some("stdout=17&follow=true"), &["stdout", "stderr", "follow"]).unwrap();
        assert_eq!(query.offset("stdout").unwrap(), 17);
        assert_eq!(query.offset("stderr").unwrap(), 0);
        assert!(query.flag("follow").unwrap());
    }

    #[test]
    fn texts_have_their_escapes_undone() {
        let query = Query::parse(Some("path=/a%20b%26c%3D%C3%A4+%25&user="), &["path", "user"]).unwrap();
        assert_eq!(query.text("path").unwrap().unwrap(), "/a b&c=ä+%");
        assert_eq!(query.text("user").unwrap().unwrap(), "");
        assert_eq!(Query::parse(None, &[]).unwrap().text("path").unwrap(), None);
        for bad in ["path=%", "path=%2", "path=%zz", "path=%ff"] {
            assert!(Query::parse(Some(bad), &["path"]).unwrap().text("path").is_err(), "{bad}");
        }
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        assert!(Query::parse(Some("bogus=1"), &["stdout"]).is_err());
        assert!(Query::parse(Some("stdout=1&stdout=2"), &["stdout"]).is_err());
        for bad in ["stdout=-1", "stdout=+1", "stdout=x", "stdout=", "stdout=9007199254740992"] {
            assert!(Query::parse(Some(bad), &["stdout"]).unwrap().offset("stdout").is_err(), "{bad}");
        }
        assert!(Query::parse(Some("follow=yes"), &["follow"]).unwrap().flag("follow").is_err());
    }
}
