//! `cargo xtask bench`: what the caches spare, then speed and memory against the official implementation and ONNX Runtime.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::arguments::BenchOptions;
use crate::{bench_tiers, libtorch, paths, process, python};

pub fn run(options: &BenchOptions, existing: Option<&Path>) -> Result<()> {
    let mut caches = process::cargo();
    caches.args(["bench", "--package", "sam-mm-benches", "--bench", "cache"]);
    libtorch::ensure(existing)?.set_for_build(&mut caches);
    process::run(&mut caches)?;
    bench_tiers::run(existing)?;
    let folder = paths::deps().join("bench");
    fs::create_dir_all(&folder)?;
    let mut command = python::tool("bench", existing)?;
    command.arg("--models").arg(options.models.join(","));
    command.arg("--rounds").arg(options.rounds.to_string());
    command.arg("--threads").arg(options.threads.to_string());
    command.arg("--folder").arg(folder);
    process::run(&mut command)
}
