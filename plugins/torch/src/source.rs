//! Where a model's weights came from, so that they can be read again in another precision.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sam_mm_backend_abi::sdk::{self, BackendError, CheckpointSource};
use sam_mm_checkpoint::Checkpoint;

use crate::error::Result;

/// Checkpoints in memory up to this size are kept; the bytes of larger ones are the caller's, and gone after the call.
const KEPT_BYTES: usize = 16 << 20;

/// Where the weights can be read again.
pub enum Source {
    /// In a file, if it still is what it was.
    File {
        /// Absolute, so that a change of the working directory does no harm.
        path: PathBuf,
        /// What the file was like.
        stamp: Stamp,
    },
    /// In a copy of the bytes.
    Kept {
        /// The checkpoint.
        bytes: Vec<u8>,
        /// What to call it.
        name: String,
    },
    /// Nowhere.
    Gone {
        /// What to call it.
        name: String,
    },
}

/// What tells that a file was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    len: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    fn of(path: &Path) -> std::io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        Ok(Self {
            len: metadata.len(),
            modified: metadata.modified().ok(),
        })
    }
}

/// Opens what the host gave.
///
/// # Errors
/// When the file cannot be read or is no checkpoint.
pub fn open<'a>(given: &sdk::Checkpoint<'a>) -> Result<Checkpoint<'a>> {
    Ok(match given.source {
        CheckpointSource::Path(path) => Checkpoint::open(path)?,
        CheckpointSource::Bytes(bytes) => Checkpoint::from_bytes(bytes, given.name)?,
    })
}

impl Source {
    /// Remembers what the host gave.
    pub fn of(given: &sdk::Checkpoint<'_>) -> Self {
        let name = given.name.to_owned();
        match given.source {
            CheckpointSource::Path(path) => {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
                match Stamp::of(&path) {
                    Ok(stamp) => Self::File { path, stamp },
                    Err(_) => Self::Gone { name },
                }
            }
            CheckpointSource::Bytes(bytes) if bytes.len() <= KEPT_BYTES => Self::Kept {
                bytes: bytes.to_owned(),
                name,
            },
            CheckpointSource::Bytes(_) => Self::Gone { name },
        }
    }

    /// Opens the checkpoint again.
    ///
    /// # Errors
    /// `SAM_MM_ERR_UNSUPPORTED` when the weights are nowhere any more, `SAM_MM_ERR_CHECKPOINT` when the file changed.
    pub fn reopen(&self) -> Result<Checkpoint<'_>> {
        match self {
            Self::File { path, stamp } => {
                let checkpoint = Checkpoint::open(path)?;
                if Stamp::of(path).is_ok_and(|now| now == *stamp) {
                    return Ok(checkpoint);
                }
                Err(BackendError::checkpoint(format!(
                    "{} was changed since the model was loaded; load the model again",
                    path.display()
                ))
                .into())
            }
            Self::Kept { bytes, name } => Ok(Checkpoint::from_bytes(bytes.as_slice(), name)?),
            Self::Gone { name } => Err(BackendError::unsupported(format!(
                "the weights of {name} came from memory and were not kept (more than {} MiB); load the model again \
                 in the precision wanted, or from a file",
                KEPT_BYTES >> 20
            ))
            .into()),
        }
    }
}
