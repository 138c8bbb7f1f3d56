//! docker's json-file log, byte for byte: one JSON object a line, lines above 16 KiB cut into pieces without newline
//! that share the first piece's time, rotation by size (`x.log` → `x.log.1` → …).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::SystemTime;

use crate::protocol::LogSetup;
use sys::clock::rfc3339_nano;

/// The longest piece of a line in one entry.
pub const PIECE: usize = 16 * 1024;

/// An open log.
#[derive(Debug)]
pub struct Log {
    setup: LogSetup,
    attributes: String,
    file: File,
    size: u64,
}

/// One stream's unfinished line.
#[derive(Debug, Default)]
pub struct Line {
    bytes: Vec<u8>,
    since: Option<String>,
}

impl Log {
    /// Opens or creates the log for appending.
    ///
    /// # Errors
    /// The kernel's, from opening the file.
    pub fn open(setup: LogSetup) -> io::Result<Self> {
        let file = open(&setup.path)?;
        let size = file.metadata()?.len();
        let attributes = if setup.attributes.is_empty() {
            String::new()
        } else {
            format!("\"attrs\":{},", serde_json::to_string(&setup.attributes)?)
        };
        Ok(Self {
            setup,
            attributes,
            file,
            size,
        })
    }

    /// Takes output of `stream`, writes each finished line or full piece.
    ///
    /// # Errors
    /// The kernel's, from writing; the bytes are then lost to the log.
    pub fn write(&mut self, stream: &str, line: &mut Line, mut bytes: &[u8]) -> io::Result<()> {
        let now = rfc3339_nano(SystemTime::now());
        let mut out = Vec::with_capacity(bytes.len() + 128);
        while !bytes.is_empty() {
            let room = PIECE - line.bytes.len();
            let end = bytes.iter().take(room).position(|byte| *byte == b'\n');
            let taken = end.map_or(bytes.len().min(room), |at| at + 1);
            line.bytes.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if end.is_some() {
                self.entry(
                    &mut out,
                    stream,
                    line.since.as_deref().unwrap_or(&now),
                    &line.bytes,
                );
                *line = Line::default();
            } else if line.bytes.len() >= PIECE {
                let since = line.since.get_or_insert_with(|| now.clone());
                self.entry(&mut out, stream, since, &line.bytes);
                line.bytes.clear();
            }
        }
        self.append(&out)
    }

    /// Writes what `stream` left without newline at its end.
    ///
    /// # Errors
    /// The kernel's, from writing.
    pub fn finish(&mut self, stream: &str, line: &mut Line) -> io::Result<()> {
        if line.bytes.is_empty() {
            return Ok(());
        }
        let last = std::mem::take(line);
        let now = last
            .since
            .unwrap_or_else(|| rfc3339_nano(SystemTime::now()));
        let mut out = Vec::new();
        self.entry(&mut out, stream, &now, &last.bytes);
        self.append(&out)
    }

    fn entry(&self, out: &mut Vec<u8>, stream: &str, time: &str, text: &[u8]) {
        out.extend_from_slice(b"{\"log\":\"");
        escape(text, out);
        out.extend_from_slice(b"\",\"stream\":\"");
        out.extend_from_slice(stream.as_bytes());
        out.extend_from_slice(b"\",");
        out.extend_from_slice(self.attributes.as_bytes());
        out.extend_from_slice(b"\"time\":\"");
        out.extend_from_slice(time.as_bytes());
        out.extend_from_slice(b"\"}\n");
    }

    /// Appends whole entries; a rotation falls between two entries, never inside one.
    fn append(&mut self, entries: &[u8]) -> io::Result<()> {
        if self.setup.max_size == 0 {
            return self.file.write_all(entries);
        }
        for entry in entries.split_inclusive(|byte| *byte == b'\n') {
            if self.size >= self.setup.max_size {
                self.rotate()?;
            }
            self.file.write_all(entry)?;
            self.size += entry.len() as u64;
        }
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let numbered = |number: u32| {
            let mut name = self.setup.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (2..self.setup.max_file).rev() {
            match fs::rename(numbered(number - 1), numbered(number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if self.setup.max_file > 1 {
            fs::rename(&self.setup.path, numbered(1))?;
            self.file = open(&self.setup.path)?;
        } else {
            self.file.set_len(0)?;
        }
        self.size = 0;
        Ok(())
    }
}

fn open(path: &std::path::Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)
}

/// Writes `text` as the inside of a JSON string exactly as docker's logger does: `<`, `>`, `&`, controls and the two
/// line separators as `\u…`, bytes that are not UTF-8 as `\ufffd`.
fn escape(text: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' | '"' => out.extend_from_slice(&[b'\\', character as u8]),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\u{2028}' => out.extend_from_slice(b"\\u2028"),
                '\u{2029}' => out.extend_from_slice(b"\\u2029"),
                '\0'..'\x20' | '<' | '>' | '&' => {
                    let byte = character as u8;
                    out.extend_from_slice(b"\\u00");
                    out.extend_from_slice(&[
                        HEX[usize::from(byte >> 4)],
                        HEX[usize::from(byte & 15)],
                    ]);
                }
                _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(name: &str, max_size: u64, max_file: u32) -> (PathBuf, Log) {
        let directory = std::env::temp_dir().join(format!("jsonlog-{}-{name}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join("x.log");
        let setup = LogSetup {
            path: path.clone(),
            max_size,
            max_file,
            attributes: serde_json::Map::new(),
        };
        (directory, Log::open(setup).unwrap())
    }

    #[test]
    fn escapes_as_docker_does() {
        let mut out = Vec::new();
        escape(b"a\t<\"\\>&\xff\x1b\r\n", &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"a\u0009\u003c\"\\\u003e\u0026\ufffd\u001b\r\n"#
        );
    }

    #[test]
    fn cuts_long_lines_and_keeps_the_time() {
        let (directory, mut log) = log("pieces", 0, 1);
        let mut line = Line::default();
        let mut text = vec![b'x'; PIECE + 10];
        text.extend_from_slice(b"\nshort\nrest");
        log.write("stdout", &mut line, &text).unwrap();
        log.finish("stdout", &mut line).unwrap();
        let written = fs::read_to_string(directory.join("x.log")).unwrap();
        let entries: Vec<serde_json::Value> = written
            .lines()
            .map(|entry| serde_json::from_str(entry).unwrap())
            .collect();
        assert_eq!(entries.len(), 4);
        assert_eq!(entries[0]["log"].as_str().unwrap().len(), PIECE);
        assert_eq!(entries[1]["log"], "xxxxxxxxxx\n");
        assert_eq!(entries[0]["time"], entries[1]["time"]);
        assert_eq!(entries[3]["log"], "rest");
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn rotates_between_entries() {
        let (directory, mut log) = log("rotate", 200, 3);
        let mut line = Line::default();
        for _ in 0..40 {
            log.write("stderr", &mut line, b"some line of text\n")
                .unwrap();
        }
        let names: Vec<_> = ["x.log", "x.log.1", "x.log.2", "x.log.3"]
            .map(|name| directory.join(name).exists())
            .into();
        assert_eq!(names, [true, true, true, false]);
        for name in ["x.log.1", "x.log.2"] {
            let text = fs::read_to_string(directory.join(name)).unwrap();
            assert!(
                text.ends_with("}\n") && text.len() >= 200 && text.len() < 300,
                "{name}: {}",
                text.len()
            );
        }
        fs::remove_dir_all(directory).unwrap();
    }
}
