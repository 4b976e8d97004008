//! An embedding as bytes, and the one it was made of.

use crate::backend::Precision;
use crate::memory::status::Tier;
use crate::placement::PlacedEmbedding;

/// An exported embedding. The bytes are the backend's; the host looks into none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// What the backend exported.
    pub bytes: Vec<u8>,
    /// What the embedding was computed in.
    pub precision: Precision,
    /// See [`PlacedEmbedding::tried_better`].
    pub tried_better: bool,
    /// Whether the backend was asked for half precision, and gave it.
    pub half: bool,
}

/// An embedding that can be decoded, and can be packed.
pub trait Live: Send + Sync + 'static {
    /// Bytes of memory it holds.
    fn bytes(&self) -> u64;

    /// Whose memory that is.
    fn tier(&self) -> Tier;

    /// What it was computed in.
    fn precision(&self) -> Precision;

    /// As bytes, with `half` in half precision where that can be; `None` when it cannot be exported.
    fn pack(&self, half: bool) -> Option<Packed>;
}

impl Live for PlacedEmbedding {
    fn bytes(&self) -> u64 {
        self.embedding.bytes()
    }

    fn tier(&self) -> Tier {
        self.placement.tier()
    }

    fn precision(&self) -> Precision {
        self.precision
    }

    fn pack(&self, half: bool) -> Option<Packed> {
        let halved = match half {
            true => self.embedding.export_half().unwrap_or(None),
            false => None,
        };
        let half = halved.is_some();
        let bytes = match halved {
            Some(bytes) => bytes,
            None => self.embedding.export().ok()?,
        };
        Some(Packed {
            bytes,
            precision: self.precision,
            tried_better: self.tried_better,
            half,
        })
    }
}
