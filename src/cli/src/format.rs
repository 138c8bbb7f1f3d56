//! How things are printed: sizes, durations, tables, Go templates.

pub mod duration;
pub mod list;
pub mod natural;
pub mod ordered;
pub mod table;
pub mod template;
pub mod time;
pub mod units;

/// Cuts text to `length` characters, the last being `…` when something was cut.
#[must_use]
pub fn ellipsis(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(length.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// The twelve digits by which people know an ID, its algorithm left out.
#[must_use]
pub fn short_id(id: &str) -> &str {
    let digits = id.split_once(':').map_or(id, |(_, digits)| digits);
    digits.get(..12).unwrap_or(digits)
}
