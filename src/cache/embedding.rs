//! What an image embedding, the expensive half of a prediction, is kept under.

use crate::image::ImageKey;

/// Which picture, seen by which model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The picture, whatever handle it came in.
    pub image: ImageKey,
    /// The model's number within its context, never used twice.
    pub model: u64,
}
