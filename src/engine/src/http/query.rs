//! Query parameters.

use gantry_api::filters::Filters;
use gantry_api::query::boolean;

use crate::error::{Error, Result};

/// A request's parameters in order.
#[derive(Debug, Clone, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads `a=b&c=d`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let pair = |part: &str| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (decode(name, true), decode(value, true))
        };
        Self(
            text.split('&')
                .filter(|part| !part.is_empty())
                .map(pair)
                .collect(),
        )
    }

    /// The first value of `name`, empty values included.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The first value of `name`, or the empty text.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// Every value of `name`.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// `name` as docker reads booleans.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        boolean(self.text(name))
    }

    /// `name` as a number; absent or empty is none.
    ///
    /// # Errors
    /// Invalid if it is not a number.
    pub fn number(&self, name: &str) -> Result<Option<i64>> {
        match self.text(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                Error::invalid(format!("strconv.Atoi: parsing \"{text}\": invalid syntax"))
            }),
        }
    }

    /// The `filters` parameter.
    ///
    /// # Errors
    /// Invalid if it is not docker's filter JSON.
    pub fn filters(&self) -> Result<Filters> {
        Ok(Filters::parse(self.text("filters"))?)
    }
}

/// Percent-decodes; with `plus`, `+` is a blank.
#[must_use]
pub fn decode(text: &str, plus: bool) -> String {
    let hex = |digit: Option<&u8>| {
        char::from(*digit?)
            .to_digit(16)
            .and_then(|value| u8::try_from(value).ok())
    };
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], hex(bytes.get(at + 1)), hex(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push(high << 4 | low);
                at += 2;
            }
            (b'+', ..) if plus => out.push(b' '),
            (byte, ..) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_encoded_pairs() {
        let query = Query::parse("name=a%2Fb+c&t=5&t=6&all=1&x");
        assert_eq!(query.text("name"), "a/b c");
        assert_eq!(query.all("t").collect::<Vec<_>>(), ["5", "6"]);
        assert!(query.flag("all") && !query.flag("none"));
        assert_eq!(query.number("t").unwrap(), Some(5));
        assert!(query.number("name").is_err());
    }
}
