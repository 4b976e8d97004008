//! Which version a folder of libtorch holds.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// The file that every libtorch has, from Python's packages and from zip archives alike.
const VERSION_FILE: &str = "share/cmake/Torch/TorchConfigVersion.cmake";

/// The version of the libtorch in a folder, such as `2.11.0`.
pub fn read(root: &Path) -> Result<String> {
    let file = root.join(VERSION_FILE);
    let text =
        fs::read_to_string(&file).with_context(|| format!("{} is missing", file.display()))?;
    parse(&text).with_context(|| format!("{} names no version", file.display()))
}

fn parse(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("PACKAGE_VERSION \"")?;
    let (version, _) = rest.split_once('"')?;
    Some(version.to_owned())
}

/// Versions that differ in their last number, or in what stands behind `+`, have one binary interface.
pub fn is_compatible(found: &str, wanted: &str) -> bool {
    let major_minor =
        |version: &str| -> Vec<String> { version.split('.').take(2).map(str::to_owned).collect() };
    major_minor(found) == major_minor(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_cmakes_file() {
        let text =
            "set(PACKAGE_VERSION \"2.11.0\")\nif(\"${PACKAGE_VERSION}\" VERSION_LESS \"1\")\n";
        assert_eq!(parse(text).as_deref(), Some("2.11.0"));
        assert_eq!(parse("# nothing here"), None);
    }

    #[test]
    fn only_the_first_two_numbers_must_agree() {
        assert!(is_compatible("2.11.1+cpu", "2.11.0"));
        assert!(!is_compatible("2.1.0", "2.11.0"));
        assert!(!is_compatible("2.10.0", "2.11.0"));
    }
}
