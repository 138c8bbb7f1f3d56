//! Expansion of one argument: never panics, and a text in single quotes comes back as it is.
#![no_main]

use gantry_dockerfile::word::Lexer;

const SET: &[(&str, &str)] = &[("a", "one two"), ("e", ""), ("long", "/x/y.tar.gz/z/x/y.tar.gz")];

libfuzzer_sys::fuzz_target!(|text: &str| {
    for escape in ['\\', '`'] {
        let lexer = Lexer::new(escape);
        let plain = lexer.expand(text, SET);
        let words = lexer.words(text, SET);
        assert_eq!(plain.is_ok(), words.is_ok());
        let kept = lexer.keep_quotes().keep_escapes().keep_unset();
        let _ = kept.expand(text, SET);
    }
    if !text.contains('\'') {
        let quoted = Lexer::new('\\').expand(&format!("'{text}'"), SET).expect("closed quotes");
        assert_eq!(quoted.text, text);
    }
});
