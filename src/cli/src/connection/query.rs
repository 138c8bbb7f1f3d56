//! Percent-encoded paths and queries.

/// A query being put together; empty values may be left out.
#[derive(Clone, Debug, Default)]
pub struct Query(String);

impl Query {
    /// No parameters.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.push(if self.0.is_empty() { '?' } else { '&' });
        self.0 += name;
        self.0.push('=');
        escape(value, &mut self.0);
        self
    }

    /// Adds a parameter unless its value is empty.
    #[must_use]
    pub fn maybe(self, name: &str, value: &str) -> Self {
        if value.is_empty() {
            self
        } else {
            self.with(name, value)
        }
    }

    /// Adds `name=1` if so.
    #[must_use]
    pub fn when(self, name: &str, yes: bool) -> Self {
        if yes { self.with(name, "1") } else { self }
    }

    /// The text, `?` included.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// A path segment that may hold anything; slashes of image names stay.
#[must_use]
pub fn segment(text: &str) -> String {
    let mut out = String::new();
    for part in text.split('/') {
        escape(part, &mut out);
        out.push('/');
    }
    out.pop();
    out
}

fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~:@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            *out += &format!("%{byte:02X}");
        }
    }
}
