//! The libtorch backend plugin of sam-mm.

pub mod cells;
pub mod decoder;
pub mod device;
pub mod embedding;
pub mod error;
pub mod fpn_neck;
pub mod hiera;
pub mod image_encoder_vit;
pub mod mask_decoder;
pub mod model;
pub mod needs;
pub mod network;
pub mod nn;
pub mod precision;
pub mod preprocess;
pub mod prompt_encoder;
pub mod prompts;
pub mod sam;
pub mod sam2;
pub mod shim;
pub mod source;
pub mod tiny_vit;
pub mod two_way_transformer;

pub use tch;

// `tch` 0.24 stands on this libtorch; another one in the process has other symbols of the same names.
sam_mm_backend_abi::export_backend!(device::Torch, requires = "libtorch=2.11.0");
