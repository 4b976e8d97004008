//! `cargo xtask lint`: what must hold before the tests are worth running.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{libtorch, paths, process};

pub fn run(existing: Option<&Path>) -> Result<()> {
    process::run(process::cargo().args(["fmt", "--all", "--check"]))
        .context("the code is not formatted; run `cargo fmt --all`")?;
    let libtorch = libtorch::ensure(existing)?;
    let mut clippy = process::cargo();
    clippy.args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]);
    libtorch.set_for_build(&mut clippy);
    process::run(&mut clippy)?;
    check_headers()
}

/// Building wrote the headers anew; committed ones that differ are out of date.
fn check_headers() -> Result<()> {
    let mut diff = Command::new("git");
    diff.current_dir(paths::root())
        .args(["diff", "--exit-code", "HEAD", "--", "include"]);
    process::run(&mut diff).context(
        "the headers in include/ are not those of the sources; commit what the build made of them",
    )?;
    println!("formatting, clippy and headers are in order");
    Ok(())
}
