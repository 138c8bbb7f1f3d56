//! The order of names with numbers in them.

/// Names sort as people count: `n2` before `n10`.
#[must_use]
pub fn natural(name: &str) -> Vec<(String, u64)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let text = rest
            .find(|letter: char| letter.is_ascii_digit())
            .unwrap_or(rest.len());
        let (word, tail) = rest.split_at(text);
        let digits = tail
            .find(|letter: char| !letter.is_ascii_digit())
            .unwrap_or(tail.len());
        let (digits, tail) = tail.split_at(digits);
        parts.push((word.to_owned(), digits.parse().unwrap_or(0)));
        rest = tail;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::natural;

    #[test]
    fn names_sort_by_number() {
        let mut names = ["n10", "n2", "a"];
        names.sort_by_key(|name| natural(name));
        assert_eq!(names, ["a", "n2", "n10"]);
    }
}
