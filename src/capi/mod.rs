//! The C API: one file per section of `include/sam_mm.h`, and the only place that touches callers' pointers.
//!
//! Every function is: check arguments, turn handles into objects, call the safe core, turn the result into a code.

mod call;
mod handle;
mod strings;
mod structs;

pub mod context;
pub mod error;
pub mod image;
pub mod log;
pub mod memory;
pub mod model;
pub mod predict;
pub mod result;
pub mod status;
pub mod version;
