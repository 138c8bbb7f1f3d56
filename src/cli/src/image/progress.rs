//! The lines of pull, push, load and import: a bar per layer on a terminal, plain lines in a pipe.

use std::io::{BufRead, BufReader, Read, Write};

use gantry_api::progress::{Detail, Line};
use serde_json::Value;

use crate::failure::{Failure, Outcome};
use crate::format::units;

/// Where the lines go.
pub struct Screen<'a> {
    /// Standard output, or standard error for the pull of a `run`.
    pub out: &'a mut dyn Write,
    /// Columns of the terminal; `None` prints no bars.
    pub columns: Option<usize>,
}

/// Shows every line of a stream and hands each `aux` to `aux`.
///
/// # Errors
/// The failure the stream ended with.
pub fn show(
    from: impl Read,
    screen: &mut Screen<'_>,
    mut aux: impl FnMut(Value) -> Outcome,
) -> Outcome {
    let mut ids: Vec<String> = Vec::new();
    for text in BufReader::new(from).lines() {
        let text = text?;
        if text.trim().is_empty() {
            continue;
        }
        let line: Line = serde_json::from_str(&text)?;
        if let Some(value) = line.aux {
            aux(value)?;
            continue;
        }
        if let Some(detail) = &line.error_detail {
            return Err(Failure {
                code: if detail.code == 0 { 1 } else { detail.code },
                ..Failure::new(detail.message.clone())
            });
        }
        if !line.error.is_empty() {
            return Err(Failure::new(line.error));
        }
        print(&line, screen, &mut ids).map_err(|error| match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::exit(141),
            _ => error.into(),
        })?;
    }
    Ok(())
}

fn print(line: &Line, screen: &mut Screen<'_>, ids: &mut Vec<String>) -> std::io::Result<()> {
    let moves = line
        .detail
        .as_ref()
        .is_some_and(|detail| detail.current != 0 || detail.total != 0);
    let Some(columns) = screen.columns else {
        if moves || !line.progress.is_empty() {
            return Ok(());
        }
        return plain(line, screen.out, "");
    };
    // A terminal shows one line per layer, changed in place.
    let has_progress = line.detail.is_some() || !line.progress.is_empty();
    let mut up = 0;
    if !line.id.is_empty() && has_progress {
        let at = ids.iter().position(|id| *id == line.id).unwrap_or_else(|| {
            ids.push(line.id.clone());
            usize::MAX
        });
        if at == usize::MAX {
            writeln!(screen.out)?;
            up = 1;
        } else {
            up = ids.len() - at;
        }
        write!(screen.out, "\x1b[{up}A\x1b[2K\r")?;
    } else {
        ids.clear();
    }
    let bar = line
        .detail
        .as_ref()
        .map(|detail| bar(detail, columns))
        .unwrap_or_default();
    if up > 0 {
        write!(screen.out, "{}: {} {bar}", line.id, line.status)?;
        write!(screen.out, "\r\x1b[{up}B")?;
        screen.out.flush()
    } else {
        plain(line, screen.out, &bar)
    }
}

fn plain(line: &Line, out: &mut dyn Write, bar: &str) -> std::io::Result<()> {
    if !line.stream.is_empty() {
        write!(out, "{}", line.stream)?;
        return out.flush();
    }
    let id = if line.id.is_empty() {
        String::new()
    } else {
        format!("{}: ", line.id)
    };
    let from = if line.from.is_empty() {
        String::new()
    } else {
        format!("(from {}) ", line.from)
    };
    let bar = if bar.is_empty() {
        String::new()
    } else {
        format!(" {bar}")
    };
    writeln!(out, "{id}{from}{}{bar}", line.status)?;
    out.flush()
}

/// `[====>      ]  1.2MB/3.4MB`.
fn bar(detail: &Detail, columns: usize) -> String {
    use crate::container::list::as_float;
    if detail.current <= 0 && detail.total <= 0 {
        return String::new();
    }
    let current = units::human(as_float(detail.current));
    let numbers = |number: i64| {
        if detail.units.is_empty() {
            units::human(as_float(number))
        } else {
            format!("{number} {}", detail.units)
        }
    };
    if detail.total <= 0 {
        return format!("{current:>8}");
    }
    let percent = (as_float(detail.current) / as_float(detail.total) * 100.0 / 2.0).min(50.0);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to 50"
    )]
    let filled = percent.max(0.0) as usize;
    let picture = if columns > 110 {
        let blanks = 50usize.saturating_sub(filled);
        format!("[{}>{}] ", "=".repeat(filled), " ".repeat(blanks))
    } else {
        String::new()
    };
    if detail.hide_counts {
        return picture;
    }
    let mut text = format!("{:>8}/{}", numbers(detail.current), numbers(detail.total));
    if detail.current > detail.total {
        text = format!("{current:>8}");
    }
    format!("{picture}{text}")
}

#[cfg(test)]
mod tests {
    use super::{Screen, show};

    fn shown(stream: &str, columns: Option<usize>) -> (String, Result<(), String>) {
        let mut out = Vec::new();
        let outcome = show(
            stream.as_bytes(),
            &mut Screen {
                out: &mut out,
                columns,
            },
            |_| Ok(()),
        );
        (
            String::from_utf8_lossy(&out).into_owned(),
            outcome.map_err(|error| error.text),
        )
    }

    #[test]
    fn a_pipe_sees_no_bars() {
        let stream = concat!(
            "{\"status\":\"Pulling from library/x\",\"id\":\"latest\"}\r\n",
            "{\"status\":\"Downloading\",\"progressDetail\":{\"current\":1,\"total\":2},\"progress\":\"[>]\",\"id\":\"aa\"}\r\n",
            "{\"status\":\"Pull complete\",\"progressDetail\":{},\"id\":\"aa\"}\r\n",
            "{\"errorDetail\":{\"message\":\"gone\"},\"error\":\"gone\"}\r\n"
        );
        let (text, outcome) = shown(stream, None);
        assert_eq!(text, "latest: Pulling from library/x\naa: Pull complete\n");
        assert_eq!(outcome, Err("gone".to_owned()));
    }

    #[test]
    fn a_terminal_sees_a_bar_in_place() {
        let stream = "{\"status\":\"Downloading\",\"progressDetail\":{\"current\":500,\"total\":1000},\"id\":\"aa\"}\r\n";
        let (text, _) = shown(stream, Some(80));
        assert_eq!(
            text,
            "\n\x1b[1A\x1b[2K\raa: Downloading     500B/1kB\r\x1b[1B"
        );
    }
}
