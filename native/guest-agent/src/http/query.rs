//! Query strings: known names, each at most once, no escapes (none of their values needs any).

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
                return Err(Failure::bad_request(&format!("query: there is no {name:?} here")));
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

    /// a number from 0 to 65535, if it is there
    pub fn number(&self, name: &str) -> Result<Option<u16>, Failure> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let digits_only = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if digits_only => Ok(Some(number)),
            _ => Err(Failure::bad_request(&format!("query: {name} is a number"))),
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
    fn refuses_what_it_does_not_know() {
        assert!(Query::parse(Some("bogus=1"), &["stdout"]).is_err());
        assert!(Query::parse(Some("stdout=1&stdout=2"), &["stdout"]).is_err());
        for bad in ["stdout=-1", "stdout=+1", "stdout=x", "stdout=", "stdout=9007199254740992"] {
            assert!(Query::parse(Some(bad), &["stdout"]).unwrap().offset("stdout").is_err(), "{bad}");
        }
        assert!(Query::parse(Some("follow=yes"), &["follow"]).unwrap().flag("follow").is_err());
    }
}
