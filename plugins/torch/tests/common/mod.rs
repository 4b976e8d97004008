//! What the tests of the plugin share.
#![allow(dead_code)] // every test binary uses its own part

pub mod formula;
pub mod golden;
pub mod layers;
pub mod plugin;
pub mod whole;

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::PathBuf;

/// The plugin's file: it lies beside the test, where cargo builds both.
pub fn plugin() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let plugin = test.with_file_name(format!("{DLL_PREFIX}sam_mm_torch{DLL_SUFFIX}"));
    assert!(plugin.exists(), "{} was not built", plugin.display());
    plugin
}
