//! The libtorch backend plugin of sam-mm.

pub mod error;
pub mod nn;
pub mod shim;

pub use tch;
