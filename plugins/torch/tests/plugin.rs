//! The plugin as the host meets it: a shared library behind a table of functions.

use std::sync::Arc;

use sam_mm::backend::{Plugin, libtorch};

/// The plugin lies beside the test, where cargo builds both.
fn plugin() -> Arc<Plugin> {
    let test = std::env::current_exe().unwrap();
    let path = test.with_file_name("libsam_mm_torch.so");
    Plugin::load(&path, &libtorch::Settings::default()).unwrap()
}

#[test]
fn the_plugin_says_which_libtorch_it_stands_on() {
    let plugin = plugin();
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
