//! The shared library from outside: what it exports, what it needs, and that it loads where there is nothing else.
#![cfg(target_os = "linux")]

mod support;

use std::process::Command;

use support::{c, library};

fn exported() -> Vec<String> {
    let listing = library::succeed(
        Command::new("nm")
            .args(["-D", "--defined-only"])
            .arg(library::path()),
    );
    let mut names: Vec<String> = listing
        .lines()
        .filter_map(|line| Some(line.split_whitespace().nth(2)?.to_owned()))
        .collect();
    names.sort();
    names
}

#[test]
fn exactly_the_listed_functions_are_exported() {
    let list = c::root().join("tests/exported_symbols.txt");
    let listed = std::fs::read_to_string(list).expect("the list is committed");
    assert_eq!(
        exported(),
        listed.lines().collect::<Vec<_>>(),
        "a change of the ABI is a change of that list"
    );
    assert!(listed.lines().all(|name| name.starts_with("sam_")));
}

#[test]
fn every_function_of_the_header_is_exported_and_the_other_way_round() {
    let header = std::fs::read_to_string(c::include_dir().join("sam_mm.h")).unwrap();
    let mut declared: Vec<String> = header
        .lines()
        .filter(|line| {
            !line.trim_start().starts_with('*')
                && !line.starts_with("typedef")
                && !line.starts_with(' ')
        })
        .filter_map(|line| {
            Some(
                line.split_once('(')?
                    .0
                    .rsplit([' ', '*'])
                    .next()?
                    .to_owned(),
            )
        })
        .filter(|name| name.starts_with("sam_"))
        .collect();
    declared.sort();
    assert_eq!(declared, exported());
}

#[test]
fn neither_torch_nor_cuda_is_linked_and_the_soname_carries_the_abi_version() {
    let dynamic = library::succeed(Command::new("readelf").arg("-d").arg(library::path()));
    let entries = |kind: &str| {
        dynamic
            .lines()
            .filter(|line| line.contains(kind))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let needed = entries("(NEEDED)");
    assert!(!needed.is_empty(), "{dynamic}");
    // What every Linux with glibc or musl has; torch, CUDA and a C++ runtime are not among it.
    let everywhere = [
        "libc.",
        "libm.",
        "libdl.",
        "libpthread.",
        "librt.",
        "libgcc_s.",
        "ld-linux",
    ];
    for library in needed {
        let is_everywhere = everywhere
            .iter()
            .any(|name| library.contains(&format!("[{name}")));
        assert!(is_everywhere, "{library}");
    }
    assert!(
        entries("(SONAME)").join("").contains("[libsam_mm.so.0]"),
        "{dynamic}"
    );
}

#[test]
fn without_any_backend_memory_can_be_asked_for_and_a_model_gives_an_error_with_all_that_was_tried()
{
    let home = tempfile::tempdir().unwrap();
    let installed = library::install(home.path());
    let program = c::program(&[c::root().join("tests/c/no_backend.c")], &["-ldl"]);
    let said = library::succeed(library::command(&program, home.path()).arg(&installed));
    for part in [
        "no backend plugin could be loaded",
        "To get the libtorch backend, run `cargo xtask demo`",
        home.path().to_str().unwrap(),
        "Running on CPU - memory stats not available",
    ] {
        assert!(said.contains(part), "{part} is missing in:\n{said}");
    }
}
