//! The bytes of a checkpoint: a mapped file, or memory.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

pub(crate) enum Source<'a> {
    File(Mmap),
    Memory(Cow<'a, [u8]>),
}

impl Source<'_> {
    pub fn map(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let kind = file.metadata()?;
        if kind.is_dir() {
            return Err(io::Error::new(
                io::ErrorKind::IsADirectory,
                "it is a folder, and a file is needed",
            ));
        }
        if !kind.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is not a regular file",
            ));
        }
        if kind.len() == 0 {
            return Ok(Self::Memory(Cow::Borrowed(&[])));
        }
        // SAFETY: the map is private and only read, as bytes, for which every bit pattern is valid. A checkpoint that
        // another process rewrites while it is open may read as other bytes, or end the process when it is cut short
        // (`SIGBUS`); `Checkpoint::open` says so.
        let map = unsafe { Mmap::map(&file)? };
        Ok(Self::File(map))
    }
}

impl Deref for Source<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::File(map) => map,
            Self::Memory(bytes) => bytes,
        }
    }
}
