//! `cargo xtask parity`: side by side with the official implementations.

use std::path::Path;

use anyhow::Result;

use crate::arguments::ParityOptions;
use crate::{paths, process, python};

const MODELS: [&str; 3] = ["vit_b", "vit_t", "sam2.1_hiera_tiny"];
const MODELS_OF_EVERYTHING: [&str; 3] = ["demo", "vit_t", "sam2.1_hiera_tiny"];

pub fn run(options: &ParityOptions, existing: Option<&Path>) -> Result<()> {
    let (module, usual) = if options.everything {
        ("everything", MODELS_OF_EVERYTHING)
    } else {
        ("parity", MODELS)
    };
    let mut command = python::tool(module, existing)?;
    let models = if options.models.is_empty() {
        usual.join(",")
    } else {
        options.models.join(",")
    };
    command.arg("--models").arg(models);
    for image in &options.images {
        command.arg("--image").arg(std::path::absolute(image)?);
    }
    command.arg("--threads").arg(options.threads.to_string());
    command.arg("--weights").arg(paths::deps().join("weights"));
    if options.everything {
        command
            .arg("--demo")
            .arg(paths::root().join("models/sam_demo.safetensors"));
        command
            .arg("--points-per-side")
            .arg(options.points_per_side.to_string());
    } else {
        command
            .arg("--golden")
            .arg(paths::root().join("plugins/torch/tests/golden/mobile_sam.safetensors"));
    }
    process::run(&mut command)
}
