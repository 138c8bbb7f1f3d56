//! The `filters` parameter: `{"label":{"k=v":true}}`, and the old list form `{"label":["k=v"]}`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;

/// Filter names with the values asked for; several values of one name mean "any of".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters(BTreeMap<String, BTreeSet<String>>);

/// Why a `filters` parameter was refused; both are the client's fault (400).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FiltersError {
    /// Not JSON, or not of either form.
    Malformed(String),
    /// A filter this request does not know.
    Unknown(String),
}

impl fmt::Display for FiltersError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(_) => out.write_str("invalid filter"),
            Self::Unknown(name) => write!(out, "invalid filter '{name}'"),
        }
    }
}

impl std::error::Error for FiltersError {}

#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    Set(BTreeMap<String, bool>),
    List(Vec<String>),
}

impl Filters {
    /// Reads the parameter; missing or empty text is no filter at all.
    ///
    /// # Errors
    /// [`FiltersError::Malformed`] when the text is neither form.
    pub fn parse(text: &str) -> Result<Self, FiltersError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let read: Option<BTreeMap<String, Option<Values>>> = serde_json::from_str(text)
            .map_err(|error| FiltersError::Malformed(error.to_string()))?;
        let mut filters = Self::default();
        for (name, values) in read.unwrap_or_default() {
            let kept = filters.0.entry(name).or_default();
            match values {
                // dockerd does not look at the boolean: the key's presence is what counts.
                Some(Values::Set(set)) => kept.extend(set.into_keys()),
                Some(Values::List(list)) => kept.extend(list),
                None => {}
            }
        }
        Ok(filters)
    }

    /// Adds one value, as `--filter name=value` does.
    pub fn add(&mut self, name: &str, value: &str) {
        self.0
            .entry(name.to_owned())
            .or_default()
            .insert(value.to_owned());
    }

    /// Refuses names other than `known`.
    ///
    /// # Errors
    /// [`FiltersError::Unknown`] with the first unknown name.
    pub fn only(&self, known: &[&str]) -> Result<(), FiltersError> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(FiltersError::Unknown(name.clone())),
            None => Ok(()),
        }
    }

    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the filter is given at all.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The values of one filter, sorted; none when it is not given.
    pub fn get(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.get(name).into_iter().flatten().map(String::as_str)
    }

    /// The filter as a boolean, `None` when it is not given. One of `1`, `true`, `0`, `false`, nothing else.
    ///
    /// # Errors
    /// [`FiltersError::Malformed`] for other words, or for both at once.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>, FiltersError> {
        let Some(values) = self.0.get(name) else {
            return Ok(None);
        };
        let yes = values.contains("1") || values.contains("true");
        let no = values.contains("0") || values.contains("false");
        if yes == no {
            return Err(FiltersError::Malformed(name.to_owned()));
        }
        Ok(Some(yes))
    }

    /// Takes a filter's values out, as the command line does with those it answers itself.
    pub fn remove(&mut self, name: &str) -> BTreeSet<String> {
        self.0.remove(name).unwrap_or_default()
    }

    /// The parameter's text: `{"label":{"k=v":true}}`; empty when nothing is asked for.
    #[must_use]
    pub fn to_parameter(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let sets: BTreeMap<&str, BTreeMap<&str, bool>> = self
            .0
            .iter()
            .map(|(name, values)| {
                let set = values.iter().map(|value| (value.as_str(), true)).collect();
                (name.as_str(), set)
            })
            .collect();
        serde_json::to_string(&sets).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{Filters, FiltersError};

    #[test]
    fn both_forms_mean_the_same() {
        let set = Filters::parse(r#"{"label":{"a":true,"k=v":true}}"#).expect("set form");
        let list = Filters::parse(r#"{"label":["k=v","a"]}"#).expect("list form");
        assert_eq!(set, list);
        assert_eq!(set.get("label").collect::<Vec<_>>(), ["a", "k=v"]);
        assert_eq!(set.to_parameter(), r#"{"label":{"a":true,"k=v":true}}"#);
        assert!(Filters::parse("").expect("empty").is_empty());
        assert!(Filters::parse("null").expect("null").is_empty());
    }

    #[test]
    fn unknown_names_and_other_forms_are_refused() {
        let filters = Filters::parse(r#"{"dangling":{"true":true}}"#).expect("filter");
        assert_eq!(filters.boolean("dangling"), Ok(Some(true)));
        let unknown = filters.only(&["label"]).expect_err("unknown name");
        assert_eq!(unknown.to_string(), "invalid filter 'dangling'");
        assert!(matches!(
            Filters::parse("x"),
            Err(FiltersError::Malformed(_))
        ));
        assert!(Filters::parse(r#"{"a":1}"#).is_err());
    }
}
