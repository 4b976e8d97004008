//! `cargo xtask simulate`, `cargo xtask gpu-check` and the allocation ladder of `cargo xtask test memory`.

use std::path::Path;
use std::process::{Command, ExitStatus};

use anyhow::{Result, bail};
use thiserror::Error;

use crate::arguments::{GpuCheckOptions, SimulateOptions};
use crate::{artifacts, libtorch, process};

/// Shares of a GPU's memory under which `cargo xtask test memory` allocates.
pub const FRACTIONS_VARIABLE: &str = "TEST_MEMORY_FRACTIONS";

/// There is nothing to check here, so that nothing was. Neither a pass nor a failure.
#[derive(Debug, Error)]
#[error("gpu-check was NOT RUN: {0}")]
pub struct NotRun(&'static str);

impl NotRun {
    /// The exit status that tells it from a failure.
    pub const EXIT_STATUS: u8 = 3;
}

pub fn simulate(options: &SimulateOptions) -> Result<()> {
    let mut command = lab();
    command.args(["simulate", "--sequences", &options.sequences.to_string()]);
    command.args(["--only", &options.only]);
    if let Some(seed) = options.seed {
        command.args(["--seed", &seed.to_string()]);
    }
    process::run(&mut command)
}

/// Allocates under each fraction, on the GPU if there is one.
pub fn allocate(fractions: &str, existing: Option<&Path>) -> Result<()> {
    let mut command = lab();
    command.args(["allocate", "--fractions", fractions]);
    if has_gpu() {
        let libtorch = libtorch::ensure(existing)?;
        let plugin = artifacts::build(&libtorch)?.plugin;
        libtorch.set_for_callers(&mut command);
        command.arg("--plugin").arg(plugin);
    }
    process::run(&mut command)
}

pub fn gpu_check(options: &GpuCheckOptions, existing: Option<&Path>) -> Result<()> {
    if !has_gpu() {
        bail!(NotRun("nvidia-smi finds no NVIDIA GPU on this machine"));
    }
    let libtorch = libtorch::ensure(existing)?;
    let mut command = lab();
    libtorch.set_for_callers(&mut command);
    command.arg("gpu-check").arg("--plugin");
    command.arg(artifacts::build(&libtorch)?.plugin);
    if let Some(checkpoint) = &options.checkpoint {
        command
            .arg("--checkpoint")
            .arg(std::path::absolute(checkpoint)?);
    }
    let status = command.status()?;
    if was_not_run(status) {
        bail!(NotRun(
            "the torch backend does not run on the GPU of this machine; see above"
        ));
    }
    process::check(&command, status)
}

fn was_not_run(status: ExitStatus) -> bool {
    status.code() == Some(i32::from(NotRun::EXIT_STATUS))
}

fn lab() -> Command {
    let mut command = process::cargo();
    command.args([
        "run",
        "--quiet",
        "--release",
        "--package",
        "sam-mm-memory-lab",
        "--",
    ]);
    command
}

fn has_gpu() -> bool {
    let listed = Command::new("nvidia-smi").arg("--list-gpus").output();
    listed.is_ok_and(|listed| listed.status.success() && !listed.stdout.is_empty())
}
