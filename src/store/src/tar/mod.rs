//! Tar streams: reading through tar-core, writing as Go's archive/tar writes them so that digests come out alike.

pub mod read;
pub mod write;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Regular file.
    File,
    /// Another name of a file written before.
    HardLink,
    /// Symbolic link.
    Symlink,
    /// Character device.
    Char,
    /// Block device.
    Block,
    /// Directory.
    Dir,
    /// Named pipe.
    Fifo,
}

/// One entry of an archive, its body apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Path as written, any bytes but NUL.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Target of a hard or symbolic link.
    pub link: Vec<u8>,
    /// Permission bits with setuid, setgid and sticky: 0o7777.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time, seconds since 1970.
    pub mtime: i64,
    /// Nanoseconds of it.
    pub mtime_nsec: u32,
    /// Bytes of the body in the archive.
    pub size: u64,
    /// Major and minor of a device.
    pub device: (u32, u32),
    /// Extended attributes, name and value.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where the body's bytes belong in a sparse file, and the file's length.
    pub sparse: Option<Sparse>,
}

/// Map of a sparse file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sparse {
    /// Offset and length of each run of data, ascending.
    pub runs: Vec<(u64, u64)>,
    /// Length of the file.
    pub length: u64,
}

impl Entry {
    /// An entry of this kind and path, everything else zero.
    #[must_use]
    pub fn new(kind: Kind, path: impl Into<Vec<u8>>) -> Entry {
        Entry {
            path: path.into(),
            kind,
            link: Vec::new(),
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: 0,
            mtime_nsec: 0,
            size: 0,
            device: (0, 0),
            xattrs: Vec::new(),
            sparse: None,
        }
    }

    /// The length of the file it makes.
    #[must_use]
    pub fn file_length(&self) -> u64 {
        self.sparse
            .as_ref()
            .map_or(self.size, |sparse| sparse.length)
    }
}
