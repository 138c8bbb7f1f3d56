//! The accepted word nearest to a misspelt one.

/// The word of `accepted` at most two edits (insert, delete, replace, swap neighbours) from `written`, upper and lower
/// case alike; the first of the nearest, `None` where none is near or `written` is one of them.
#[must_use]
pub fn nearest<'a>(written: &str, accepted: &[&'a str]) -> Option<&'a str> {
    let written = written.to_lowercase();
    let limit = if written.chars().count() <= 3 { 1 } else { 2 };
    accepted
        .iter()
        .map(|word| (distance(&written, &word.to_lowercase()), *word))
        .filter(|(edits, _)| *edits <= limit && *edits > 0)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, word)| word)
}

/// Optimal string alignment distance, in edits.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > 2 {
        return usize::MAX;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (above[j - 1] + same).min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_and_a_far_one_is_not() {
        let words = ["RUN", "COPY", "ENTRYPOINT", "ENV"];
        assert_eq!(nearest("RNU", &words), Some("RUN"));
        assert_eq!(nearest("copi", &words), Some("COPY"));
        assert_eq!(nearest("ENTRYPONIT", &words), Some("ENTRYPOINT"));
        assert_eq!(nearest("HELLO", &words), None);
        assert_eq!(nearest("run", &words), None);
    }
}
