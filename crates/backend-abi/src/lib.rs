//! The border between sam-mm and its backend plugins.
//!
//! - [`abi`] holds the C types exactly as `include/sam_mm_backend.h` shows them: one table of functions per side.
//! - [`sdk`] lets a backend be written in safe Rust: implement [`sdk::Backend`] and export it with
//!   [`export_backend!`](crate::export_backend).
//! - [`types`] and [`error`] are the same values and the same error as safe Rust types, for both sides.
//! - [`layout`] reads and writes structs whose writer was compiled against another minor version.
//! - [`exclusive`] gives a value to one call at a time.
//! - [`guard`] turns a panic into a value at the border.
//!
//! The host and every plugin share this crate and nothing else.

pub mod abi;
pub mod error;
pub mod exclusive;
pub mod guard;
pub mod layout;
pub mod sdk;
pub mod types;

pub use error::BackendError;
