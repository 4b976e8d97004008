//! sam-mm.
pub mod image;
pub mod mask;
