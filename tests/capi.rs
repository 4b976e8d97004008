//! The C API as C programs use it, with the address sanitizer looking on.
#![cfg(target_os = "linux")]

mod support;

use std::process::Command;

use support::{c, fake_backend, library};

/// A program that runs in a folder of its own with a copy of the library and a variant of the fake backend. `args` follow
/// the backend's path.
fn run(source: &str, extra: &[&str], variant: &[&str], args: &[&str]) -> String {
    let home = tempfile::tempdir().unwrap();
    library::install(home.path());
    let backend = fake_backend::install(home.path(), "fake", variant);
    let program = library::program(&[c::root().join(source)], extra);
    library::succeed(
        library::command(&program, home.path())
            .arg(backend)
            .args(args),
    )
}

fn run_contract(extra: &[&str]) -> String {
    run("tests/c/contract.c", extra, &[], &[])
}

/// On the CPU, and on a pretended GPU.
fn run_memory(extra: &[&str]) -> [String; 2] {
    let extra = [extra, &["-pthread", "-ldl"]].concat();
    let program = "tests/c/memory.c";
    let gpu = ["FAKE_CUDA_DEVICES=1"];
    [
        run(program, &extra, &[], &["cpu"]),
        run(program, &extra, &gpu, &["cuda:0"]),
    ]
}

#[test]
fn the_contract_holds_for_a_c_program() {
    assert!(run_contract(&[]).contains("contract kept"));
}

#[test]
fn the_address_and_leak_sanitizers_find_nothing_in_the_contract_program() {
    assert!(run_contract(&c::SANITIZERS).contains("contract kept"));
}

#[test]
fn the_memory_functions_keep_their_contract_and_their_json_tells_what_the_struct_does() {
    for output in run_memory(&[]) {
        assert!(output.contains("memory kept"), "{output}");
        let mut lines = output.lines();
        let described = lines.next().unwrap();
        let report: serde_json::Value = serde_json::from_str(lines.next().unwrap()).unwrap();
        let counts = [
            &report["operations"]["succeeded"],
            &report["operations"]["failed"],
            &report["caches"]["embedding"]["hits"],
            &report["caches"]["embedding"]["misses"],
            &report["optimizations"]["count"],
            &report["recoveries"]["attempted"],
        ];
        let told = counts.map(ToString::to_string).join(" ");
        assert_eq!(described, format!("described {told}"));
    }
}

#[test]
fn the_address_and_leak_sanitizers_find_nothing_in_the_memory_program() {
    for output in run_memory(&c::SANITIZERS) {
        assert!(output.contains("memory kept"), "{output}");
    }
}

/// Threads of the library among those of the program.
fn run_jobs(extra: &[&str], how: &str) -> String {
    let extra = [extra, &["-pthread", "-ldl"]].concat();
    run("tests/c/jobs.c", &extra, &[], &[how])
}

#[test]
fn jobs_keep_their_contract_for_a_c_program() {
    assert!(run_jobs(&[], "all").contains("jobs kept"));
}

#[test]
fn the_address_and_leak_sanitizers_find_nothing_in_the_jobs_program() {
    assert!(run_jobs(&c::SANITIZERS, "all").contains("jobs kept"));
}

/// The sanitizers see the program's own code; valgrind sees what the library does with memory as well.
#[test]
fn valgrind_finds_nothing_in_the_jobs_program() {
    let home = tempfile::tempdir().unwrap();
    library::install(home.path());
    let backend = fake_backend::install(home.path(), "fake", &[]);
    let program = library::program(&[c::root().join("tests/c/jobs.c")], &["-pthread", "-ldl"]);
    let mut command = library::under_valgrind(&program, home.path());
    let said = library::succeed(command.arg(backend).arg("all"));
    assert!(said.contains("jobs kept"));
}

#[test]
fn a_program_that_ends_while_jobs_and_prefetching_run_ends_well() {
    for _ in 0..5 {
        assert!(run_jobs(&[], "exit").contains("left"));
    }
}

#[test]
fn everything_keeps_its_contract_for_a_c_program_and_the_sanitizers_find_nothing() {
    for sanitizers in [&[][..], &c::SANITIZERS] {
        let said = run("tests/c/everything.c", sanitizers, &[], &[]);
        assert!(said.contains("everything kept"), "{said}");
    }
}

#[test]
fn display_images_and_their_cache_keep_their_contract_without_a_backend() {
    for sanitizers in [&[][..], &c::SANITIZERS] {
        let said = run("tests/c/display.c", sanitizers, &[], &[]);
        assert!(said.contains("contract kept"));
    }
}

#[test]
fn the_tiers_of_embeddings_keep_their_contract_for_a_c_program() {
    for sanitizers in [&[][..], &c::SANITIZERS] {
        for (device, variant) in [("cpu", &[][..]), ("cuda:0", &["FAKE_CUDA_DEVICES=1"])] {
            let folder = tempfile::tempdir().unwrap();
            let kept = folder.path().join("not there yet");
            let args = [device, kept.to_str().unwrap()];
            let said = run("tests/c/embeddings.c", sanitizers, variant, &args);
            assert!(said.contains("tiers kept"), "{said}");
        }
    }
}

#[test]
fn a_program_that_ends_while_embeddings_are_written_ends_well() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["cpu", folder.path().to_str().unwrap(), "exit"];
    assert!(run("tests/c/embeddings.c", &[], &[], &args).contains("left"));
}

/// Proof that the sanitizers above can fail.
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
