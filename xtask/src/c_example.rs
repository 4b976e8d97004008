//! Compiling `examples/c` with the system's C compiler.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{paths, process};

/// Compiles the example into `program`. `flags` tell where the header and the library are.
pub fn compile(program: &Path, flags: &[OsString]) -> Result<()> {
    compile_sources(program, &sources()?, flags)
}

/// The C++ compiler.
pub fn cxx_compiler() -> OsString {
    std::env::var_os("CXX").unwrap_or_else(|| "c++".into())
}

/// Compiles C99, without a warning.
pub fn compile_sources(program: &Path, sources: &[PathBuf], flags: &[OsString]) -> Result<()> {
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    if !process::exists(&compiler.to_string_lossy()) {
        bail!(
            "there is no C compiler `{}` (Debian, Ubuntu: apt install gcc); another one can be named in CC",
            compiler.to_string_lossy()
        );
    }
    let mut command = Command::new(compiler);
    command
        .args([
            "-std=c99",
            "-O2",
            "-Wall",
            "-Wextra",
            "-Wpedantic",
            "-Werror",
            "-o",
        ])
        .arg(program)
        .args(sources)
        .args(flags)
        .arg("-lm");
    process::run(&mut command)
}

fn sources() -> Result<Vec<PathBuf>> {
    let folder = paths::root().join("examples/c");
    let mut sources: Vec<PathBuf> = fs::read_dir(&folder)
        .with_context(|| format!("{} is missing", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "c"))
        // The other example, a program of its own.
        .filter(|path| !path.ends_with("annotate.c"))
        .collect();
    sources.sort();
    Ok(sources)
}

/// Flags for the header of this tree and a library that was built in `folder`.
pub fn flags_for_tree(folder: &Path) -> Vec<OsString> {
    let mut include = OsString::from("-I");
    include.push(paths::root().join("include"));
    let mut search = OsString::from("-L");
    search.push(folder);
    let mut run_path = OsString::from("-Wl,-rpath,");
    run_path.push(folder);
    vec![include, search, run_path, "-lsam_mm".into()]
}
