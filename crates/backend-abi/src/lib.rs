//! The border between sam-mm and its backend plugins.
//!
//! - [`abi`] holds the C types exactly as `include/sam_mm_backend.h` shows them: one table of functions per side.
//! - [`sdk`] lets a backend be written in safe Rust: implement [`sdk::Backend`] and export it with
//!   [`export_backend!`](crate::export_backend).
//!
//! The host and every plugin share this crate and nothing else.

pub mod abi;
pub mod sdk;
