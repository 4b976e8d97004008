//! `cargo xtask conformance`: the suite that every backend plugin must pass.

use std::path::Path;

use anyhow::Result;

use crate::arguments::ConformanceOptions;
use crate::artifacts;
use crate::{libtorch, process};

pub fn run(options: &ConformanceOptions, existing: Option<&Path>) -> Result<()> {
    let mut command = process::cargo();
    command.args(["run", "--release", "--package", "sam-mm-conformance", "--"]);
    match &options.backend {
        // It may have nothing to do with libtorch: none is fetched for it.
        Some(file) => {
            command.arg(std::path::absolute(file)?);
            libtorch::set_if_given(&mut command, existing)?;
        }
        None => {
            let libtorch = libtorch::ensure(existing)?;
            command.arg(artifacts::build(&libtorch)?.plugin);
            libtorch.set_for_callers(&mut command);
        }
    }
    command.args(["--device", &options.device]);
    process::run(&mut command)
}
