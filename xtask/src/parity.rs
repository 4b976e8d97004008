//! `cargo xtask parity`: side by side with the official implementation.

use std::path::Path;

use anyhow::Result;

use crate::arguments::ParityOptions;
use crate::{paths, process, python};

pub fn run(options: &ParityOptions, existing: Option<&Path>) -> Result<()> {
    let mut command = python::tool("parity", existing)?;
    command.arg("--models").arg(options.models.join(","));
    for image in &options.images {
        command.arg("--image").arg(std::path::absolute(image)?);
    }
    command.arg("--threads").arg(options.threads.to_string());
    command.arg("--weights").arg(paths::deps().join("weights"));
    command
        .arg("--golden")
        .arg(paths::root().join("plugins/torch/tests/golden/mobile_sam.safetensors"));
    process::run(&mut command)
}
