//! Compression is recognised by the first bytes, never by name or media type: clients send gzip under
//! `application/x-tar`. gzip with many members and zstd with skippable frames are read to their end.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::process::{Child, Command, Stdio};

use crate::durable;
use crate::error::{At, Error, Result};

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const BZIP2: &[u8] = b"BZh";
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// By `bzip2`, taken off by that program.
    Bzip2,
    /// By `xz`, taken off by that program, as docker does.
    Xz,
}

/// Tells by the first bytes (6 suffice).
#[must_use]
pub fn sniff(magic: &[u8]) -> Compression {
    let skippable =
        magic.len() >= 4 && magic[0] & 0xf0 == 0x50 && magic[1..4] == [0x2a, 0x4d, 0x18];
    if magic.starts_with(GZIP) {
        Compression::Gzip
    } else if magic.starts_with(ZSTD) || skippable {
        Compression::Zstd
    } else if magic.starts_with(BZIP2) && magic.get(3).is_some_and(u8::is_ascii_digit) {
        Compression::Bzip2
    } else if magic.starts_with(XZ) {
        Compression::Xz
    } else {
        Compression::None
    }
}

/// A stream with its compression taken off.
pub enum Opened<R: Read> {
    /// It had none.
    Plain(BufReader<Prefixed<R>>),
    /// It was gzip.
    Gzip(Box<flate2::bufread::MultiGzDecoder<BufReader<Prefixed<R>>>>),
    /// It was zstd.
    Zstd(zstd::Decoder<'static, BufReader<Prefixed<R>>>),
    /// Another program takes it off.
    Program(Program, BufReader<Prefixed<R>>),
}

impl<R: Read> std::fmt::Debug for Opened<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Opened::Plain(_) => "Plain",
            Opened::Gzip(_) => "Gzip",
            Opened::Zstd(_) => "Zstd",
            Opened::Program(..) => "Program",
        })
    }
}

/// A decompressor at work on a spooled stream.
#[derive(Debug)]
pub struct Program {
    name: &'static str,
    child: Child,
}

impl Program {
    /// Spools the stream to an unnamed file, for a pipe into the program would need a second thread, and starts it.
    fn start(name: &'static str, from: &mut impl Read) -> Result<Program> {
        let path = std::env::temp_dir().join(durable::unique("gantry-spool"));
        let mut file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .at("create", &path)?;
        std::fs::remove_file(&path).at("remove", &path)?;
        io::copy(from, &mut file).at("write", &path)?;
        file.seek(SeekFrom::Start(0)).at("seek in", &path)?;
        let child = Command::new(name)
            .args(["-d", "-c", "-q"])
            .stdin(file)
            .stderr(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        let child = child.map_err(|e| {
            Error::Unsupported(format!(
                "{name} archive: the program {name}, which would read it, cannot be started: {e}"
            ))
        })?;
        Ok(Program { name, child })
    }
}

impl Read for Program {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Some(out) = &mut self.child.stdout else {
            return Ok(0);
        };
        let n = out.read(buf)?;
        if n == 0 && !buf.is_empty() {
            let status = self.child.wait()?;
            if !status.success() {
                return Err(io::Error::other(format!(
                    "{} cannot read the archive: {status}",
                    self.name
                )));
            }
        }
        Ok(n)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only for a child that was waited for already.
        if self.child.kill().is_ok() && self.child.wait().is_err() {
            tracing::debug!("{} was reaped elsewhere", self.name);
        }
    }
}

/// A stream and the bytes read from it to know it.
pub type Prefixed<R> = io::Chain<io::Cursor<Vec<u8>>, R>;

/// Recognises the compression and takes it off.
///
/// # Errors
/// The stream's; no program for bzip2 or xz.
pub fn open<R: Read>(mut from: R) -> Result<Opened<R>> {
    let mut magic = Vec::with_capacity(6);
    (&mut from).take(6).read_to_end(&mut magic)?;
    let kind = sniff(&magic);
    let mut whole = BufReader::with_capacity(64 * 1024, io::Cursor::new(magic).chain(from));
    Ok(match kind {
        Compression::None => Opened::Plain(whole),
        Compression::Gzip => Opened::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(whole))),
        Compression::Zstd => Opened::Zstd(zstd::Decoder::with_buffer(whole)?),
        Compression::Bzip2 => Opened::Program(Program::start("bzip2", &mut whole)?, whole),
        Compression::Xz => Opened::Program(Program::start("xz", &mut whole)?, whole),
    })
}

impl<R: Read> Opened<R> {
    /// Reads what is behind the compressed data, so that a digest kept beneath covers all of it.
    ///
    /// # Errors
    /// The stream's.
    pub fn drain(self) -> Result<R> {
        let mut inner = match self {
            Opened::Plain(inner) => inner,
            Opened::Gzip(gzip) => gzip.into_inner(),
            Opened::Zstd(zstd) => zstd.finish(),
            Opened::Program(_, inner) => inner,
        };
        loop {
            let n = inner.fill_buf()?.len();
            if n == 0 {
                return Ok(inner.into_inner().into_inner().1);
            }
            inner.consume(n);
        }
    }
}

impl<R: Read> Read for Opened<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Opened::Plain(inner) => inner.read(buf),
            Opened::Gzip(inner) => inner.read(buf),
            Opened::Zstd(inner) => inner.read(buf),
            Opened::Program(inner, _) => inner.read(buf),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn read(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        open(bytes).unwrap().read_to_end(&mut out).unwrap();
        out
    }

    #[test]
    fn all_kinds_and_many_members() {
        let gzip = |text: &[u8]| {
            let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            to.write_all(text).unwrap();
            to.finish().unwrap()
        };
        assert_eq!(read(b"plain"), b"plain");
        assert_eq!(read(b""), b"");
        assert_eq!(read(&[gzip(b"one "), gzip(b"two")].concat()), b"one two");
        let skip = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
        let zst = |text: &[u8]| zstd::encode_all(text, 3).unwrap();
        assert_eq!(
            read(&[skip.clone(), zst(b"one "), skip, zst(b"two")].concat()),
            b"one two"
        );
    }

    #[test]
    fn by_programs() {
        for name in ["bzip2", "xz"] {
            let made = Command::new(name)
                .arg("-c")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn();
            let Ok(mut child) = made else {
                eprintln!("skipped: needs {name}");
                continue;
            };
            child.stdin.take().unwrap().write_all(b"text").unwrap();
            let packed = child.wait_with_output().unwrap().stdout;
            assert_eq!(read(&packed), b"text");
            assert!(
                open(&packed[..packed.len() - 8])
                    .unwrap()
                    .read_to_end(&mut Vec::new())
                    .is_err()
            );
        }
    }
}
