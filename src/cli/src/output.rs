//! Standard output. A closed pipe ends the command with the signal's exit code, without a word, as `docker ps | head` does.

use std::io::{self, Write};

use crate::failure::{Failure, Outcome};

/// Writes bytes.
pub fn bytes(bytes: &[u8]) -> Outcome {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::exit(141)),
        Err(error) => Err(error.into()),
    }
}

/// Writes text.
pub fn text(text: &str) -> Outcome {
    bytes(text.as_bytes())
}

/// Writes a line.
pub fn line(text: &str) -> Outcome {
    bytes(format!("{text}\n").as_bytes())
}

/// Writes a line to standard error; a standard error nobody reads loses it.
pub fn complain(text: &str) {
    eprintln!("{text}");
}

/// Asks on standard output and reads one line; true for `y` or `yes`.
///
/// # Errors
/// When standard input cannot be read.
pub fn confirm(question: &str) -> Outcome<bool> {
    text(&format!("{question} [y/N] "))?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(
        answer.trim().to_ascii_lowercase().as_str(),
        "y" | "yes"
    ))
}
