//! JSON as the engine wrote it: objects keep the order of their keys, which template data and `serde_json` sort.

use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;

/// Objects by their sorted text, each with the text it came as.
#[derive(Clone, Debug, Default)]
pub struct Originals(HashMap<String, String>);

impl Originals {
    /// The text of a value, its objects as they came where they are known.
    #[must_use]
    pub fn text(&self, json: &Json) -> String {
        match json {
            Json::Object(map) => self.0.get(&json.to_string()).cloned().unwrap_or_else(|| {
                let members: Vec<String> = map
                    .iter()
                    .map(|(key, value)| {
                        format!("{}:{}", Json::from(key.as_str()), self.text(value))
                    })
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
            Json::Array(list) => {
                let items: Vec<String> = list.iter().map(|item| self.text(item)).collect();
                format!("[{}]", items.join(","))
            }
            other => other.to_string(),
        }
    }

    /// Reads JSON, remembering the order of every object in it.
    ///
    /// # Errors
    /// For text that is no JSON.
    pub fn read(text: &str) -> Result<(Json, Self), serde_json::Error> {
        let ordered: Ordered = serde_json::from_str(text)?;
        let mut originals = Self::default();
        let json = originals.remember(ordered).0;
        Ok((json, originals))
    }

    fn remember(&mut self, ordered: Ordered) -> (Json, String) {
        match ordered {
            Ordered::Leaf(json) => {
                let text = json.to_string();
                (json, text)
            }
            Ordered::List(items) => {
                let (list, texts): (Vec<Json>, Vec<String>) =
                    items.into_iter().map(|item| self.remember(item)).unzip();
                (Json::Array(list), format!("[{}]", texts.join(",")))
            }
            Ordered::Object(members) => {
                let mut map = serde_json::Map::new();
                let mut texts = Vec::new();
                for (key, value) in members {
                    let (json, text) = self.remember(value);
                    texts.push(format!("{}:{text}", Json::from(key.as_str())));
                    map.insert(key, json);
                }
                let text = format!("{{{}}}", texts.join(","));
                let json = Json::Object(map);
                self.0.insert(json.to_string(), text.clone());
                (json, text)
            }
        }
    }
}

enum Ordered {
    Leaf(Json),
    List(Vec<Ordered>),
    Object(Vec<(String, Ordered)>),
}

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Ordered;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Ordered, E> {
        Ok(Ordered::Leaf(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Ordered, E> {
        Ok(Ordered::Leaf(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Ordered, E> {
        Ok(Ordered::Leaf(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Ordered, E> {
        Ok(Ordered::Leaf(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Ordered, E> {
        Ok(Ordered::Leaf(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Ordered, E> {
        Ok(Ordered::Leaf(Json::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Ordered, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Ordered::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Ordered::Object(members))
    }
}

/// Lays compact JSON out with four blanks per level, as `inspect` prints it, starting `depth` levels in.
#[must_use]
pub fn indent(compact: &str, depth: usize) -> String {
    let mut out = String::with_capacity(compact.len() * 2);
    let mut depth = depth;
    let mut quoted = false;
    let mut escaped = false;
    let mut letters = compact.trim().chars().peekable();
    while let Some(letter) = letters.next() {
        if quoted {
            out.push(letter);
            quoted = escaped || letter != '"';
            escaped = !escaped && letter == '\\';
            continue;
        }
        let line = |out: &mut String, depth: usize| {
            out.push('\n');
            out.push_str(&"    ".repeat(depth));
        };
        match letter {
            '"' => {
                quoted = true;
                out.push(letter);
            }
            '{' | '[' => {
                out.push(letter);
                while letters.next_if(|next| next.is_whitespace()).is_some() {}
                if let Some(close) = letters.next_if(|&next| next == '}' || next == ']') {
                    out.push(close);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(letter);
            }
            ',' => {
                out.push(letter);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            letter if letter.is_whitespace() => {}
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Originals, indent};

    #[test]
    fn keys_keep_their_order() {
        let text = r#"{"b":1,"a":{"d":[{"z":1,"y":2}],"c":null}}"#;
        let (json, originals) = Originals::read(text).expect("json");
        assert_eq!(originals.text(&json), text);
        assert_eq!(originals.text(&json["a"]["d"]), r#"[{"z":1,"y":2}]"#);
    }

    #[test]
    fn indents_as_go_does() {
        assert_eq!(
            indent(r#"{"a":[1,2],"b":{},"c":"x:{,\"}"}"#, 0),
            "{\n    \"a\": [\n        1,\n        2\n    ],\n    \"b\": {},\n    \"c\": \"x:{,\\\"}\"\n}"
        );
    }
}
