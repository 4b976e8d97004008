//! A backend in safe Rust.
