//! What tests against the official code share.
#![allow(dead_code)] // every test binary uses its own part

pub mod formula;
pub mod golden;
