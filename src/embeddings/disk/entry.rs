//! A kept embedding as a file: what stands before it, and what the file is called.
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 8 | `SAMMDISK` |
//! | 8 | 4 | version of this layout |
//! | 12 | 4 | bytes before the payload |
//! | 16 | 16 | fingerprint of the checkpoint |
//! | 32 | 16 | key of the image |
//! | 48 | 4 | version of the preprocessing |
//! | 52 | 4 | precision (`SAM_MM_PRECISION_…`) |
//! | 56 | 4 | 1 when stored in half precision, else 0 |
//! | 60 | 4 | zero |
//! | 64 | 16 | XXH3 of the backend's name and version |
//! | 80 | 8 | bytes of the payload |
//! | 88 | 16 | XXH3 of the 88 bytes before it and of the payload |
//!
//! All numbers are little-endian. The payload is what the backend exported, opaque to the host.

use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::backend::Precision;
use crate::image::ImageKey;

const MAGIC: [u8; 8] = *b"SAMMDISK";
/// Version of the layout. Each has a folder of its own, so that no version meets the files of another.
pub const VERSION: u32 = 1;
/// What is checked of the header.
const CHECKED: usize = 88;
/// Bytes before the payload.
pub const HEADER: usize = CHECKED + 16;
/// Last part of the name of an entry.
pub const SUFFIX: &str = ".embedding";
/// Last part of the name of an entry that is being written.
pub const UNFINISHED: &str = ".unfinished";
const DIGITS: usize = 32;

/// What tells an entry from all others, for every process that shares the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EntryId {
    /// Stands for the contents of the checkpoint.
    pub fingerprint: [u8; 16],
    /// Stands for the backend's name and version, and so for the form of what it exports.
    pub backend: [u8; 16],
    /// Version of how an image is brought to the model's input.
    pub preprocessing: u32,
    /// What the embedding was computed in.
    pub precision: Precision,
    /// Whether it is stored in half precision.
    pub half: bool,
    /// The picture. Keys of pixels and keys of ids that owners give do not meet ([`ImageKey`]).
    pub image: ImageKey,
}

/// Stands for a backend's name and version.
pub fn backend_key(name: &str, version: &str) -> [u8; 16] {
    let mut text = name.as_bytes().to_vec();
    text.push(0);
    text.extend_from_slice(version.as_bytes());
    xxh3_128(&text).to_le_bytes()
}

impl EntryId {
    /// The name of its file.
    pub fn file_name(&self) -> String {
        let digest = xxh3_128(&self.head(0)[..CHECKED - 8]);
        format!("{digest:0DIGITS$x}{SUFFIX}")
    }

    /// What stands before a payload.
    pub fn header(&self, payload: &[u8]) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..CHECKED].copy_from_slice(&self.head(payload.len() as u64));
        let checksum = checksum(&header[..CHECKED], payload);
        header[CHECKED..].copy_from_slice(&checksum);
        header
    }

    /// Whether a header is that of this entry with so many bytes of payload; the checksum is for
    /// [`is_intact`] to see.
    pub fn is_head_of(&self, header: &[u8; HEADER], payload_len: u64) -> bool {
        header[..CHECKED] == self.head(payload_len)
    }

    fn head(&self, payload_len: u64) -> [u8; CHECKED] {
        let mut head = [0; CHECKED];
        head[..8].copy_from_slice(&MAGIC);
        head[16..32].copy_from_slice(&self.fingerprint);
        head[32..48].copy_from_slice(self.image.as_bytes());
        head[64..80].copy_from_slice(&self.backend);
        head[80..88].copy_from_slice(&payload_len.to_le_bytes());
        let words = [
            (8, VERSION),
            (12, HEADER as u32),
            (48, self.preprocessing),
            (52, self.precision.to_abi()),
            (56, u32::from(self.half)),
        ];
        for (offset, word) in words {
            head[offset..offset + 4].copy_from_slice(&word.to_le_bytes());
        }
        head
    }
}

/// Whether a file that begins so was written by this layout, whatever became of the rest. One that is too short to tell
/// and has the name of an entry was as well.
pub fn is_ours(beginning: &[u8]) -> bool {
    beginning.len() < MAGIC.len() || beginning[..MAGIC.len()] == MAGIC
}

/// The picture that an entry is of, where a header is one.
pub fn image_of(header: &[u8; HEADER]) -> Option<[u8; 16]> {
    (header[..8] == MAGIC).then(|| header[32..48].try_into().expect("16 bytes"))
}

/// Whether a header and a payload are what was written.
pub fn is_intact(header: &[u8; HEADER], payload: &[u8]) -> bool {
    header[CHECKED..] == checksum(&header[..CHECKED], payload)
}

fn checksum(head: &[u8], payload: &[u8]) -> [u8; 16] {
    let mut hash = Xxh3::new();
    hash.update(head);
    hash.update(payload);
    hash.digest128().to_le_bytes()
}

/// Whether a file name is that of an entry: nothing else in the folder is ever touched.
pub fn is_entry_name(name: &str) -> bool {
    name.strip_suffix(SUFFIX).is_some_and(is_digest)
}

/// Whether a file name is that of an entry that was being written.
pub fn is_unfinished_name(name: &str) -> bool {
    let mut parts = name.strip_suffix(UNFINISHED).unwrap_or("").split('.');
    let (digest, number, rest) = (parts.next(), parts.next(), parts.next());
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_hexdigit());
    digest.is_some_and(is_digest) && number.is_some_and(is_number) && rest.is_none()
}

fn is_digest(text: &str) -> bool {
    let is_digit = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
    text.len() == DIGITS && text.bytes().all(is_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> EntryId {
        EntryId {
            fingerprint: [1; 16],
            backend: backend_key("torch", "0.1.0"),
            preprocessing: 1,
            precision: Precision::Fp32,
            half: false,
            image: ImageKey::of_content_id(b"one", 2, 3),
        }
    }

    #[test]
    fn every_part_of_what_an_embedding_depends_on_gives_another_name_and_another_header() {
        let others = [
            EntryId {
                fingerprint: [2; 16],
                ..id()
            },
            EntryId {
                backend: backend_key("torch", "0.2.0"),
                ..id()
            },
            EntryId {
                backend: backend_key("torc", "h0.1.0"),
                ..id()
            },
            EntryId {
                preprocessing: 2,
                ..id()
            },
            EntryId {
                precision: Precision::Bf16,
                ..id()
            },
            EntryId { half: true, ..id() },
            EntryId {
                image: ImageKey::of_content_id(b"one", 3, 2),
                ..id()
            },
        ];
        let payload = [7; 100];
        for other in others {
            assert_ne!(other.file_name(), id().file_name(), "{other:?}");
            assert!(!id().is_head_of(&other.header(&payload), 100), "{other:?}");
        }
        assert!(id().is_head_of(&id().header(&payload), 100));
    }

    #[test]
    fn the_name_does_not_depend_on_the_payload_and_is_told_from_all_others() {
        let name = id().file_name();
        assert!(is_entry_name(&name) && !is_unfinished_name(&name), "{name}");
        let digest = name.strip_suffix(SUFFIX).unwrap();
        assert!(is_unfinished_name(
            &format!("{digest}.1f-0{UNFINISHED}").replace('-', "")
        ));
        for foreign in [
            "notes.txt",
            digest,
            &format!("{}{SUFFIX}", &digest[1..]),
            &format!("{}{SUFFIX}", digest.to_uppercase())
                .replace(|c: char| c.is_ascii_digit(), "A"),
            &format!("{digest}.jpg"),
            &format!("my {name}"),
            &format!("{digest}..1{UNFINISHED}"),
            &format!("{digest}{UNFINISHED}"),
            UNFINISHED,
            SUFFIX,
        ] {
            assert!(
                !is_entry_name(foreign) && !is_unfinished_name(foreign),
                "{foreign}"
            );
        }
    }

    #[test]
    fn a_difference_in_any_bit_is_seen() {
        let payload = [7; 64];
        let header = id().header(&payload);
        assert!(is_intact(&header, &payload));
        for bit in 0..HEADER * 8 {
            let mut damaged = header;
            damaged[bit / 8] ^= 1 << (bit % 8);
            let good = id().is_head_of(&damaged, 64) && is_intact(&damaged, &payload);
            assert!(!good, "bit {bit} of the header");
        }
        for bit in 0..64 * 8 {
            let mut damaged = payload;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_intact(&header, &damaged), "bit {bit} of the payload");
        }
    }
}
