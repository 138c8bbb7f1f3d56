//! A tar stream of any bytes: read to its end or refused; no entry is longer than the stream.
#![no_main]

use gantry_store::tar::read::Reader;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut reader = Reader::new(bytes);
    while let Ok(Some(entry)) = reader.next(&mut ()) {
        assert!(entry.path.len() <= bytes.len());
        if reader.body_to_vec(1 << 20).is_err() {
            return;
        }
    }
});
