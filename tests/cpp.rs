//! `sam_mm.hpp` as C++ programs use it, in C++17 and C++20, with and without exceptions, with the sanitizers looking on.
#![cfg(target_os = "linux")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use support::c::Language;
use support::{c, fake_backend, library};

/// Each part of `sam_mm.hpp`, as it is included, but for the one that needs OpenCV, which `cargo xtask test bindings` tries.
fn parts() -> Vec<String> {
    let files = fs::read_dir(c::include_dir().join("sam_mm")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut parts: Vec<String> = names
        .filter(|name| name != "opencv.hpp")
        .map(|name| format!("sam_mm/{name}"))
        .collect();
    parts.sort();
    assert!(!parts.is_empty());
    parts
}

/// Runs a program of `tests/cpp` with the fake backend, and returns what it printed.
fn run(source: &str, language: Language, args: &[&str]) -> String {
    let home = tempfile::tempdir().unwrap();
    library::install(home.path());
    let backend = fake_backend::install(home.path(), "fake", &[]);
    let sources = [c::root().join("tests/cpp").join(source)];
    let args = [args, &["-pthread", "-ldl"]].concat();
    let program = library::program_in(language, &sources, &args);
    library::succeed(library::command(&program, home.path()).arg(backend))
}

fn assert_all_passed(said: &str) {
    let passed = said.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(passed > 0, "{said}");
    assert!(
        said.ends_with(&format!("{passed} passed, 0 failed\n")),
        "{said}"
    );
}

/// With the sanitizers, and without the optimizer: it takes as long again, and may remove what they would find. Every program
/// runs optimized in C++17 and with them in C++20.
fn sanitized<'a>(options: &[&'a str]) -> Vec<&'a str> {
    [options, &c::SANITIZERS, &["-O0"]].concat()
}

fn check_strictly(header: &str, language: Language, options: &[&str]) {
    let include = format!("#include <{header}>\n");
    let twice = format!("{include}{include}int unused_;\n");
    // Programs that use it are compiled with warnings of their own choosing.
    let strict = ["-Wshadow", "-Wconversion", "-Wold-style-cast"];
    c::check_syntax_with(&twice, language, &[&strict, options].concat());
}

#[test]
fn every_part_of_the_wrapper_compiles_alone_and_twice() {
    for part in parts() {
        check_strictly(&part, Language::Cxx17, &[]);
    }
}

#[test]
fn the_wrapper_compiles_with_and_without_exceptions_in_every_dialect_it_is_for() {
    for language in Language::MODERN_CXX {
        for options in [&[][..], &["-fno-exceptions", "-fno-rtti"]] {
            check_strictly("sam_mm.hpp", language, options);
        }
    }
}

#[test]
fn an_older_language_is_refused_with_words() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("old.cpp");
    fs::write(&source, "#include <sam_mm.hpp>\n").unwrap();
    let output = Command::new("c++")
        .args(["-std=c++14", "-fsyntax-only", "-I"])
        .arg(c::include_dir())
        .arg(&source)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("sam_mm.hpp needs C++17"), "{said}");
}

/// What an object file takes from a library, with every inline function in it.
fn used_by(source: &str, options: &[&str]) -> BTreeSet<String> {
    let options = [&["-fkeep-inline-functions", "-O0", "-g0"], options].concat();
    let object = c::object(source, Language::Cxx17, &options);
    let listing = library::succeed(Command::new("nm").arg("-u").arg(object));
    let names = listing
        .lines()
        .filter_map(|line| line.split(' ').next_back());
    names
        .filter(|name| name.starts_with("sam_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_function_of_the_library_can_be_reached_from_the_wrapper() {
    let listed = fs::read_to_string(c::root().join("tests/exported_symbols.txt")).unwrap();
    let exported: BTreeSet<String> = listed.lines().map(str::to_owned).collect();
    // Of templates there is what a program makes of them.
    let mut source = "#include <sam_mm.hpp>\n".to_owned();
    for made in [
        "void",
        "sam_mm::model",
        "sam_mm::result",
        "sam_mm::display",
        "sam_mm::mask_set",
    ] {
        source += &format!("template class sam_mm::job_view<{made}>;\n");
        source += &format!("template class sam_mm::job<{made}>;\n");
    }
    for options in [&[][..], &["-fno-exceptions"]] {
        assert_eq!(used_by(&source, options), exported, "{options:?}");
    }
}

/// Proof that the comparison above can fail.
#[test]
fn a_part_of_the_wrapper_reaches_a_part_of_the_library() {
    let used = used_by("#include <sam_mm/display.hpp>\n", &[]);
    assert!(used.contains("sam_mm_display_describe") && !used.contains("sam_predict"));
}

#[test]
fn the_wrapper_keeps_its_contract() {
    assert_all_passed(&run("contract.cpp", Language::Cxx17, &[]));
    assert_all_passed(&run("jobs.cpp", Language::Cxx17, &[]));
}

#[test]
fn the_address_and_leak_sanitizers_find_nothing_in_the_wrapper() {
    let options = sanitized(&[]);
    assert_all_passed(&run("contract.cpp", Language::Cxx20, &options));
    assert_all_passed(&run("jobs.cpp", Language::Cxx20, &options));
}

#[test]
fn everything_can_be_had_without_exceptions() {
    let options = sanitized(&["-fno-exceptions", "-fno-rtti"]);
    assert_all_passed(&run("no_exceptions.cpp", Language::Cxx20, &options));
    // A compiler that would have them can be told to leave the throwing half out.
    let options = ["-DSAM_MM_NO_EXCEPTIONS"];
    assert_all_passed(&run("no_exceptions.cpp", Language::Cxx17, &options));
}
