//! Columns aligned as Go's tabwriter aligns them.

use std::io::Write;

use tabwriter::TabWriter;

/// Aligns tab-separated lines: columns at least 10 wide, 3 blanks between.
#[must_use]
pub fn align(text: &str) -> String {
    with(text, 10)
}

/// The same with another least width.
#[must_use]
pub fn with(text: &str, least: usize) -> String {
    // The crate adds the padding after the least width, Go counts it in.
    let mut writer = TabWriter::new(Vec::new())
        .minwidth(least.saturating_sub(3))
        .padding(3);
    let written = writer
        .write_all(text.as_bytes())
        .and_then(|()| writer.flush());
    match (written, writer.into_inner()) {
        (Ok(()), Ok(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
        // Writing to memory does not fail; unaligned text is better than none.
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_ten_wide_and_three_apart() {
        let text =
            super::align("NETWORK ID\tNAME\tDRIVER\tSCOPE\n94beed7e1e64\tbridge\tbridge\tlocal\n");
        assert_eq!(
            text,
            "NETWORK ID     NAME      DRIVER    SCOPE\n94beed7e1e64   bridge    bridge    local\n"
        );
    }
}
