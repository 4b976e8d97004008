//! `cargo xtask install-check`: what an integrator does, from installing the library to running a program against it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::artifacts;
use crate::libtorch::Libtorch;
use crate::process::LIBRARY_PATH_VARIABLE;
use crate::{c_example, libtorch, paths, process};

/// The cargo-c that goes with the Rust this project is built with.
const CARGO_C: &str = "0.10.24+cargo-0.98.0";

/// What programs linked with the shared library look for: the number is the version of the C ABI.
const SONAME: &str = "libsam_mm.so.0";

pub fn run(existing: Option<&Path>) -> Result<()> {
    ensure!(
        process::exists("pkg-config"),
        "pkg-config is needed (Debian, Ubuntu: apt install pkg-config)"
    );
    let libtorch = libtorch::ensure(existing)?;
    let plugin = artifacts::build(&libtorch)?.plugin;
    let prefix = tempfile::tempdir()?;
    install(prefix.path())?;
    check_installed(prefix.path())?;
    run_with_shared_library(prefix.path(), &plugin, &libtorch)?;
    run_with_static_library(prefix.path(), &plugin, &libtorch)?;
    println!("the installed library, shared and static, works with what pkg-config says about it");
    Ok(())
}

/// A program and the shared library, with the plugin beside the library, as on the machine of somebody who only runs it.
fn run_with_shared_library(prefix: &Path, plugin: &Path, libtorch: &Libtorch) -> Result<()> {
    let program = prefix.join("segment");
    let libraries = prefix.join("lib");
    c_example::compile(&program, &pkg_config(&libraries, &[])?)?;
    let elsewhere = prefix.join("runtime");
    fs::create_dir(&elsewhere)?;
    fs::copy(
        plugin,
        elsewhere.join(paths::shared_library("sam_mm_torch")),
    )?;
    // The name in the program is the soname: the one for the linker is not there.
    let soname = if cfg!(target_os = "linux") {
        SONAME.to_owned()
    } else {
        paths::shared_library("sam_mm")
    };
    fs::copy(libraries.join(&soname), elsewhere.join(&soname))?;
    let mut command = Command::new(&program);
    process::prepend_path(&mut command, LIBRARY_PATH_VARIABLE, &elsewhere)?;
    segment(command, prefix, libtorch)
}

/// A program that holds the library, with the plugin named in the environment.
fn run_with_static_library(prefix: &Path, plugin: &Path, libtorch: &Libtorch) -> Result<()> {
    let program = prefix.join("segment-static");
    let alone = prefix.join("static");
    fs::create_dir(&alone)?;
    fs::copy(prefix.join("lib/libsam_mm.a"), alone.join("libsam_mm.a"))?;
    // Linkers prefer a shared library of the name in the same folder, and take the first folder that has either.
    let mut flags = vec![OsString::from("-L"), alone.into()];
    flags.extend(pkg_config(&prefix.join("lib"), &["--static"])?);
    c_example::compile(&program, &flags)?;
    let mut command = Command::new(&program);
    command.env("SAM_MM_BACKEND_PATH", plugin);
    segment(command, prefix, libtorch)
}

/// Runs the example on its drawn scene.
fn segment(mut command: Command, prefix: &Path, libtorch: &Libtorch) -> Result<()> {
    command.arg("--overlay").arg(prefix.join("overlay.png"));
    libtorch.set_for_callers(&mut command);
    process::run(&mut command)
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
    let _lock = paths::lock_deps()?;
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

/// Both headers, the pkg-config file, the static library and the shared one under the name that programs look for.
fn check_installed(prefix: &Path) -> Result<()> {
    for file in [
        "include/sam_mm.h",
        "include/sam_mm_backend.h",
        "lib/pkgconfig/sam_mm.pc",
        "lib/libsam_mm.a",
    ] {
        ensure!(prefix.join(file).is_file(), "cargo cinstall made no {file}");
    }
    ensure!(
        !cfg!(target_os = "linux") || prefix.join("lib").join(SONAME).is_file(),
        "cargo cinstall made no lib/{SONAME}"
    );
    Ok(())
}

/// What `sam_mm.pc` in `libraries` says a program must be compiled with.
fn pkg_config(libraries: &Path, arguments: &[&str]) -> Result<Vec<OsString>> {
    let mut command = Command::new("pkg-config");
    command
        .args(arguments)
        .args(["--cflags", "--libs", "sam_mm"])
        .env("PKG_CONFIG_PATH", libraries.join("pkgconfig"));
    let flags = process::output(&mut command)?;
    Ok(flags.split_whitespace().map(OsString::from).collect())
}
