//! The libtorch backend plugin of sam-mm.

pub mod error;
pub mod image_encoder_vit;
pub mod nn;
pub mod shim;

pub use tch;
