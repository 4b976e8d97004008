//! Where the entries of the zip archive lie in the file.

use std::collections::HashMap;
use std::io::Cursor;
use std::ops::Range;

use zip::CompressionMethod;
use zip::read::{ArchiveOffset, Config};
use zip::result::ZipError;
// The stable `ZipArchive` sizes an index by the count that the file claims, and keeps one of two entries of a name.
use zip::unstable::read::ZipIterable;

use crate::error::{ArchiveProblem, shown};

/// Entries that are read. A checkpoint has one per tensor and a handful more.
const MAX_ENTRIES: usize = 1 << 16;

/// The directory of a torch archive.
pub(super) struct Archive<'b> {
    bytes: &'b [u8],
    /// Places in the file by name, without the folder that all entries lie in.
    entries: HashMap<String, Range<usize>>,
    has_pickle: bool,
}

impl<'b> Archive<'b> {
    pub fn read(bytes: &'b [u8]) -> Result<Self, ArchiveProblem> {
        let entries = list(bytes)?;
        let mut pickles = entries
            .iter()
            .map(|(name, _)| name)
            .filter(|name| name.split_once('/').is_some_and(|(_, rest)| rest == PICKLE));
        let first = pickles.next().cloned();
        if let (Some(first), Some(second)) = (&first, pickles.next()) {
            return Err(ArchiveProblem::SeveralPickles(shown(first), shown(second)));
        }
        let folder = first
            .as_deref()
            .and_then(|name| name.strip_suffix(PICKLE))
            .unwrap_or("");
        let mut by_name = HashMap::new();
        for (name, range) in &entries {
            let Some(name) = name.strip_prefix(folder) else {
                continue;
            };
            if by_name.insert(name.to_owned(), range.clone()).is_some() {
                return Err(ArchiveProblem::DuplicateEntry(shown(name)));
            }
        }
        Ok(Self {
            bytes,
            entries: by_name,
            has_pickle: first.is_some(),
        })
    }

    /// Where the pickle of the objects lies.
    pub fn pickle(&self) -> Option<Range<usize>> {
        self.has_pickle.then(|| self.entries[PICKLE].clone())
    }

    /// Where the elements of a storage lie.
    pub fn storage(&self, key: &str) -> Option<Range<usize>> {
        self.entries.get(&format!("data/{key}")).cloned()
    }

    /// Whether `torch.jit.save` wrote the archive: it has the constants of its code in an entry of their own.
    pub fn is_torchscript(&self) -> bool {
        self.entries.contains_key("constants.pkl")
    }

    pub fn check_byte_order(&self) -> Result<(), ArchiveProblem> {
        match self
            .entries
            .get("byteorder")
            .map(|range| &self.bytes[range.clone()])
        {
            None | Some(b"little") => Ok(()),
            Some(other) => Err(ArchiveProblem::ByteOrder(shown(&String::from_utf8_lossy(
                other,
            )))),
        }
    }
}

const PICKLE: &str = "data.pkl";

fn list(bytes: &[u8]) -> Result<Vec<(String, Range<usize>)>, ArchiveProblem> {
    let directory_error = |error: ZipError| ArchiveProblem::Directory {
        len: bytes.len(),
        reason: shown(&error.to_string()),
    };
    let config = Config {
        archive_offset: ArchiveOffset::Known(0),
    };
    let mut zip = ZipIterable::try_new(Cursor::new(bytes), config).map_err(directory_error)?;
    if zip.len() > MAX_ENTRIES {
        return Err(ArchiveProblem::TooManyEntries {
            count: zip.len(),
            limit: MAX_ENTRIES,
        });
    }
    let mut entries = Vec::new();
    for entry in zip.files().map_err(directory_error)? {
        let entry = entry.map_err(directory_error)?;
        let name = entry.name().map_err(directory_error)?.into_owned();
        if entry.compression() != CompressionMethod::Stored
            || entry.encrypted()
            || entry.size() != entry.compressed_size()
        {
            return Err(ArchiveProblem::NotStored(shown(&name)));
        }
        let len = entry.size();
        let mut reader = Cursor::new(bytes);
        let file = entry
            .with_reader(&mut reader, zip::ZipReadOptions::new())
            .map_err(directory_error)?;
        let range = file
            .data_start()
            .and_then(|start| Some(start..start.checked_add(len)?))
            .filter(|range| range.end <= bytes.len() as u64)
            .ok_or_else(|| ArchiveProblem::EntryOutsideFile(shown(&name)))?;
        entries.push((name, range.start as usize..range.end as usize));
    }
    Ok(entries)
}
