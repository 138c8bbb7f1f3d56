//! Masks what no two runs have in common.

/// IDs, times, made-up names, process numbers, and the command's own name.
pub fn mask(text: &str) -> String {
    let text = text.replace("gantry", "docker");
    let text = words(&text, &word);
    let text = after(&text, "endpoint ", "<NAME>");
    let text = after(&text, "docker-import-", "<NUMBER>");
    let text = after(&text, "\"Pid\": ", "<PID>");
    // docker's cp sometimes logs that its own pipe was closed, and sometimes does not.
    let noise =
        |line: &&str| line.contains("Can't add file ") || line.contains("Can't close tar writer");
    text.lines()
        .filter(|line| !noise(line))
        .map(|line| ago(line) + "\n")
        .collect()
}

/// What two engines differ in besides: addresses, moments of creation, and the columns' widths that follow from them.
pub fn between_engines(text: &str) -> String {
    let text = text
        .replace("/var/lib/docker", "<DATA>")
        .replace("<FOLDER>/data", "<DATA>");
    let text = words(&text, &|word| {
        let digits = word.get(..64).unwrap_or_default();
        if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) && word.len() > 64 {
            return Some(format!("<ID>{}", &word[64..]));
        }
        let parts: Vec<&str> = word.split('.').collect();
        let number =
            |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let own = word.starts_with("127.") || word.starts_with("0.");
        if parts.len() == 4 && parts.iter().all(number) && !own {
            return Some("<IP>".to_owned());
        }
        let dashes: Vec<&str> = word.split('-').collect();
        if dashes.len() == 3 && dashes[0].len() == 4 && dashes.iter().all(number) {
            return Some("<DATE>".to_owned());
        }
        let pairs: Vec<&str> = word.split(':').collect();
        let two = |pair: &&str| number(&pair.split('.').next().unwrap_or_default());
        if pairs.len() == 3 && pairs[0].len() == 2 && pairs.iter().all(two) {
            return Some("<CLOCK>".to_owned());
        }
        let hexadecimal = |pair: &&str| pair.len() == 2 && u8::from_str_radix(pair, 16).is_ok();
        (pairs.len() == 6 && pairs.iter().all(hexadecimal)).then(|| "<MAC>".to_owned())
    });
    let squeeze = |line: &str| {
        let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
        words.join(" ") + "\n"
    };
    text.lines().map(squeeze).collect()
}

/// Replaces whole words, a word being letters, digits and what times and addresses are made of.
fn words(text: &str, replace: &dyn Fn(&str) -> Option<String>) -> String {
    let inside = |letter: char| letter.is_ascii_alphanumeric() || ":.-_+".contains(letter);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(inside) {
        out += &rest[..start];
        rest = &rest[start..];
        let end = rest.find(|letter| !inside(letter)).unwrap_or(rest.len());
        let whole = &rest[..end];
        let bare = whole.trim_end_matches(['.', ':', '-']);
        match replace(bare) {
            Some(masked) => out += &(masked + &whole[bare.len()..]),
            None => out += &parts(whole, replace),
        }
        rest = &rest[end..];
    }
    out + rest
}

/// Replaces within a word joined by colons or dashes: `sha256:…`.
fn parts(whole: &str, replace: &dyn Fn(&str) -> Option<String>) -> String {
    let pieces = whole
        .split(':')
        .map(|piece| replace(piece).unwrap_or_else(|| piece.to_owned()));
    pieces.collect::<Vec<_>>().join(":")
}

fn word(word: &str) -> Option<String> {
    let hexadecimal = word
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match word.len() {
        64 if hexadecimal => return Some("<ID>".to_owned()),
        12 if hexadecimal => return Some("<id>".to_owned()),
        _ => {}
    }
    let bytes = word.as_bytes();
    let date = bytes.len() >= 19
        && bytes[4] == b'-'
        && bytes[7] == b'-'
        && bytes[10] == b'T'
        && bytes[13] == b':';
    (date && bytes[..4].iter().all(u8::is_ascii_digit)).then(|| "<TIME>".to_owned())
}

/// Replaces the word that follows a phrase.
fn after(text: &str, phrase: &str, mask: &str) -> String {
    let mut pieces = text.split(phrase);
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let end = piece
            .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
            .unwrap_or(piece.len());
        out += &format!("{phrase}{mask}{}", &piece[end..]);
    }
    out
}

/// `3 seconds`, `About a minute`, `Less than a second` become one word; a line that had one loses its padding.
fn ago(line: &str) -> String {
    let mut rest = line.to_owned();
    let mut out = String::new();
    while let Some((at, unit)) = ["second", "minute", "hour"]
        .iter()
        .filter_map(|unit| rest.find(&format!(" {unit}")).map(|at| (at, *unit)))
        .min()
    {
        let before = &rest[..at];
        let phrase = ["Less than a", "About an", "About a"]
            .iter()
            .find(|phrase| before.ends_with(**phrase));
        let number = before.len()
            - before
                .trim_end_matches(|letter: char| letter.is_ascii_digit())
                .len();
        let length = phrase.map_or(number, |phrase| phrase.len());
        let end = at + 1 + unit.len();
        if length == 0 {
            out += &rest[..end];
            rest = rest[end..].to_owned();
            continue;
        }
        out += &format!("{}<AGO>", &before[..before.len() - length]);
        rest = rest[end..]
            .strip_prefix('s')
            .unwrap_or(&rest[end..])
            .to_owned();
    }
    if out.is_empty() {
        return rest;
    }
    let whole = out + &rest;
    let words: Vec<&str> = whole.split(' ').filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

#[test]
fn only_what_changes_is_masked() {
    let id = "0123456789ab";
    let long = "0".repeat(64);
    assert_eq!(
        mask(&format!("{id} sha256:{long} x")),
        "<id> sha256:<ID> x\n"
    );
    assert_eq!(mask("Up 3 seconds   a"), "Up <AGO> a\n");
    assert_eq!(
        mask("Up Less than a second (healthy)"),
        "Up <AGO> (healthy)\n"
    );
    assert_eq!(
        mask("\"At\": \"2026-11-20T22:53:57.2Z\","),
        "\"At\": \"<TIME>\",\n"
    );
    assert_eq!(mask("gantry: 10 apples"), "docker: 10 apples\n");
    assert_eq!(
        mask("{\"A\":\"24 seconds ago\"}, in a second"),
        "{\"A\":\"<AGO> ago\"}, in a second\n"
    );
    let moved = "172.18.0.2/16 f2:1b:4d:16:2c:e0   127.0.0.1";
    assert_eq!(between_engines(moved), "<IP>/16 <MAC> 127.0.0.1\n");
    assert_eq!(
        between_engines("2026-11-21 00:17:50.25 +0000"),
        "<DATE> <CLOCK> +0000\n"
    );
}
