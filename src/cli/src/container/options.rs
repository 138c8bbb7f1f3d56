//! The options of `run` and `create`: their flags, and the request they make.

pub mod api_socket;
pub mod config;
pub mod devices;
pub mod flags;
pub mod host;
pub mod limits;
pub mod mounts;
pub mod networks;
pub mod ports;

use crate::failure::Failure;

/// `key=value` pairs as a map; a bare key has an empty value.
#[must_use]
pub fn pairs(list: &[String]) -> gantry_api::word::Map {
    list.iter()
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// One line of comma-separated fields, a field quoted where it holds a comma (RFC 4180).
///
/// # Errors
/// For a quote that is not closed.
pub fn fields(text: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut field = String::new();
    let mut quoted = false;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.next_if_eq(&'"').is_some() => field.push('"'),
            '"' if quoted => quoted = false,
            '"' if field.is_empty() => quoted = true,
            '"' => {
                return Err(
                    "parse error on line 1, column 1: bare \" in non-quoted-field".to_owned(),
                );
            }
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            letter => field.push(letter),
        }
    }
    if quoted {
        return Err(
            "parse error on line 1, column 1: extraneous or missing \" in quoted-field".to_owned(),
        );
    }
    fields.push(field);
    Ok(fields)
}

/// A refusal of the whole command line, which exits with 125.
#[must_use]
pub fn refuse(text: impl Into<String>) -> Failure {
    Failure::new(text).with_code(125)
}

/// `None` for an empty list, as Go sends a nil one.
#[must_use]
pub fn some<T: Clone>(list: &[T]) -> Option<Vec<T>> {
    Some(list.to_vec()).filter(|list| !list.is_empty())
}
