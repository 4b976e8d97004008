//! Layers that all parts of the models are made of. Each reads its weights by the official names.
//!
//! Maps are tokens with the channels last, `(…, C)`: there a 1×1 convolution is a [`Linear`] and `LayerNorm2d` is a
//! [`LayerNorm`].

mod conv;
mod linear;
mod neck;
mod norm;
mod packed_linear;
mod weights;

pub use conv::Conv2d;
pub use linear::Linear;
pub use neck::Neck;
pub use norm::LayerNorm;
pub use packed_linear::{NormedMlp, PackedLinear, normed_layers};
pub use weights::Weights;
