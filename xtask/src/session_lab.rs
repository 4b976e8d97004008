//! `cargo xtask simulate session`: replays sessions of annotators on the fake backend and on libtorch.

use std::path::Path;

use anyhow::Result;

use crate::arguments::SessionOptions;
use crate::{artifacts, libtorch, process};

pub fn simulate(options: &SessionOptions, existing: Option<&Path>) -> Result<()> {
    let libtorch = libtorch::ensure(existing)?;
    let plugin = artifacts::build(&libtorch)?.plugin;
    let mut command = process::cargo();
    command.args(["run", "--quiet", "--release"]);
    command.args(["--package", "sam-mm-session-lab", "--"]);
    command.args(["--seed", &options.seed.to_string()]);
    command.args(["--threads", &options.threads.to_string()]);
    command.args(["--only", &options.only]);
    command.arg("--plugin").arg(plugin);
    libtorch.set_for_build(&mut command);
    libtorch.set_for_callers(&mut command);
    process::run(&mut command)
}
