//! .dockerignore: the first line is a path, the rest are rules. A rule that is the path itself excludes it.
#![no_main]

use gantry_dockerfile::ignore::{Ignore, clean};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let (path, rules) = text.split_once('\n').unwrap_or((text, ""));
    let path = clean(path);
    if let Ok(ignore) = Ignore::parse(rules) {
        let excluded = ignore.excludes(&path);
        ignore.may_include_below(&path);
        assert!(!excluded || !ignore.is_empty());
    }
});
