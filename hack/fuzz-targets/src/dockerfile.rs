//! A Dockerfile of any bytes: read, linted, its stages planned; every instruction knows its line.
#![no_main]

use gantry_dockerfile::{lint, parse};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(file) = parse(text) else { return };
    let lines = text.lines().count() + 1;
    for instruction in file.stages.iter().flat_map(|stage| &stage.instructions) {
        assert!(instruction.line >= 1 && instruction.end <= lines && instruction.line <= instruction.end);
    }
    lint::check(&file, &lint::Check::default());
});
