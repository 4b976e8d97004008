//! `cargo xtask bench-tiers`: coming back to an image, from memory, from disk, and encoding it anew.

use std::path::Path;

use anyhow::Result;

use crate::{libtorch, process};

pub fn run(existing: Option<&Path>) -> Result<()> {
    let libtorch = libtorch::ensure(existing)?;
    let mut command = process::cargo();
    command.args([
        "bench",
        "--package",
        "sam-mm-torch",
        "--bench",
        "embedding_tiers",
    ]);
    libtorch.set_for_build(&mut command);
    libtorch.set_for_callers(&mut command);
    libtorch.set_for_linked(&mut command)?;
    process::run(&mut command)
}
