//! Where things are.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::Result;
use fs4::fs_std::FileExt;

/// The root of the project.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the project")
        .to_owned()
}

/// What commands fetch or make for themselves; ignored by git.
pub fn deps() -> PathBuf {
    root().join(".deps")
}

/// Waits until no other process installs anything; the next one waits until the file returned is dropped.
pub fn lock_deps() -> Result<File> {
    fs::create_dir_all(deps())?;
    let lock = File::create(deps().join("lock"))?;
    lock.lock_exclusive()?;
    Ok(lock)
}

/// The file name of a shared library on this system.
pub fn shared_library(name: &str) -> String {
    use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
    format!("{DLL_PREFIX}{name}{DLL_SUFFIX}")
}
