//! GVariant text, the form in which annotations give values for systemd's properties
//! (GLib reference, "GVariant Text Format"): `'text'`, `uint64 5`, `[1, 2]`, `('a', true)`, `@as []`, `{'k': <1>}`.

use super::wire::Value;

/// Reads one value. The error says what is wrong and where.
pub fn parse(text: &str) -> Result<Value, String> {
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
    };
    let value = parser.value(None)?;
    parser.space();
    if parser.at < text.len() {
        return parser.refuse("something behind the value");
    }
    Ok(value)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

type Parsed<T> = Result<T, String>;

impl Parser<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn refuse<T>(&self, what: &str) -> Parsed<T> {
        Err(format!("{what} at byte {} of {:?}", self.at, self.text))
    }

    fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.space();
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn word(&mut self) -> String {
        self.space();
        let inside = |c: char| c.is_ascii_alphanumeric() || "+-._".contains(c);
        let rest = self.rest();
        let word = rest[..rest.find(|c| !inside(c)).unwrap_or(rest.len())].to_owned();
        self.at += word.len();
        word
    }

    /// A value, of the type `wanted` where the text before told one.
    fn value(&mut self, wanted: Option<&str>) -> Parsed<Value> {
        /// Deeper nesting is an attack on the stack.
        const DEEPEST: usize = 16;
        self.depth += 1;
        if self.depth > DEEPEST {
            return self.refuse("nesting too deep");
        }
        self.space();
        let value = match self.rest().chars().next() {
            Some('\'' | '"') => self.quoted(wanted)?,
            Some('[') => self.array(wanted)?,
            Some('(') => self.tuple(wanted)?,
            Some('{') => self.dictionary(wanted)?,
            Some('<') => self.variant()?,
            Some('@') => {
                self.at += 1;
                let signature = self.signature()?;
                self.value(Some(&signature))?
            }
            Some(_) => self.simple(wanted)?,
            None => return self.refuse("a value is missing"),
        };
        self.depth -= 1;
        match wanted.filter(|w| *w != value.signature()) {
            Some(wanted) => self.refuse(&format!("a value that is not of type {wanted:?}")),
            None => Ok(value),
        }
    }

    fn signature(&mut self) -> Parsed<String> {
        let rest = self.rest();
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let signature = rest[..end].to_owned();
        // D-Bus has no longer ones.
        if (1..=255).contains(&signature.len()) && first_type(&signature) == Some(signature.len()) {
            self.at += end;
            return Ok(signature);
        }
        self.refuse("no type")
    }

    fn quoted(&mut self, wanted: Option<&str>) -> Parsed<Value> {
        let mut letters = self.rest().char_indices();
        let quote = letters.next().map(|(_, c)| c);
        let mut text = String::new();
        while let Some((index, letter)) = letters.next() {
            match letter {
                _ if Some(letter) == quote => {
                    self.at += index + 1;
                    return Ok(match wanted {
                        Some("o") => Value::Path(text),
                        Some("g") => Value::Signature(text),
                        _ => Value::Text(text),
                    });
                }
                '\\' => match letters.next().map(|(_, c)| c) {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some(other @ ('\\' | '\'' | '"')) => text.push(other),
                    _ => return self.refuse("an unknown escape in the text"),
                },
                '\0' => return self.refuse("a NUL in the text"),
                other => text.push(other),
            }
        }
        self.refuse("a text without end")
    }

    /// Members up to `close`, each read by `one`.
    fn members<T>(
        &mut self,
        close: &str,
        mut one: impl FnMut(&mut Self, usize) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        let mut members = Vec::new();
        while !self.eat(close) {
            if !members.is_empty() && !self.eat(",") {
                return self.refuse(&format!("neither \",\" nor {close:?}"));
            }
            if !members.is_empty() && self.eat(close) {
                break;
            }
            let index = members.len();
            members.push(one(self, index)?);
        }
        Ok(members)
    }

    fn array(&mut self, wanted: Option<&str>) -> Parsed<Value> {
        self.at += 1;
        let mut member = wanted.and_then(|w| w.strip_prefix('a')).map(str::to_owned);
        let items = self.members("]", |parser, _| {
            let item = parser.value(member.as_deref())?;
            member.get_or_insert_with(|| item.signature());
            Ok(item)
        })?;
        match member {
            Some(member) => Ok(Value::Array(member, items)),
            None => self.refuse("an empty array without type (write \"@as []\")"),
        }
    }

    fn tuple(&mut self, wanted: Option<&str>) -> Parsed<Value> {
        self.at += 1;
        let inner = wanted.and_then(|w| w.strip_prefix('(')?.strip_suffix(')'));
        let mut types = inner.map(types).unwrap_or_default().into_iter();
        let items = self.members(")", |parser, _| parser.value(types.next().as_deref()))?;
        Ok(Value::Tuple(items))
    }

    fn dictionary(&mut self, wanted: Option<&str>) -> Parsed<Value> {
        self.at += 1;
        let inner = wanted.and_then(|w| w.strip_prefix("a{")?.strip_suffix('}'));
        let told = inner.map(types).filter(|t| t.len() == 2);
        let mut pair = told.map(|mut t| (t.remove(0), t.remove(0)));
        let entries = self.members("}", |parser, _| {
            let key = parser.value(pair.as_ref().map(|p| p.0.as_str()))?;
            if !parser.eat(":") {
                return parser.refuse("a key without \":\"");
            }
            let value = parser.value(pair.as_ref().map(|p| p.1.as_str()))?;
            pair.get_or_insert_with(|| (key.signature(), value.signature()));
            Ok(Value::Entry(Box::new(key), Box::new(value)))
        })?;
        match pair {
            Some((key, value)) => Ok(Value::Array(format!("{{{key}{value}}}"), entries)),
            None => self.refuse("an empty dictionary without type"),
        }
    }

    fn variant(&mut self) -> Parsed<Value> {
        self.at += 1;
        let inner = self.value(None)?;
        if self.eat(">") {
            return Ok(Value::Variant(Box::new(inner)));
        }
        self.refuse("a variant without \">\"")
    }

    fn simple(&mut self, wanted: Option<&str>) -> Parsed<Value> {
        const KEYWORDS: [(&str, &str); 13] = [
            ("boolean", "b"),
            ("byte", "y"),
            ("int16", "n"),
            ("uint16", "q"),
            ("int32", "i"),
            ("handle", "h"),
            ("uint32", "u"),
            ("int64", "x"),
            ("uint64", "t"),
            ("double", "d"),
            ("string", "s"),
            ("objectpath", "o"),
            ("signature", "g"),
        ];
        let word = self.word();
        if let Some((_, signature)) = KEYWORDS.iter().find(|(name, _)| *name == word) {
            return self.value(Some(signature));
        }
        match word.as_str() {
            "true" => return Ok(Value::Bool(true)),
            "false" => return Ok(Value::Bool(false)),
            _ => {}
        }
        let default = if word.contains(['.', 'e']) && !word.starts_with("0x") {
            "d"
        } else {
            "i"
        };
        match number(&word, wanted.unwrap_or(default)) {
            Some(value) => Ok(value),
            None => self.refuse(&format!("{word:?} is no value of its type")),
        }
    }
}

/// A number of the type `signature`: decimal, 0x hexadecimal or 0 octal.
fn number(word: &str, signature: &str) -> Option<Value> {
    if signature == "d" {
        return word.parse().ok().map(Value::F64);
    }
    let negative = word.starts_with('-');
    let digits = word.strip_prefix(['-', '+']).unwrap_or(word);
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let magnitude = match digits {
        hex if hex.starts_with("0x") => u128::from_str_radix(&hex[2..], 16),
        octal if octal.len() > 1 && octal.starts_with('0') => u128::from_str_radix(&octal[1..], 8),
        decimal => decimal.parse(),
    };
    let magnitude = i128::try_from(magnitude.ok()?).ok()?;
    let n = if negative { -magnitude } else { magnitude };
    Some(match signature {
        "y" => Value::Byte(n.try_into().ok()?),
        "n" => Value::I16(n.try_into().ok()?),
        "q" => Value::U16(n.try_into().ok()?),
        "i" => Value::I32(n.try_into().ok()?),
        "u" => Value::U32(n.try_into().ok()?),
        "x" => Value::I64(n.try_into().ok()?),
        "t" => Value::U64(n.try_into().ok()?),
        _ => return None,
    })
}

/// How many bytes of `signature` its first complete type takes.
fn first_type(signature: &str) -> Option<usize> {
    let closing = |open: u8, close: u8| {
        let mut depth = 0_usize;
        signature.bytes().position(|b| {
            depth += usize::from(b == open);
            depth -= usize::from(b == close);
            depth == 0
        })
    };
    match signature.as_bytes().first()? {
        b'a' => first_type(&signature[1..]).map(|n| n + 1),
        b'(' => closing(b'(', b')').map(|n| n + 1),
        b'{' => closing(b'{', b'}').map(|n| n + 1),
        letter => b"ybnqiuxtdsogv".contains(letter).then_some(1),
    }
}

/// The complete types that `signature` is made of.
fn types(mut signature: &str) -> Vec<String> {
    let mut found = Vec::new();
    while let Some(length) = first_type(signature) {
        found.push(signature[..length].to_owned());
        signature = &signature[length..];
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values() {
        assert_eq!(parse("'a\\'b'"), Ok(Value::text("a'b")));
        assert_eq!(parse(" true "), Ok(Value::Bool(true)));
        assert_eq!(parse("uint64 0x10"), Ok(Value::U64(16)));
        assert_eq!(parse("-5"), Ok(Value::I32(-5)));
        assert_eq!(parse("1.5"), Ok(Value::F64(1.5)));
        assert_eq!(parse("@as []"), Ok(Value::texts([])));
        assert_eq!(parse("['a', 'b']"), Ok(Value::texts(["a", "b"])));
        assert_eq!(parse("@t 7"), Ok(Value::U64(7)));
        let tuple = Value::Tuple(vec![Value::text("x"), Value::U32(3)]);
        assert_eq!(parse("('x', uint32 3)"), Ok(tuple.clone()));
        assert_eq!(
            parse("@a(su) [('x', 3)]"),
            Ok(Value::Array("(su)".to_owned(), vec![tuple]))
        );
        assert_eq!(
            parse("{'k': <1>}").map(|v| v.signature()),
            Ok("a{sv}".to_owned())
        );
    }

    #[test]
    fn refusals() {
        for text in [
            "",
            "'a",
            "[]",
            "[1, 'a']",
            "uint16 70000",
            "5 6",
            "nonsense",
            "uint64 -1",
            "(1",
            "\\",
            "@",
            "@z 1",
            "-+5",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[\\[\\](){}<>@'\"a-z0-9 ,:\\\\.é-]{0,40}") {
            prop_assert!(parse(&text).is_ok() || parse(&text).is_err());
        }
    }
}
