//! Reads an archive entry by entry. Accepts ustar, GNU and PAX with their long names, sparse forms and extended
//! attributes, an archive cut right after its last body (docker build sends such), and anything behind the end mark.

use std::io::{self, Read};

use tar_core::parse::{Limits, ParseEvent, ParsedEntry, Parser};
use tar_core::{EntryType, PaxExtensions};

use super::{Entry, Kind, Sparse};
use crate::error::{Error, Result};

const BLOCK: usize = 512;
const CHUNK: usize = 128 * 1024;
const PATH_MAX: u32 = 4096;

/// Sees the bytes of an archive that are no file's content: headers, padding, end marks.
pub trait Frame {
    /// Takes the next such bytes, in the order of the archive.
    ///
    /// # Errors
    /// Whatever stops the reading.
    fn raw(&mut self, bytes: &[u8]) -> Result<()>;
}

/// Drops them.
impl Frame for () {
    fn raw(&mut self, _bytes: &[u8]) -> Result<()> {
        Ok(())
    }
}

/// An archive being read.
pub struct Reader<R> {
    from: R,
    parser: Parser,
    buf: Vec<u8>,
    start: usize,
    end: usize,
    eof: bool,
    body: u64,
    padding: u64,
}

impl<R> std::fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

fn bad(what: impl std::fmt::Display) -> Error {
    Error::Invalid(format!("archive/tar: {what}"))
}

impl<R: Read> Reader<R> {
    /// Begins; the stream must not be compressed (see [`crate::compress::open`]).
    pub fn new(from: R) -> Reader<R> {
        let limits = Limits {
            max_path_len: Some(PATH_MAX),
            max_sparse_entries: 1 << 20,
            ..Limits::default()
        };
        let mut parser = Parser::new(limits);
        parser.set_ignore_pax_errors(true);
        Reader {
            from,
            parser,
            buf: vec![0; CHUNK],
            start: 0,
            end: 0,
            eof: false,
            body: 0,
            padding: 0,
        }
    }

    /// The stream behind it.
    pub fn into_inner(self) -> R {
        self.from
    }

    /// Makes at least `want` bytes available; false when the stream ends before.
    fn fill(&mut self, want: usize) -> Result<bool> {
        if self.start > 0 && self.start + want > self.buf.len() {
            self.buf.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if want > self.buf.len() {
            self.buf.resize(want.next_multiple_of(CHUNK), 0);
        }
        while self.end - self.start < want && !self.eof {
            match self.from.read(&mut self.buf[self.end..]) {
                Ok(0) => self.eof = true,
                Ok(n) => self.end += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::Stream(e)),
            }
        }
        Ok(self.end - self.start >= want)
    }

    /// The next entry, or `None` at the end. What is left of the body before is skipped.
    ///
    /// # Errors
    /// `archive/tar: …` for a damaged archive, the stream's errors otherwise.
    pub fn next(&mut self, frame: &mut dyn Frame) -> Result<Option<Entry>> {
        self.skip(frame)?;
        let mut want = BLOCK;
        loop {
            if !self.fill(want)? {
                return self.cut(frame);
            }
            let event = self
                .parser
                .parse(&self.buf[self.start..self.end])
                .map_err(bad)?;
            let (consumed, entry) = match event {
                ParseEvent::NeedData { min_bytes } => {
                    want = min_bytes.max(self.end - self.start + 1);
                    continue;
                }
                ParseEvent::End { consumed } => (consumed, None),
                ParseEvent::GlobalExtensions { consumed, .. } => {
                    frame.raw(&self.buf[self.start..self.start + consumed])?;
                    self.start += consumed;
                    want = BLOCK;
                    continue;
                }
                ParseEvent::Entry { consumed, entry } => (consumed, Some(convert(&entry, None)?)),
                ParseEvent::SparseEntry {
                    consumed,
                    entry,
                    sparse_map,
                    real_size,
                } => {
                    let runs = sparse_map
                        .iter()
                        .map(|run| (run.offset, run.length))
                        .collect();
                    (
                        consumed,
                        Some(convert(
                            &entry,
                            Some(Sparse {
                                runs,
                                length: real_size,
                            }),
                        )?),
                    )
                }
            };
            frame.raw(&self.buf[self.start..self.start + consumed])?;
            self.start += consumed;
            let Some(entry) = entry else {
                self.rest(frame)?;
                return Ok(None);
            };
            self.body = entry.size;
            self.padding = entry.size.next_multiple_of(BLOCK as u64) - entry.size;
            return Ok(Some(entry));
        }
    }

    /// The stream ended where a header could have begun.
    fn cut(&mut self, frame: &mut dyn Frame) -> Result<Option<Entry>> {
        let left = &self.buf[self.start..self.end];
        if left.iter().any(|b| *b != 0) {
            return Err(bad("invalid tar header"));
        }
        frame.raw(left)?;
        self.start = self.end;
        Ok(None)
    }

    /// Everything behind the end mark.
    fn rest(&mut self, frame: &mut dyn Frame) -> Result<()> {
        loop {
            frame.raw(&self.buf[self.start..self.end])?;
            self.start = self.end;
            if !self.fill(1)? {
                return Ok(());
            }
        }
    }

    /// The next bytes of the body; empty at its end.
    ///
    /// # Errors
    /// `unexpected EOF` when the archive is cut within the body.
    pub fn body(&mut self) -> Result<&[u8]> {
        if self.body == 0 {
            return Ok(&[]);
        }
        if !self.fill(1)? {
            return Err(Error::Invalid("unexpected EOF".to_owned()));
        }
        let n = ((self.end - self.start) as u64).min(self.body) as usize;
        self.body -= n as u64;
        let from = self.start;
        self.start += n;
        Ok(&self.buf[from..from + n])
    }

    /// The whole body, up to `limit` bytes.
    ///
    /// # Errors
    /// Larger than the limit; cut.
    pub fn body_to_vec(&mut self, limit: u64) -> Result<Vec<u8>> {
        if self.body > limit {
            return Err(bad(format_args!(
                "entry of {} bytes: at most {limit} are taken here",
                self.body
            )));
        }
        let mut all = Vec::with_capacity(self.body as usize);
        loop {
            let part = self.body()?;
            if part.is_empty() {
                return Ok(all);
            }
            all.extend_from_slice(part);
        }
    }

    fn skip(&mut self, frame: &mut dyn Frame) -> Result<()> {
        while self.body > 0 {
            let n = self.body()?.len();
            frame.raw(&self.buf[self.start - n..self.start])?;
        }
        if self.padding > 0 {
            let want = self.padding as usize;
            self.padding = 0;
            let have = if self.fill(want)? {
                want
            } else {
                self.end - self.start
            };
            frame.raw(&self.buf[self.start..self.start + have])?;
            self.start += have;
        }
        Ok(())
    }
}

impl<R: Read> Read for Reader<R> {
    /// Reads the current entry's body.
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.body == 0 || to.is_empty() {
            return Ok(0);
        }
        if !self.fill(1).map_err(io::Error::other)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let n = (self.end - self.start)
            .min(to.len())
            .min(usize::try_from(self.body).unwrap_or(usize::MAX));
        to[..n].copy_from_slice(&self.buf[self.start..self.start + n]);
        self.start += n;
        self.body -= n as u64;
        Ok(n)
    }
}

fn convert(from: &ParsedEntry<'_>, sparse: Option<Sparse>) -> Result<Entry> {
    let path = from.path.to_vec();
    let kind = match from.entry_type {
        // Old archives write directories as files whose name ends in a slash.
        EntryType::Regular if path.ends_with(b"/") && sparse.is_none() => Kind::Dir,
        EntryType::Regular | EntryType::Continuous | EntryType::GnuSparse => Kind::File,
        EntryType::Link => Kind::HardLink,
        EntryType::Symlink => Kind::Symlink,
        EntryType::Char => Kind::Char,
        EntryType::Block => Kind::Block,
        EntryType::Directory => Kind::Dir,
        EntryType::Fifo => Kind::Fifo,
        other => {
            return Err(bad(format_args!(
                "unhandled tar header type {:?}",
                char::from(other.to_byte())
            )));
        }
    };
    if let Some(sparse) = &sparse {
        check_sparse(sparse, from.size)?;
    }
    if path.contains(&0) {
        return Err(bad("path with a NUL byte"));
    }
    let id =
        |id: u64| u32::try_from(id).map_err(|_| bad(format_args!("owner {id} is out of range")));
    let (mtime, mtime_nsec) = mtime(from);
    // Go reads no body for anything but files, whatever the header says.
    let size = if kind == Kind::File { from.size } else { 0 };
    Ok(Entry {
        path,
        kind,
        link: from.link_target.as_deref().unwrap_or_default().to_vec(),
        mode: from.mode & 0o7777,
        uid: id(from.uid)?,
        gid: id(from.gid)?,
        mtime,
        mtime_nsec,
        size,
        device: (from.dev_major.unwrap_or(0), from.dev_minor.unwrap_or(0)),
        xattrs: from
            .xattrs
            .iter()
            .map(|(name, value)| (name.to_vec(), value.to_vec()))
            .collect(),
        sparse,
    })
}

fn check_sparse(sparse: &Sparse, size: u64) -> Result<()> {
    let mut at = 0;
    let mut total = 0u64;
    for (offset, length) in &sparse.runs {
        let end = offset
            .checked_add(*length)
            .filter(|end| *offset >= at && *end <= sparse.length);
        at = end.ok_or_else(|| bad("invalid sparse map"))?;
        total += length;
    }
    if total == size {
        Ok(())
    } else {
        Err(bad("sparse map and size disagree"))
    }
}

/// PAX `mtime` may carry a sign and a fraction, which the header cannot.
fn mtime(from: &ParsedEntry<'_>) -> (i64, u32) {
    let header = (i64::try_from(from.mtime).unwrap_or(i64::MAX), 0);
    let Some(pax) = from.pax else { return header };
    let Some(text) = PaxExtensions::new(pax).get("mtime") else {
        return header;
    };
    parse_time(text).unwrap_or(header)
}

fn parse_time(text: &str) -> Option<(i64, u32)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    let nanos: u32 = digits.parse().ok()?;
    if whole.starts_with('-') && nanos > 0 {
        return Some((seconds - 1, 1_000_000_000 - nanos));
    }
    Some((seconds, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_with_fraction_and_sign() {
        assert_eq!(parse_time("12"), Some((12, 0)));
        assert_eq!(parse_time("12.5"), Some((12, 500_000_000)));
        assert_eq!(parse_time("-1.25"), Some((-2, 750_000_000)));
        assert_eq!(parse_time("x"), None);
        assert_eq!(parse_time("1.123456789123"), Some((1, 123_456_789)));
    }

    #[test]
    fn cut_and_empty_archives_end() {
        for bytes in [vec![], vec![0; 512], vec![0; 1024], vec![0; 10240]] {
            assert!(Reader::new(&bytes[..]).next(&mut ()).unwrap().is_none());
        }
        assert!(Reader::new(&[1u8; 100][..]).next(&mut ()).is_err());
        assert!(Reader::new(&[1u8; 600][..]).next(&mut ()).is_err());
    }
}
