//! Building the library and the torch plugin, and finding what came out.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::libtorch::Libtorch;
use crate::{paths, process};

/// What was built.
#[derive(Clone, Debug)]
pub struct Artifacts {
    /// The shared library of sam-mm.
    pub library: PathBuf,
    /// The static one beside it.
    pub static_library: PathBuf,
    /// The torch plugin beside it.
    pub plugin: PathBuf,
}

impl Artifacts {
    /// The folder of the library, which the linker and the loader are told about.
    pub fn folder(&self) -> &Path {
        self.library.parent().expect("a file lies in a folder")
    }
}

/// Builds the library and the torch plugin, optimised.
pub fn build(libtorch: &Libtorch) -> Result<Artifacts> {
    let mut command = process::cargo();
    command.args([
        "build",
        "--release",
        "--package",
        "sam-mm",
        "--package",
        "sam-mm-torch",
    ]);
    command.arg("--message-format=json-render-diagnostics");
    libtorch.set_for_build(&mut command);
    command.stdout(Stdio::piped());
    let messages = process::output(&mut command)?;
    let find = |file_name: &str| {
        file_in(&messages, file_name).with_context(|| format!("cargo built no {file_name}"))
    };
    Ok(Artifacts {
        library: find(&paths::shared_library("sam_mm"))?,
        static_library: find(STATIC_LIBRARY)?,
        plugin: find(&paths::shared_library("sam_mm_torch"))?,
    })
}

const STATIC_LIBRARY: &str = if cfg!(windows) {
    "sam_mm.lib"
} else {
    "libsam_mm.a"
};

/// Builds the command-line tool, optimised.
pub fn build_tool() -> Result<PathBuf> {
    let mut command = process::cargo();
    command.args(["build", "--release", "--package", "sam-mm-cli"]);
    command.arg("--message-format=json-render-diagnostics");
    let name = format!("sam-mm{}", std::env::consts::EXE_SUFFIX);
    file_in(&process::output(&mut command)?, &name)
        .with_context(|| format!("cargo built no {name}"))
}

/// A file of that name, from cargo's messages about what it built.
fn file_in(messages: &str, file_name: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default())
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .find(|file| file.file_name().is_some_and(|found| found == file_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_among_cargos_messages() {
        let file = format!("/t/debug/{}", paths::shared_library("sam_mm"));
        let messages = format!(
            "not json\n{{\"reason\":\"build-script-executed\"}}\n\
             {{\"reason\":\"compiler-artifact\",\"filenames\":[\"/t/debug/libsam_mm.rlib\",\"{file}\"]}}\n"
        );
        assert_eq!(
            file_in(&messages, &paths::shared_library("sam_mm")),
            Some(PathBuf::from(file))
        );
        assert_eq!(
            file_in(&messages, &paths::shared_library("sam_mm_torch")),
            None
        );
    }
}
