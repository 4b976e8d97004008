//! `cargo xtask bindings`: the parts of the language bindings that are generated from the sources of the C API.

mod csharp;
mod java;

use std::fs;

use anyhow::{Context, Result};

use crate::arguments::Bindings;
use crate::paths;

pub fn run(binding: &Bindings) -> Result<()> {
    match binding {
        Bindings::Csharp => write(csharp::RAW, &csharp::raw()?),
        Bindings::Java => write(java::RAW, &java::raw()?),
    }
}

/// Brings a generated file, named from the root of the project, up to date.
fn write(file: &str, text: &str) -> Result<()> {
    let target = paths::root().join(file);
    fs::write(&target, text).with_context(|| format!("{} cannot be written", target.display()))?;
    println!("{file} is that of the sources");
    Ok(())
}

/// Fails when a generated file is not that of the sources, and when it lacks a function that the library exports.
#[cfg(test)]
fn assert_current(file: &str, text: &str, declaration: impl Fn(&str) -> String) {
    let committed = fs::read_to_string(paths::root().join(file)).unwrap();
    assert!(
        committed.replace("\r\n", "\n") == text,
        "{file} is out of date: run `cargo xtask bindings csharp` and `cargo xtask bindings java`"
    );
    let symbols = fs::read_to_string(paths::root().join("tests/exported_symbols.txt")).unwrap();
    let mut functions = 0;
    for symbol in symbols.lines().filter(|line| line.starts_with("sam_")) {
        assert!(
            text.contains(&declaration(symbol)),
            "{symbol} is missing in {file}"
        );
        functions += 1;
    }
    assert!(
        functions > 40,
        "the list of exported symbols has {functions}"
    );
}
