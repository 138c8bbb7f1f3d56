//! Writes an archive as Go's archive/tar does in its PAX format: a ustar header, preceded by a PAX record only for what
//! ustar cannot hold, records sorted by key, no names of owners, whole seconds. The same tree gives the same bytes on
//! every machine.

use std::io::{self, Read, Write};

use super::{Entry, Kind};
use crate::error::{Error, Result};

const BLOCK: usize = 512;
const NAME: usize = 100;

/// An archive being written.
#[derive(Debug)]
pub struct Writer<W> {
    to: W,
}

impl<W: Write> Writer<W> {
    /// Begins.
    pub fn new(to: W) -> Writer<W> {
        Writer { to }
    }

    /// Adds an entry; `body` gives exactly `entry.size` bytes for a file and is not read for the others.
    ///
    /// # Errors
    /// The stream's; a body that is shorter than said.
    pub fn append(&mut self, entry: &Entry, body: &mut dyn Read) -> Result<()> {
        let path = shown_path(entry);
        let records = records(entry, &path);
        if !records.is_empty() {
            self.pax(&path, &records)?;
        }
        self.to.write_all(&header(entry, &path))?;
        if entry.kind == Kind::File {
            let copied = io::copy(&mut body.take(entry.size), &mut self.to)?;
            if copied != entry.size {
                let path = String::from_utf8_lossy(&entry.path);
                return Err(Error::Corrupt(format!(
                    "{path:?} shrank from {} bytes while it was read",
                    entry.size
                )));
            }
            self.pad(entry.size)?;
        }
        Ok(())
    }

    /// Adds a file with these bytes.
    ///
    /// # Errors
    /// The stream's.
    pub fn append_bytes(&mut self, entry: &Entry, bytes: &[u8]) -> Result<()> {
        let entry = Entry {
            size: bytes.len() as u64,
            ..entry.clone()
        };
        self.append(&entry, &mut &bytes[..])
    }

    fn pax(&mut self, path: &[u8], records: &[(String, Vec<u8>)]) -> Result<()> {
        let data: Vec<u8> = records
            .iter()
            .flat_map(|(key, value)| record(key, value))
            .collect();
        let cut = path.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
        let (dir, file) = path.split_at(cut);
        let dir = String::from_utf8_lossy(dir).into_owned();
        let joined = format!("{dir}PaxHeaders.0/{}", String::from_utf8_lossy(file));
        let mut name = ascii(joined.trim_end_matches('/').as_bytes());
        name.truncate(NAME);
        while name.last() == Some(&b'/') {
            name.pop();
        }
        let mut block = Block::new(b'x');
        block.text(0, NAME, &name);
        block.octal(124, 12, data.len() as u64);
        self.to.write_all(&block.sealed())?;
        self.to.write_all(&data)?;
        self.pad(data.len() as u64)
    }

    fn pad(&mut self, size: u64) -> Result<()> {
        let n = size.next_multiple_of(BLOCK as u64) - size;
        Ok(self.to.write_all(&[0; BLOCK][..n as usize])?)
    }

    /// Writes the end mark and gives the stream back.
    ///
    /// # Errors
    /// The stream's.
    pub fn finish(mut self) -> Result<W> {
        self.to.write_all(&[0; 2 * BLOCK])?;
        self.to.flush()?;
        Ok(self.to)
    }
}

fn shown_path(entry: &Entry) -> Vec<u8> {
    let mut path = entry.path.clone();
    if entry.kind == Kind::Dir && !path.ends_with(b"/") {
        path.push(b'/');
    }
    path
}

fn fits(value: u64, width: u32) -> bool {
    value < 1 << (3 * (width - 1))
}

/// What ustar cannot hold, by key.
fn records(entry: &Entry, path: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let mut text = |key: &str, value: &[u8]| {
        if value.len() > NAME || !value.is_ascii() {
            all.push((key.to_owned(), value.to_vec()));
        }
    };
    text("path", path);
    text("linkpath", &entry.link);
    for (key, value, width) in [
        ("uid", u64::from(entry.uid), 8),
        ("gid", entry.gid.into(), 8),
        ("size", entry.size, 12),
    ] {
        if !fits(value, width) {
            all.push((key.to_owned(), value.to_string().into_bytes()));
        }
    }
    if entry.mtime < 0 || !fits(entry.mtime.unsigned_abs(), 12) {
        all.push(("mtime".to_owned(), entry.mtime.to_string().into_bytes()));
    }
    for (name, value) in &entry.xattrs {
        all.push((
            format!("SCHILY.xattr.{}", String::from_utf8_lossy(name)),
            value.clone(),
        ));
    }
    all.sort();
    all
}

/// `LENGTH key=value\n`, the length counting itself.
fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

fn ascii(text: &[u8]) -> Vec<u8> {
    text.iter()
        .copied()
        .filter(|b| b.is_ascii() && *b != 0)
        .collect()
}

fn header(entry: &Entry, path: &[u8]) -> [u8; BLOCK] {
    let mut block = Block::new(match entry.kind {
        Kind::File => b'0',
        Kind::HardLink => b'1',
        Kind::Symlink => b'2',
        Kind::Char => b'3',
        Kind::Block => b'4',
        Kind::Dir => b'5',
        Kind::Fifo => b'6',
    });
    block.text(0, NAME, &ascii(path));
    block.octal(100, 8, entry.mode.into());
    block.octal(108, 8, entry.uid.into());
    block.octal(116, 8, entry.gid.into());
    block.octal(
        124,
        12,
        if entry.kind == Kind::File {
            entry.size
        } else {
            0
        },
    );
    block.octal(136, 12, u64::try_from(entry.mtime).unwrap_or(0));
    block.text(157, NAME, &ascii(&entry.link));
    block.octal(329, 8, entry.device.0.into());
    block.octal(337, 8, entry.device.1.into());
    block.sealed()
}

struct Block([u8; BLOCK]);

impl Block {
    fn new(kind: u8) -> Block {
        let mut block = Block([0; BLOCK]);
        block.0[156] = kind;
        block.0[257..265].copy_from_slice(b"ustar\x0000");
        for (at, width) in [(100, 8), (108, 8), (116, 8), (124, 12), (136, 12)] {
            block.octal(at, width, 0);
        }
        block
    }

    fn text(&mut self, at: usize, width: usize, text: &[u8]) {
        let n = text.len().min(width);
        self.0[at..at + n].copy_from_slice(&text[..n]);
        // A cut name that ends in a slash would pass for a directory with readers that know no PAX.
        if text.len() > width {
            let mut last = at + width - 1;
            while last > at && self.0[last] == b'/' {
                self.0[last] = 0;
                last -= 1;
            }
        }
    }

    /// Zero where it does not fit: the PAX record before it says it.
    fn octal(&mut self, at: usize, width: u32, value: u64) {
        let value = if fits(value, width) { value } else { 0 };
        let text = format!("{value:0w$o}\0", w = width as usize - 1);
        self.0[at..at + width as usize].copy_from_slice(text.as_bytes());
    }

    fn sealed(mut self) -> [u8; BLOCK] {
        self.0[148..156].copy_from_slice(b"        ");
        let sum: u32 = self.0.iter().map(|b| u32::from(*b)).sum();
        self.0[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::super::read::Reader;
    use super::*;
    use proptest::prelude::*;

    fn kinds() -> impl Strategy<Value = Kind> {
        prop_oneof![
            Just(Kind::File),
            Just(Kind::HardLink),
            Just(Kind::Symlink),
            Just(Kind::Char),
            Just(Kind::Dir),
            Just(Kind::Fifo)
        ]
    }

    fn entries() -> impl Strategy<Value = (Entry, Vec<u8>)> {
        let name = "[a-zé/]{1,30}|[a-z/]{90,140}|x/{1,120}y";
        let body = proptest::collection::vec(any::<u8>(), 0..1500);
        (
            kinds(),
            name,
            name,
            any::<(u16, u32, u32, u16)>(),
            -9i64..1 << 40,
            body,
        )
            .prop_map(|(kind, path, link, (mode, uid, gid, dev), mtime, body)| {
                let mut entry = Entry::new(kind, format!("p{}", path.trim_end_matches('/')));
                (entry.mode, entry.uid, entry.gid, entry.mtime) =
                    (u32::from(mode) & 0o7777, uid, gid, mtime);
                if matches!(kind, Kind::HardLink | Kind::Symlink) {
                    entry.link = link.into_bytes();
                }
                if kind == Kind::Char {
                    entry.device = (dev.into(), 7);
                }
                entry.xattrs = vec![(b"user.k".to_vec(), b"v=\n1".to_vec())];
                let body = if kind == Kind::File { body } else { Vec::new() };
                entry.size = body.len() as u64;
                (entry, body)
            })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(all in proptest::collection::vec(entries(), 0..6)) {
            let mut writer = Writer::new(Vec::new());
            for (entry, body) in &all {
                writer.append(entry, &mut &body[..]).unwrap();
            }
            let bytes = writer.finish().unwrap();
            let mut reader = Reader::new(&bytes[..]);
            for (entry, body) in &all {
                let mut read = reader.next(&mut ()).unwrap().unwrap();
                if read.kind == Kind::Dir {
                    read.path.pop();
                }
                prop_assert_eq!(&read, entry);
                prop_assert_eq!(&reader.body_to_vec(1 << 20).unwrap(), body);
            }
            prop_assert!(reader.next(&mut ()).unwrap().is_none());
        }
    }

    #[test]
    fn no_pax_where_ustar_will_do() {
        let mut writer = Writer::new(Vec::new());
        let mut entry = Entry::new(Kind::File, "etc/hosts");
        (entry.mode, entry.mtime, entry.mtime_nsec) = (0o644, 1_700_000_000, 5);
        writer.append_bytes(&entry, b"x").unwrap();
        let bytes = writer.finish().unwrap();
        assert_eq!(bytes.len(), 4 * BLOCK);
        assert_eq!(&bytes[100..108], b"0000644\0");
        assert_eq!(&bytes[136..148], b"14524770400\0");
    }
}
