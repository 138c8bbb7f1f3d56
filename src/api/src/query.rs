//! Query parameters of one value.

/// Whether a boolean parameter counts as true: empty, `0`, `no`, `false` and `none` (any case, blanks around ignored)
/// are false, anything else is true.
#[must_use]
pub fn boolean(value: &str) -> bool {
    let value = value.trim();
    !["", "0", "no", "false", "none"]
        .iter()
        .any(|no| value.eq_ignore_ascii_case(no))
}

/// [`boolean`] for a parameter that may be missing, which is `default`.
#[must_use]
pub fn boolean_or(value: Option<&str>, default: bool) -> bool {
    value.map_or(default, boolean)
}

#[cfg(test)]
mod tests {
    use super::{boolean, boolean_or};

    #[test]
    fn only_the_five_words_are_false() {
        for no in ["", "0", "no", "FALSE", "None", " 0 "] {
            assert!(!boolean(no), "{no:?}");
        }
        for yes in ["1", "true", "yes", "2", "f", "off"] {
            assert!(boolean(yes), "{yes:?}");
        }
        assert!(boolean_or(None, true));
        assert!(!boolean_or(Some(""), true));
    }
}
