//! The C API as C programs use it, with the address sanitizer looking on.
#![cfg(target_os = "linux")]

mod support;

use std::path::Path;
use std::process::Command;

use support::{c, fake_backend, library};

/// A program that runs in a folder of its own with a copy of the library and the fake backend.
fn run(source: &str, extra: &[&str], args: impl Fn(&Path) -> Vec<String>) -> String {
    let home = tempfile::tempdir().unwrap();
    library::install(home.path());
    let backend = fake_backend::install(home.path(), "fake", &[]);
    let program = library::program(&[c::root().join(source)], extra);
    library::succeed(library::command(&program, home.path()).args(args(&backend)))
}

fn path_alone(backend: &Path) -> Vec<String> {
    vec![backend.to_str().unwrap().to_owned()]
}

#[test]
fn the_contract_holds_for_a_c_program() {
    assert!(run("tests/c/contract.c", &[], path_alone).contains("contract kept"));
}

#[test]
fn the_address_and_leak_sanitizers_find_nothing_in_the_contract_program() {
    assert!(run("tests/c/contract.c", &c::SANITIZERS, path_alone).contains("contract kept"));
}

/// Proof that the test above can fail.
#[test]
fn the_address_sanitizer_would_find_a_leak_and_an_overrun() {
    for fault in ["bytes = 0;", "bytes[argc] = 1; free((void *)bytes);"] {
        let source = format!(
            "#include <stdlib.h>\nstatic volatile char *volatile bytes;\nint main(int argc, char **argv) {{ (void)argv; \
             bytes = malloc((size_t)argc); {fault} return 0; }}\n"
        );
        let file = c::source_file(&source, "fault");
        let program = c::program(&[file], &["-fsanitize=address", "-O0"]);
        let output = Command::new(program).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains("Sanitizer"),
            "{fault} went unnoticed: {said}"
        );
    }
}
