//! `cargo xtask install-check`: what an integrator does, from installing the library to running a program against it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::artifacts::{self, Profile};
use crate::process::LIBRARY_PATH_VARIABLE;
use crate::{c_example, libtorch, paths, process};

/// The cargo-c that goes with the Rust this project is built with.
const CARGO_C: &str = "0.10.24+cargo-0.98.0";

pub fn run(existing: Option<&Path>) -> Result<()> {
    ensure!(
        process::exists("pkg-config"),
        "pkg-config is needed (Debian, Ubuntu: apt install pkg-config)"
    );
    let libtorch = libtorch::ensure(existing)?;
    let artifacts = artifacts::build(&libtorch, Profile::Release)?;
    let prefix = tempfile::tempdir()?;
    install(prefix.path())?;
    let library_folder = prefix.path().join("lib");
    check_installed(prefix.path())?;

    let program = prefix.path().join("segment");
    c_example::compile(&program, &pkg_config(&library_folder.join("pkgconfig"))?)?;
    let mut segment = Command::new(&program);
    segment
        .arg("--overlay")
        .arg(prefix.path().join("overlay.png"))
        .arg("--backend")
        .arg(&artifacts.plugin)
        .env(LIBRARY_PATH_VARIABLE, &library_folder);
    libtorch.set_for_callers(&mut segment);
    process::run(&mut segment)?;
    println!("the installed library works with what pkg-config says about it");
    Ok(())
}

fn install(prefix: &Path) -> Result<()> {
    let mut command = process::cargo();
    command.args([
        "cinstall",
        "--release",
        "--package",
        "sam-mm",
        "--libdir",
        "lib",
    ]);
    command.arg("--prefix").arg(prefix);
    if let Some(tools) = ensure_cargo_c()? {
        process::prepend_path(&mut command, "PATH", &tools)?;
    }
    process::run(&mut command)
}

/// The folder of cargo-c, or `None` when it is on the `PATH` already; installs it when it is nowhere.
fn ensure_cargo_c() -> Result<Option<PathBuf>> {
    if process::exists("cargo-cinstall") {
        return Ok(None);
    }
    let tools = paths::deps().join("tools");
    let folder = tools.join("bin");
    if !folder
        .join(format!("cargo-cinstall{}", std::env::consts::EXE_SUFFIX))
        .is_file()
    {
        println!("installing cargo-c {CARGO_C}, which takes some minutes");
        let mut command = process::cargo();
        command.args([
            "install",
            "cargo-c",
            "--locked",
            "--version",
            CARGO_C,
            "--root",
        ]);
        command.arg(&tools);
        process::run(&mut command).context(
            "cargo-c could not be built; it needs OpenSSL's headers (Debian, Ubuntu: apt install libssl-dev)",
        )?;
    }
    Ok(Some(folder))
}

/// Both headers, the pkg-config file and a shared library that names itself.
fn check_installed(prefix: &Path) -> Result<()> {
    for file in [
        "include/sam_mm.h",
        "include/sam_mm_backend.h",
        "lib/pkgconfig/sam_mm.pc",
    ] {
        ensure!(prefix.join(file).is_file(), "cargo cinstall made no {file}");
    }
    let libraries: Vec<String> = fs::read_dir(prefix.join("lib"))?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let versioned = format!("{}.", paths::shared_library("sam_mm"));
    ensure!(
        !cfg!(target_os = "linux") || libraries.iter().any(|name| name.starts_with(&versioned)),
        "no library with a version in its name is among {libraries:?}"
    );
    Ok(())
}

fn pkg_config(folder: &Path) -> Result<Vec<OsString>> {
    let mut command = Command::new("pkg-config");
    command
        .args(["--cflags", "--libs", "sam_mm"])
        .env("PKG_CONFIG_PATH", folder);
    let flags = process::output(&mut command)?;
    Ok(flags.split_whitespace().map(OsString::from).collect())
}
