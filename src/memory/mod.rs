//! Memory: what is known about it, from where, in words and numbers.

pub mod host;
pub mod info;
pub mod probe;
