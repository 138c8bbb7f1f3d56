//! Go templates with docker's functions.

use gotmpl::{MissingKey, Template, TemplateError, Value};
use serde_json::Value as Json;

use super::ordered::Originals;

/// A template with the functions docker adds.
pub struct Format {
    template: Template,
    source: String,
}

/// What the functions do in a header row: leave the titles readable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Row {
    /// A row of values.
    Data,
    /// The row of titles.
    Header,
}

impl Format {
    /// Reads a template.
    ///
    /// # Errors
    /// Go's words for what is wrong with it: `template: :1: unclosed action`.
    pub fn parse(source: &str, row: Row, missing: MissingKey) -> Result<Self, String> {
        Self::with_order(source, row, missing, Originals::default())
    }

    /// The same, `json` printing the objects of `originals` with their keys in the order they came in.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn with_order(
        source: &str,
        row: Row,
        missing: MissingKey,
        originals: Originals,
    ) -> Result<Self, String> {
        let called = call_methods(source);
        let mut template = Template::new("").missing_key(missing);
        template = functions(template, row, originals);
        let template = template
            .parse(&called)
            .map_err(|error| parse_text(&error))?;
        Ok(Self {
            template,
            source: source.to_owned(),
        })
    }

    /// Fills the template in.
    ///
    /// # Errors
    /// Go's words for a field that is not there, told of the type `what`; no type means a map.
    pub fn fill(&self, data: &Value, what: Option<&str>) -> Result<String, String> {
        let (text, filled) = self.fill_partly(data, what);
        filled.map(|()| text)
    }

    /// The same, also giving what was filled in before the fault.
    pub fn fill_partly(&self, data: &Value, what: Option<&str>) -> (String, Result<(), String>) {
        let mut text = String::new();
        let filled = self.template.execute_fmt(&mut text, data);
        (text, filled.map_err(|error| self.explain(&error, what)))
    }

    fn explain(&self, error: &TemplateError, what: Option<&str>) -> String {
        match error {
            TemplateError::MissingKey { key } => {
                let (line, column, chain) = place(&self.source, key);
                let why = match what {
                    Some(what) => format!("can't evaluate field {key} in type {what}"),
                    None => format!("map has no entry for key \"{key}\""),
                };
                format!("template: :{line}:{column}: executing \"\" at <{chain}>: {why}")
            }
            TemplateError::UndefinedFunction(name) => {
                format!("template: :1: function \"{name}\" not defined")
            }
            error => format!("template: :1: executing \"\": {error}"),
        }
    }
}

/// Turns JSON into template data.
#[must_use]
pub fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Nil,
        Json::Bool(yes) => Value::Bool(*yes),
        Json::Number(number) => number
            .as_i64()
            .map(Value::Int)
            .or_else(|| number.as_u64().map(Value::Uint))
            .unwrap_or_else(|| Value::Float(number.as_f64().unwrap_or_default())),
        Json::String(text) => Value::String(text.as_str().into()),
        Json::Array(list) => Value::List(list.iter().map(value).collect()),
        Json::Object(map) => Value::Map(std::sync::Arc::new(
            map.iter()
                .map(|(key, each)| (key.as_str().into(), value(each)))
                .collect(),
        )),
    }
}

/// Go reports a parse error by line only.
fn parse_text(error: &TemplateError) -> String {
    match error {
        TemplateError::Parse { line, message, .. } | TemplateError::Lex { line, message, .. } => {
            format!("template: :{line}: {message}")
        }
        TemplateError::UndefinedFunction(name) => {
            format!("template: :1: function \"{name}\" not defined")
        }
        other => format!("template: :1: {other}"),
    }
}

/// `{{.Label "x"}}` calls a method; the template language here calls functions in fields by `call`.
fn call_methods(source: &str) -> String {
    source
        .replace("{{.Label ", "{{call .Label ")
        .replace("(.Label ", "(call .Label ")
        .replace("{{ .Label ", "{{ call .Label ")
}

/// Line, column and the chain of fields of the first use of `key`.
fn place(source: &str, key: &str) -> (usize, usize, String) {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let dotted = format!(".{key}");
    let bytes = source.as_bytes();
    let found = source
        .match_indices(&dotted)
        .find(|(at, _)| {
            bytes
                .get(at + dotted.len())
                .is_none_or(|&byte| !is_word(byte))
        })
        .map_or(0, |(at, _)| at);
    let start = bytes[..found]
        .iter()
        .rposition(|&byte| !is_word(byte) && byte != b'.' && byte != b'$')
        .map_or(0, |at| at + 1);
    let end = bytes[found + 1..]
        .iter()
        .position(|&byte| !is_word(byte) && byte != b'.')
        .map_or(bytes.len(), |at| found + 1 + at);
    let line = 1 + source[..found].matches('\n').count();
    let column = found - source[..found].rfind('\n').map_or(0, |at| at + 1);
    (line, column, source[start..end].to_owned())
}

type Answer = Result<Value, TemplateError>;

fn text(arguments: &[Value], index: usize) -> String {
    arguments
        .get(index)
        .map(ToString::to_string)
        .unwrap_or_default()
}

fn string(text: impl AsRef<str>) -> Answer {
    Ok(Value::String(text.as_ref().into()))
}

fn functions(template: Template, row: Row, originals: Originals) -> Template {
    let header = row == Row::Header;
    // A header row shows titles, which are no lists and not to be cut.
    let title = |arguments: &[Value]| string(text(arguments, 0));
    template
        .func("json", move |arguments| {
            if header {
                title(arguments)
            } else {
                json(arguments, &originals)
            }
        })
        .func("join", move |arguments| {
            if header {
                title(arguments)
            } else {
                join(arguments)
            }
        })
        .func("truncate", move |arguments| {
            if header {
                title(arguments)
            } else {
                truncate(arguments)
            }
        })
        .func("split", split)
        .func("title", capitalize)
        .func("lower", |arguments| {
            string(text(arguments, 0).to_lowercase())
        })
        .func("upper", |arguments| {
            string(text(arguments, 0).to_uppercase())
        })
        .func("pad", pad)
}

fn split(arguments: &[Value]) -> Answer {
    let separator = text(arguments, 1);
    let whole = text(arguments, 0);
    Ok(Value::List(
        whole
            .split(&separator)
            .map(|part| Value::String(part.into()))
            .collect(),
    ))
}

fn capitalize(arguments: &[Value]) -> Answer {
    let text = text(arguments, 0);
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    string(first.unwrap_or_default() + letters.as_str())
}

fn number(arguments: &[Value], index: usize) -> usize {
    let number = arguments.get(index).and_then(Value::as_int).unwrap_or(0);
    usize::try_from(number).unwrap_or(0)
}

fn pad(arguments: &[Value]) -> Answer {
    let text = text(arguments, 0);
    if text.is_empty() {
        return string(text);
    }
    let blanks = |index| " ".repeat(number(arguments, index));
    string(format!("{}{text}{}", blanks(1), blanks(2)))
}

fn truncate(arguments: &[Value]) -> Answer {
    string(
        text(arguments, 0)
            .chars()
            .take(number(arguments, 1))
            .collect::<String>(),
    )
}

fn join(arguments: &[Value]) -> Answer {
    let separator = text(arguments, 1);
    match arguments.first() {
        Some(Value::List(list)) => {
            let parts: Vec<String> = list.iter().map(ToString::to_string).collect();
            string(parts.join(&separator))
        }
        Some(Value::Nil) | None => string(""),
        Some(other) => string(other.to_string()),
    }
}

fn json(arguments: &[Value], originals: &Originals) -> Answer {
    string(arguments.first().map_or_else(
        || "null".to_owned(),
        |value| originals.text(&to_json(value)),
    ))
}

fn to_json(value: &Value) -> Json {
    match value {
        Value::Bool(yes) => Json::Bool(*yes),
        Value::Int(number) => Json::from(*number),
        Value::Uint(number) => Json::from(*number),
        Value::Float(number) => Json::from(*number),
        Value::String(text) => Json::from(text.as_ref()),
        Value::List(list) => Json::Array(list.iter().map(to_json).collect()),
        Value::Map(map) => Json::Object(
            map.iter()
                .map(|(key, value)| (key.to_string(), to_json(value)))
                .collect(),
        ),
        _ => Json::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::{Format, Row, value};
    use gotmpl::MissingKey;
    use serde_json::json;

    fn fill(source: &str, data: &serde_json::Value) -> Result<String, String> {
        Format::parse(source, Row::Data, MissingKey::Error)?.fill(&value(data), None)
    }

    #[test]
    fn dockers_functions() {
        let data = json!({"A": "x y", "L": ["a", "b"], "N": 3, "O": {"k": 1}});
        assert_eq!(
            fill("{{upper .A}} {{join .L \",\"}} {{json .O}}", &data).as_deref(),
            Ok("X Y a,b {\"k\":1}")
        );
        assert_eq!(
            fill(
                "{{index (split .A \" \") 1}}|{{pad .A 1 2}}|{{truncate .A 1}}",
                &data
            )
            .as_deref(),
            Ok("y| x y  |x")
        );
        assert_eq!(
            fill("{{range $k, $v := .O}}{{$k}}={{$v}}{{end}}", &data).as_deref(),
            Ok("k=1")
        );
    }

    #[test]
    fn a_missing_field_is_told_where_go_would_tell_it() {
        let text = fill("{{.O.Foo}}", &json!({"O": {}})).expect_err("missing");
        assert_eq!(
            text,
            r#"template: :1:4: executing "" at <.O.Foo>: map has no entry for key "Foo""#
        );
        let text = fill("{{.ID", &json!({})).expect_err("unclosed");
        assert_eq!(text, "template: :1: unclosed action");
    }
}
