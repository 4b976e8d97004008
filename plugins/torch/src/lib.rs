//! The libtorch backend plugin of sam-mm.
pub use tch;
