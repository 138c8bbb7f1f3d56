//! The frame of a layer's archive: every byte that is no file's content, and which file's content belongs between.
//! With it the archive comes out again byte for byte (push, save, commit of a child), costs a few per cent of the
//! layer, and proves the layer: the digest of what comes out must be the diffID.
//!
//! On disk: zstd of records. `1 len:u32 bytes` raw, `2 pathlen:u16 path offset:u64 len:u64` content of a file, all
//! little endian. `moved.json` beside it lists files replaced later in the same archive, by number of their record.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::beneath::{self, Links};
use crate::durable;
use crate::error::{At, Error, Result};
use crate::tar::read::Frame;

const FRAME: &str = "frame.zst";
const MOVED: &str = "moved.json";
const RAW: u8 = 1;
const CONTENT: u8 = 2;
const RAW_MAX: usize = 64 * 1024;

/// Writes the frame of one layer.
pub(crate) struct Writer {
    to: zstd::Encoder<'static, BufWriter<File>>,
    path: PathBuf,
    raw: Vec<u8>,
    files: u32,
}

impl Writer {
    /// Begins in this tree.
    pub(crate) fn create(tree: &Path) -> Result<Writer> {
        let path = tree.join(FRAME);
        let file = File::create_new(&path).at("create file", &path)?;
        let to = zstd::Encoder::new(BufWriter::new(file), 3)?;
        Ok(Writer {
            to,
            path,
            raw: Vec::with_capacity(RAW_MAX),
            files: 0,
        })
    }

    /// The next bytes of the archive are these of that file. Returns the record's number.
    pub(crate) fn content(&mut self, path: &[u8], offset: u64, length: u64) -> Result<u32> {
        self.flush_raw()?;
        let size = u16::try_from(path.len())
            .map_err(|_| Error::Invalid(format!("path of {} bytes: at most 65535", path.len())))?;
        self.to.write_all(&[CONTENT])?;
        self.to.write_all(&size.to_le_bytes())?;
        self.to.write_all(path)?;
        self.to.write_all(&offset.to_le_bytes())?;
        self.to.write_all(&length.to_le_bytes())?;
        self.files += 1;
        Ok(self.files - 1)
    }

    fn flush_raw(&mut self) -> Result<()> {
        if !self.raw.is_empty() {
            self.to.write_all(&[RAW])?;
            self.to.write_all(&(self.raw.len() as u32).to_le_bytes())?;
            self.to.write_all(&self.raw)?;
            self.raw.clear();
        }
        Ok(())
    }

    /// Ends, with the content on disk.
    pub(crate) fn finish(mut self, moved: &BTreeMap<u32, Vec<u8>>) -> Result<()> {
        self.flush_raw()?;
        let file = self
            .to
            .finish()?
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        file.sync_all().at("sync", &self.path)?;
        if !moved.is_empty() {
            durable::write_json(&self.path.with_file_name(MOVED), moved)?;
        }
        Ok(())
    }
}

impl Frame for Writer {
    fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        for part in bytes.chunks(RAW_MAX) {
            if self.raw.len() + part.len() > RAW_MAX {
                self.flush_raw()?;
            }
            self.raw.extend_from_slice(part);
        }
        Ok(())
    }
}

/// Writes the archive of an unpacked layer, byte for byte as it came in.
///
/// # Errors
/// A file that is missing or shorter than the frame says: the layer is damaged.
pub(crate) fn assemble(tree: &Path, to: &mut dyn Write) -> Result<()> {
    let path = tree.join(FRAME);
    let file = File::open(&path).at("open", &path)?;
    let mut from = BufReader::new(zstd::Decoder::new(file)?);
    let moved: BTreeMap<u32, Vec<u8>> = durable::read_json(&tree.join(MOVED))?.unwrap_or_default();
    let root = File::open(tree).at("open", tree)?;
    let mut number = 0;
    let mut tag = [0];
    while from.read(&mut tag)? == 1 {
        match tag[0] {
            RAW => {
                let length = u32::from_le_bytes(read_array(&mut from)?);
                exactly(
                    &mut (&mut from).take(length.into()),
                    to,
                    length.into(),
                    &path,
                )?;
            }
            CONTENT => {
                let mut name = vec![0; u16::from_le_bytes(read_array(&mut from)?).into()];
                from.read_exact(&mut name)?;
                let offset = u64::from_le_bytes(read_array(&mut from)?);
                let length = u64::from_le_bytes(read_array(&mut from)?);
                let name = match moved.get(&number) {
                    Some(old) => old.clone(),
                    None => [b"fs/", &name[..]].concat(),
                };
                number += 1;
                content(&root, tree, &name, (offset, length), to)?;
            }
            other => {
                return Err(Error::Corrupt(format!(
                    "{}: record of kind {other}",
                    path.display()
                )));
            }
        }
    }
    Ok(())
}

fn content(
    root: &File,
    tree: &Path,
    name: &[u8],
    run: (u64, u64),
    to: &mut dyn Write,
) -> Result<()> {
    let shown = tree.join(String::from_utf8_lossy(name).as_ref());
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut file: File = beneath::open(root.as_fd(), name, flags, Links::Refused)
        .at("open layer file", &shown)?
        .into();
    if run.0 > 0 {
        io::Seek::seek(&mut file, io::SeekFrom::Start(run.0)).at("seek", &shown)?;
    }
    exactly(&mut file.take(run.1), to, run.1, &shown)
}

fn exactly(from: &mut dyn Read, to: &mut dyn Write, length: u64, shown: &Path) -> Result<()> {
    let mut buf = vec![
        0;
        usize::try_from(length)
            .unwrap_or(usize::MAX)
            .min(128 * 1024)
    ];
    let mut left = length;
    while left > 0 {
        let n = match from.read(&mut buf) {
            Ok(0) => {
                return Err(Error::Corrupt(format!(
                    "{} is shorter than its layer says",
                    shown.display()
                )));
            }
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e).at("read", shown),
        };
        to.write_all(&buf[..n])?;
        left -= n as u64;
    }
    Ok(())
}

fn read_array<const N: usize>(from: &mut impl Read) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}
