//! D-Bus values and messages as bytes (D-Bus specification 0.42, "Marshaling" and "Message Format"), little-endian.

/// A value, self-describing.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `y`
    Byte(u8),
    /// `b`
    Bool(bool),
    /// `n`
    I16(i16),
    /// `q`
    U16(u16),
    /// `i`
    I32(i32),
    /// `u`
    U32(u32),
    /// `x`
    I64(i64),
    /// `t`
    U64(u64),
    /// `d`
    F64(f64),
    /// `s`
    Text(String),
    /// `o`
    Path(String),
    /// `g`
    Signature(String),
    /// `v`
    Variant(Box<Value>),
    /// `a` and the signature of its members.
    Array(String, Vec<Value>),
    /// `(…)`
    Tuple(Vec<Value>),
    /// `{kv}`, only inside arrays.
    Entry(Box<Value>, Box<Value>),
}

impl Value {
    /// A string.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// An array of strings.
    pub fn texts<'a>(items: impl IntoIterator<Item = &'a str>) -> Self {
        Self::Array("s".to_owned(), items.into_iter().map(Self::text).collect())
    }

    /// The type in the letters of the specification.
    pub fn signature(&self) -> String {
        let of = |items: &[Self]| items.iter().map(Self::signature).collect::<String>();
        match self {
            Self::Byte(_) => "y".to_owned(),
            Self::Bool(_) => "b".to_owned(),
            Self::I16(_) => "n".to_owned(),
            Self::U16(_) => "q".to_owned(),
            Self::I32(_) => "i".to_owned(),
            Self::U32(_) => "u".to_owned(),
            Self::I64(_) => "x".to_owned(),
            Self::U64(_) => "t".to_owned(),
            Self::F64(_) => "d".to_owned(),
            Self::Text(_) => "s".to_owned(),
            Self::Path(_) => "o".to_owned(),
            Self::Signature(_) => "g".to_owned(),
            Self::Variant(_) => "v".to_owned(),
            Self::Array(member, _) => format!("a{member}"),
            Self::Tuple(items) => format!("({})", of(items)),
            Self::Entry(key, value) => format!("{{{}{}}}", key.signature(), value.signature()),
        }
    }
}

fn pad(bytes: &mut Vec<u8>, to: usize) {
    bytes.resize(bytes.len().next_multiple_of(to), 0);
}

/// The boundary on which a type begins.
fn alignment(signature: &str) -> usize {
    match signature.as_bytes().first() {
        Some(b'n' | b'q') => 2,
        Some(b'b' | b'i' | b'u' | b's' | b'o' | b'a') => 4,
        Some(b'x' | b't' | b'd' | b'(' | b'{') => 8,
        _ => 1,
    }
}

fn length(bytes: usize) -> u32 {
    // A message has at most 128 MiB; what we send is bounded by config.json's size.
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Appends `value` at the boundary that its type needs, counted from the start of `out`.
pub fn put(out: &mut Vec<u8>, value: &Value) {
    pad(out, alignment(&value.signature()));
    match value {
        Value::Byte(n) => out.push(*n),
        Value::Bool(b) => out.extend(u32::from(*b).to_le_bytes()),
        Value::I16(n) => out.extend(n.to_le_bytes()),
        Value::U16(n) => out.extend(n.to_le_bytes()),
        Value::I32(n) => out.extend(n.to_le_bytes()),
        Value::U32(n) => out.extend(n.to_le_bytes()),
        Value::I64(n) => out.extend(n.to_le_bytes()),
        Value::U64(n) => out.extend(n.to_le_bytes()),
        Value::F64(n) => out.extend(n.to_le_bytes()),
        Value::Text(text) | Value::Path(text) => {
            out.extend(length(text.len()).to_le_bytes());
            out.extend(text.as_bytes());
            out.push(0);
        }
        Value::Signature(text) => {
            out.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
            out.extend(text.as_bytes());
            out.push(0);
        }
        Value::Variant(inner) => {
            put(out, &Value::Signature(inner.signature()));
            put(out, inner);
        }
        Value::Array(member, items) => {
            let at = out.len();
            out.extend([0; 4]);
            pad(out, alignment(member));
            let start = out.len();
            items.iter().for_each(|item| put(out, item));
            let size = length(out.len() - start).to_le_bytes();
            out[at..at + 4].copy_from_slice(&size);
        }
        Value::Tuple(items) => items.iter().for_each(|item| put(out, item)),
        Value::Entry(key, value) => {
            put(out, key);
            put(out, value);
        }
    }
}

/// A method to be called.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// Whom, unless the peer is the service itself.
    pub destination: Option<&'a str>,
    /// Which object.
    pub path: &'a str,
    /// Which interface.
    pub interface: &'a str,
    /// Which method.
    pub member: &'a str,
    /// With what.
    pub arguments: &'a [Value],
}

/// The bytes of `call` as message number `serial`.
pub fn method_call(call: &Call<'_>, serial: u32) -> Vec<u8> {
    const METHOD_CALL: u8 = 1;
    let mut body = Vec::new();
    call.arguments.iter().for_each(|a| put(&mut body, a));
    let field = |code: u8, value: Value| {
        Value::Tuple(vec![Value::Byte(code), Value::Variant(Box::new(value))])
    };
    let mut fields = vec![
        field(1, Value::Path(call.path.to_owned())),
        field(2, Value::text(call.interface)),
        field(3, Value::text(call.member)),
    ];
    fields.extend(call.destination.map(|d| field(6, Value::text(d))));
    if !call.arguments.is_empty() {
        let signature = call.arguments.iter().map(Value::signature).collect();
        fields.push(field(8, Value::Signature(signature)));
    }
    let mut out = vec![b'l', METHOD_CALL, 0, 1];
    out.extend(length(body.len()).to_le_bytes());
    out.extend(serial.to_le_bytes());
    put(&mut out, &Value::Array("(yv)".to_owned(), fields));
    pad(&mut out, 8);
    out.extend(body);
    out
}

/// What kind a received message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The answer to a call.
    Reply,
    /// The refusal of a call.
    Error,
    /// An announcement.
    Signal,
    /// Anything else.
    Other,
}

/// A received message; of its body, the leading simple values.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its kind.
    pub kind: Kind,
    /// The call it answers.
    pub reply_to: u32,
    /// The member of a signal.
    pub member: String,
    /// The name of an error.
    pub error: String,
    /// The values of the body up to the first that is an array or structure.
    pub body: Vec<Value>,
}

/// How long the message is that begins with these 16 bytes; `None` where they begin none.
pub fn size(head: &[u8; 16]) -> Option<usize> {
    /// The specification's limit.
    const MOST: usize = 128 << 20;
    let number = |at: usize| -> Option<usize> {
        let bytes: [u8; 4] = head[at..at + 4].try_into().ok()?;
        usize::try_from(if head[0] == b'l' {
            u32::from_le_bytes(bytes)
        } else {
            u32::from_be_bytes(bytes)
        })
        .ok()
    };
    let whole = number(12)?
        .checked_add(16)?
        .next_multiple_of(8)
        .checked_add(number(4)?)?;
    (whole <= MOST && matches!(head[0], b'l' | b'B')).then_some(whole)
}

/// Reads a whole message.
pub fn parse(bytes: &[u8]) -> Option<Message> {
    let mut at = Reader {
        bytes,
        position: 0,
        big: bytes.first() == Some(&b'B'),
    };
    let kind = match bytes.get(1)? {
        2 => Kind::Reply,
        3 => Kind::Error,
        4 => Kind::Signal,
        _ => Kind::Other,
    };
    let mut message = Message {
        kind,
        reply_to: 0,
        member: String::new(),
        error: String::new(),
        body: Vec::new(),
    };
    at.position = 12;
    let end = at.u32()? as usize + 16;
    let mut signature = String::new();
    while at.position < end {
        at.align(8);
        let code = at.byte()?;
        match (code, at.value("v")?) {
            (3, Value::Text(text)) => message.member = text,
            (4, Value::Text(text)) => message.error = text,
            (5, Value::U32(serial)) => message.reply_to = serial,
            (8, Value::Signature(text)) => signature = text,
            _ => {}
        }
    }
    at.align(8);
    for letter in signature.split("").filter(|l| !l.is_empty()) {
        if "a({".contains(letter) {
            break;
        }
        message.body.push(at.value(letter)?);
    }
    Some(message)
}

struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
    big: bool,
}

impl Reader<'_> {
    fn align(&mut self, to: usize) {
        self.position = self.position.next_multiple_of(to);
    }

    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let end = self.position.checked_add(count)?;
        let taken = self.bytes.get(self.position..end)?;
        self.position = end;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|b| b[0])
    }

    fn number<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.align(N);
        let big = self.big;
        let mut bytes: [u8; N] = self.take(N)?.try_into().ok()?;
        if big {
            bytes.reverse();
        }
        Some(bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.number().map(u32::from_le_bytes)
    }

    fn string(&mut self, length: usize) -> Option<String> {
        let text = String::from_utf8(self.take(length)?.to_vec()).ok()?;
        self.take(1)?;
        Some(text)
    }

    /// A value of a simple type or a variant of one.
    fn value(&mut self, signature: &str) -> Option<Value> {
        Some(match signature {
            "y" => Value::Byte(self.byte()?),
            "b" => Value::Bool(self.u32()? != 0),
            "n" => Value::I16(i16::from_le_bytes(self.number()?)),
            "q" => Value::U16(u16::from_le_bytes(self.number()?)),
            "i" => Value::I32(i32::from_le_bytes(self.number()?)),
            "u" => Value::U32(self.u32()?),
            "x" => Value::I64(i64::from_le_bytes(self.number()?)),
            "t" => Value::U64(u64::from_le_bytes(self.number()?)),
            "d" => Value::F64(f64::from_le_bytes(self.number()?)),
            "s" | "o" => {
                let length = self.u32()? as usize;
                Value::Text(self.string(length)?)
            }
            "g" => {
                let length = usize::from(self.byte()?);
                Value::Signature(self.string(length)?)
            }
            "v" => {
                let length = usize::from(self.byte()?);
                let inner = self.string(length)?;
                // One level is all that the headers and answers we read have.
                if inner == "v" {
                    return None;
                }
                self.value(&inner)?
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn arrays_are_padded_and_counted() {
        let value = Value::Array(
            "(sv)".to_owned(),
            vec![Value::Tuple(vec![
                Value::text("A"),
                Value::Variant(Box::new(Value::U64(7))),
            ])],
        );
        let mut out = Vec::new();
        put(&mut out, &value);
        let want: Vec<u8> = [
            &24_u32.to_le_bytes()[..],
            &[0; 4],
            &1_u32.to_le_bytes(),
            b"A\0",
            b"\x01t\0",
            &[0; 7],
            &7_u64.to_le_bytes(),
        ]
        .concat();
        assert_eq!(out, want);
        assert_eq!(value.signature(), "a(sv)");
    }

    #[test]
    fn what_is_written_is_read() {
        let arguments = [
            Value::U32(5),
            Value::Path("/a".to_owned()),
            Value::text("b"),
            Value::Bool(true),
        ];
        let call = Call {
            destination: Some("d.d"),
            path: "/p",
            interface: "i.i",
            member: "M",
            arguments: &arguments,
        };
        let bytes = method_call(&call, 9);
        assert_eq!(size(bytes[..16].try_into().unwrap()), Some(bytes.len()));
        let message = parse(&bytes).unwrap();
        assert_eq!((message.kind, message.member.as_str()), (Kind::Other, "M"));
        assert_eq!(
            message.body,
            [
                Value::U32(5),
                Value::text("/a"),
                Value::text("b"),
                Value::Bool(true)
            ]
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(parse(&bytes).is_none_or(|m| m.body.len() < 256));
        }
    }
}
