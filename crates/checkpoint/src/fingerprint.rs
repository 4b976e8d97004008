//! A number that stands for the contents of a checkpoint.

use std::fmt;

use twox_hash::xxhash3_128;

use crate::checkpoint::Checkpoint;

/// Stands for the contents of a checkpoint: names, element types, shapes and all elements of its tensors, and its
/// metadata. Made for keys of caches; prints as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub u128);

impl Fingerprint {
    /// As bytes, for keys.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    pub(crate) fn of(checkpoint: &Checkpoint<'_>) -> Self {
        let mut hash = xxhash3_128::Hasher::new();
        for (name, tensor) in checkpoint.tensors() {
            write_text(&mut hash, name);
            write_text(&mut hash, tensor.dtype.name());
            hash.write(&(tensor.shape.len() as u64).to_le_bytes());
            for &size in tensor.shape {
                hash.write(&(size as u64).to_le_bytes());
            }
            hash.write(&tensor.contiguous());
        }
        for (key, value) in checkpoint.metadata() {
            write_text(&mut hash, key);
            write_text(&mut hash, value);
        }
        Self(hash.finish_128())
    }
}

/// The length goes first, so that no two sequences of texts give the same bytes.
fn write_text(hash: &mut xxhash3_128::Hasher, text: &str) {
    hash.write(&(text.len() as u64).to_le_bytes());
    hash.write(text.as_bytes());
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}
