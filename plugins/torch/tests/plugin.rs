//! The plugin as the host meets it: a shared library behind a table of functions.

mod common;

use sam_mm::backend::{Plugin, libtorch};

#[cfg(target_os = "linux")]
#[test]
fn the_query_is_all_that_is_exported() {
    let output = std::process::Command::new("nm")
        .args(["-D", "--defined-only", "--format=just-symbols"])
        .arg(common::plugin())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let symbols = String::from_utf8(output.stdout).unwrap();
    assert_eq!(symbols.trim(), "sam_mm_backend_query");
}

#[test]
fn the_plugin_says_which_libtorch_it_stands_on() {
    let plugin = Plugin::load(&common::plugin(), &libtorch::Settings::default()).unwrap();
    assert_eq!(plugin.name(), "torch");
    let version = plugin.version();
    assert!(version.ends_with("(libtorch 2.11.0)"), "{version}");
    let file = std::fs::File::open(plugin.path()).unwrap();
    let found = libtorch::requirements(file).unwrap();
    let found: Vec<_> = found
        .iter()
        .map(|requirement| (requirement.library.as_str(), requirement.version.as_str()))
        .collect();
    assert_eq!(found, [("libtorch", "2.11.0")]);
}
