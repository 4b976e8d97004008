//! What was computed once and is kept while there is room for it.

pub mod embedding;
pub mod image;
pub mod prediction;
pub mod weighted_lru;
