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

const PICKLE: &str = "data.pkl";

/// The directory of a torch archive.
pub(super) struct Archive<'b> {
    bytes: &'b [u8],
    /// Places in the file by name, without the folder that all entries lie in; none for a packed entry.
    entries: HashMap<String, Option<Range<usize>>>,
}

impl<'b> Archive<'b> {
    pub fn read(bytes: &'b [u8]) -> Result<Self, ArchiveProblem> {
        let entries = list(bytes)?;
        let folder = folder(&entries)?;
        let mut by_name = HashMap::new();
        for Entry { name, range } in &entries {
            let Some(name) = name.strip_prefix(&folder) else {
                continue;
            };
            if by_name.insert(name.to_owned(), range.clone()).is_some() {
                return Err(ArchiveProblem::DuplicateEntry(shown(name)));
            }
        }
        Ok(Self {
            bytes,
            entries: by_name,
        })
    }

    /// Whether there is a pickle of objects, as in every archive that PyTorch writes.
    pub fn has_pickle(&self) -> bool {
        self.entries.contains_key(PICKLE)
    }

    /// Whether `torch.jit.save` wrote the archive: it has the constants of its code in an entry of their own.
    pub fn is_torchscript(&self) -> bool {
        self.entries.contains_key("constants.pkl")
    }

    /// The pickle of the objects, once the archive is known to be one that `torch.save` wrote on a machine like this.
    pub fn pickle(&self) -> Result<&'b [u8], ArchiveProblem> {
        if let Some((name, _)) = self.entries.iter().find(|(_, range)| range.is_none()) {
            return Err(ArchiveProblem::NotStored(shown(name)));
        }
        match self.entry("byteorder") {
            None | Some(b"little") => {}
            Some(other) => {
                let order = shown(&String::from_utf8_lossy(other));
                return Err(ArchiveProblem::ByteOrder(order));
            }
        }
        Ok(self.entry(PICKLE).unwrap_or_default())
    }

    /// Where the elements of a storage lie.
    pub fn storage(&self, key: &str) -> Option<Range<usize>> {
        self.entries.get(&format!("data/{key}")).cloned().flatten()
    }

    fn entry(&self, name: &str) -> Option<&'b [u8]> {
        let range = self.entries.get(name)?.clone()?;
        Some(&self.bytes[range])
    }
}

/// An entry of the archive, with its place in the file; none for a packed one.
struct Entry {
    name: String,
    range: Option<Range<usize>>,
}

/// The folder that all entries lie in, with its slash: the one that holds the pickle.
fn folder(entries: &[Entry]) -> Result<String, ArchiveProblem> {
    let is_pickle = |name: &&str| matches!(name.split_once('/'), Some((_, PICKLE)));
    let mut pickles = entries
        .iter()
        .map(|entry| entry.name.as_str())
        .filter(is_pickle);
    match (pickles.next(), pickles.next()) {
        (Some(first), Some(second)) => {
            Err(ArchiveProblem::SeveralPickles(shown(first), shown(second)))
        }
        (Some(only), None) => Ok(only[..only.len() - PICKLE.len()].to_owned()),
        (None, _) => Ok(String::new()),
    }
}

fn list(bytes: &[u8]) -> Result<Vec<Entry>, ArchiveProblem> {
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
        let stored = entry.compression() == CompressionMethod::Stored
            && !entry.encrypted()
            && entry.size() == entry.compressed_size();
        let range = if stored {
            let len = entry.size();
            let mut reader = Cursor::new(bytes);
            let file = entry
                .with_reader(&mut reader, zip::ZipReadOptions::new())
                .map_err(directory_error)?;
            let range = within(bytes, file.data_start(), len);
            Some(range.ok_or_else(|| ArchiveProblem::EntryOutsideFile(shown(&name)))?)
        } else {
            None
        };
        entries.push(Entry { name, range });
    }
    Ok(entries)
}

fn within(bytes: &[u8], start: Option<u64>, len: u64) -> Option<Range<usize>> {
    let start = usize::try_from(start?).ok()?;
    let end = start.checked_add(usize::try_from(len).ok()?)?;
    (end <= bytes.len()).then_some(start..end)
}
