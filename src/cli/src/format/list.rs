//! Lists of things: a table, one template per row, or JSON per row.

use std::collections::BTreeMap;

use gotmpl::{MissingKey, Value};
use serde_json::Value as Json;

use super::table;
use super::template::{Format, Row, value};
use crate::failure::{Failure, Outcome};
use crate::grammar::checks::quoted;
use crate::output;

/// One row: field names to what they print.
pub type Fields = BTreeMap<&'static str, Json>;

/// What a list prints and how.
pub struct List<'a> {
    /// `--format`, or the configuration file's, or empty.
    pub format: &'a str,
    /// Only IDs.
    pub quiet: bool,
    /// The template of the table, tabs between columns.
    pub table: &'a str,
    /// The template of `--quiet`.
    pub id: &'a str,
    /// The row's type, as Go names it in errors.
    pub what: &'a str,
    /// Titles of the fields.
    pub titles: &'a [(&'static str, &'static str)],
    /// The template of `--format raw`.
    pub raw: &'a str,
}

impl List<'_> {
    /// Prints the rows.
    ///
    /// # Errors
    /// For a template that does not parse or names what is not there.
    pub fn print(&self, rows: &[Fields]) -> Outcome {
        let format = self.format.trim();
        if matches!(format, "json" | "{{json .}}") {
            return self.json(rows);
        }
        let (aligned, source) = match format {
            "" | "table" if self.quiet => (false, self.id.to_owned()),
            "" | "table" => (true, self.table.to_owned()),
            "raw" => (false, self.raw.to_owned()),
            format => match format.strip_prefix("table") {
                Some(columns) => (true, columns.trim().to_owned()),
                None => (false, format.to_owned()),
            },
        };
        let source = source.replace("\\t", "\t").replace("\\n", "\n");
        let parse = |row| {
            Format::parse(&source, row, MissingKey::Error)
                .map_err(|text| Failure::new(format!("failed to parse template: {text}")))
        };
        let template = parse(Row::Data)?;
        let mut text = String::new();
        let mut failed = Ok(());
        for row in rows {
            match template.fill(&data(row), Some(self.what)) {
                Ok(row) => text += &format!("{row}\n"),
                Err(error) => {
                    let what = if error.ends_with(" not defined") {
                        "parse"
                    } else {
                        "execute"
                    };
                    failed = Err(Failure::new(format!("failed to {what} template: {error}")));
                    break;
                }
            }
        }
        if aligned && failed.is_ok() {
            text = table::align(&format!("{}\n{text}", self.header(&parse(Row::Header)?)));
        }
        // Go's writer is flushed before the error is told, but a table only when it is whole.
        if !(aligned && failed.is_err()) {
            output::text(&text)?;
        }
        failed
    }

    fn header(&self, template: &Format) -> String {
        let titles: BTreeMap<std::sync::Arc<str>, Value> = self
            .titles
            .iter()
            .map(|&(field, title)| (field.into(), Value::String(title.into())))
            .chain([(
                "Label".into(),
                Value::Function(std::sync::Arc::new(|arguments: &[Value]| {
                    let name = arguments
                        .first()
                        .map(ToString::to_string)
                        .unwrap_or_default();
                    Ok(Value::String(
                        name.rsplit('.')
                            .next()
                            .unwrap_or_default()
                            .replace(['-', '_'], " ")
                            .into(),
                    ))
                })),
            )])
            .collect();
        template
            .fill(&Value::Map(std::sync::Arc::new(titles)), Some(self.what))
            .unwrap_or_default()
    }

    fn json(&self, rows: &[Fields]) -> Outcome {
        let mut text = String::new();
        for row in rows {
            text += &html_safe(&serde_json::to_string(row)?);
            text.push('\n');
        }
        output::text(&text)
    }
}

/// Go's JSON of a whole row escapes what HTML would take for markup.
fn html_safe(json: &str) -> String {
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
}

/// A row as template data; `Labels` written `a=b,c=d` also answers to `.Label "a"`.
fn data(row: &Fields) -> Value {
    let mut map: BTreeMap<std::sync::Arc<str>, Value> = row
        .iter()
        .map(|(name, json)| ((*name).into(), value(json)))
        .collect();
    if let Some(Json::String(labels)) = row.get("Labels") {
        let labels = labels.clone();
        map.insert(
            "Label".into(),
            Value::Function(std::sync::Arc::new(move |arguments: &[Value]| {
                let name = arguments
                    .first()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                let found = labels
                    .split(',')
                    .find_map(|pair| pair.strip_prefix(&name)?.strip_prefix('='));
                Ok(Value::String(found.unwrap_or_default().into()))
            })),
        );
    }
    Value::Map(std::sync::Arc::new(map))
}

/// Labels as a row shows them.
#[must_use]
pub fn labels(map: Option<&BTreeMap<String, String>>) -> String {
    let pairs: Vec<String> = map
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join(",")
}

/// Fills a template of `--format` with one object and prints it on a line; `json` prints the object.
///
/// # Errors
/// For a template that does not parse or names what is not there.
pub fn one(format: &str, object: &Json, what: &str) -> Outcome {
    let source = if matches!(format, "json" | "{{json .}}") {
        "{{json .}}"
    } else {
        format
    };
    let source = source.replace("\\t", "\t").replace("\\n", "\n");
    let template = Format::parse(&source, Row::Data, MissingKey::Error)
        .map_err(|text| Failure::new(format!("template parsing error: {text}")).with_code(64))?;
    let (text, filled) = template.fill_partly(&value(object), Some(what));
    // Go has begun the line when it finds the fault.
    output::line(&text)?;
    filled.map_err(Failure::new)
}

/// A command as `ps` quotes it.
#[must_use]
pub fn quote(text: &str) -> String {
    quoted(text)
}
