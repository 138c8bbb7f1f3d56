//! One flag.

/// A flag and what its help says.
#[derive(Clone, Copy)]
pub struct Flag {
    /// The long name, without dashes.
    pub long: &'static str,
    /// The short name.
    pub short: Option<char>,
    /// The value's kind as help shows it; empty for a flag that is true by being there.
    pub kind: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// The value when not given, as help shows it.
    pub default: &'static str,
    /// Refuses a value, saying why.
    pub check: fn(&str) -> Result<(), String>,
    /// The value when the flag is given without one.
    pub bare: Option<&'static str>,
    /// Left out of help: old names that still work.
    pub hidden: bool,
}

fn any(_: &str) -> Result<(), String> {
    Ok(())
}

/// A flag that is true by being there.
pub const fn flag(long: &'static str, about: &'static str) -> Flag {
    Flag {
        long,
        short: None,
        kind: "",
        about,
        default: "",
        check: super::checks::boolean,
        bare: Some("true"),
        hidden: false,
    }
}

/// A flag with a value of some kind.
pub const fn option(long: &'static str, kind: &'static str, about: &'static str) -> Flag {
    Flag {
        long,
        short: None,
        kind,
        about,
        default: "",
        check: any,
        bare: None,
        hidden: false,
    }
}

impl Flag {
    /// Gives it a short name.
    #[must_use]
    pub const fn short(mut self, letter: char) -> Self {
        self.short = Some(letter);
        self
    }

    /// Gives it a value to show when not given.
    #[must_use]
    pub const fn default(mut self, value: &'static str) -> Self {
        self.default = value;
        self
    }

    /// Looks at each value.
    #[must_use]
    pub const fn check(mut self, check: fn(&str) -> Result<(), String>) -> Self {
        self.check = check;
        self
    }

    /// Lets it be given without a value, which then is this one.
    #[must_use]
    pub const fn bare(mut self, value: &'static str) -> Self {
        self.bare = Some(value);
        self
    }

    /// Leaves it out of help.
    #[must_use]
    pub const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// How refusals name it: `-m, --memory`.
    #[must_use]
    pub fn title(&self) -> String {
        match self.short {
            Some(letter) => format!("-{letter}, --{}", self.long),
            None => format!("--{}", self.long),
        }
    }
}
