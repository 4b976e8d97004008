//! `cargo xtask conformance`: the suite that every backend plugin must pass.

use std::path::Path;

use anyhow::Result;

use crate::arguments::ConformanceOptions;
use crate::artifacts::{self, Profile};
use crate::{libtorch, process};

pub fn run(options: &ConformanceOptions, existing: Option<&Path>) -> Result<()> {
    let libtorch = libtorch::ensure(existing)?;
    let plugin = match &options.backend {
        Some(file) => std::path::absolute(file)?,
        None => artifacts::build(&libtorch, Profile::Release)?.plugin,
    };
    let mut command = process::cargo();
    command.args(["run", "--release", "--package", "sam-mm-conformance", "--"]);
    command.arg(plugin).args(["--device", &options.device]);
    libtorch.set_for_callers(&mut command);
    process::run(&mut command)
}
