//! The suite passes what keeps the contract, and finds each defect where it is.

#[path = "../../../tests/support/mod.rs"]
mod support;

/// The whole backend that `sam-mm-backend-abi` shows as an example of the SDK, linked into this test.
#[path = "../../backend-abi/examples/threshold_backend.rs"]
mod threshold;

use std::collections::BTreeSet;

use sam_mm::backend::DeviceName;
use sam_mm_conformance::{Checkpoint, Options, Report, Target, Verdict, run};
use support::{c, fake_backend};
use tempfile::tempdir;

fn report_of(target: &Target, options: &Options) -> Report {
    // SAFETY: backends of ours that were made for this.
    unsafe { run(target, options, |_| {}) }.unwrap()
}

fn options() -> Options {
    Options::new(Checkpoint::Bytes(b"any".to_vec()))
}

fn fake_report(defines: &[&str], options: &Options) -> Report {
    let folder = tempdir().unwrap();
    report_of(
        &Target::File(fake_backend::install(folder.path(), "fake", defines)),
        options,
    )
}

#[test]
fn the_fake_backend_keeps_every_promise() {
    let report = fake_report(&[], &options());
    assert!(report.passed(), "{report}");
    assert!(
        report
            .entries
            .iter()
            .all(|entry| entry.verdict == Verdict::Kept),
        "{report}"
    );
}

#[test]
fn a_pretended_gpu_with_floats_and_another_geometry_keeps_every_promise() {
    let text = "fake-model\ninput_size=96\nmask_size=24\nmultimask_count=4\nelement=1\nresize=1\nhalves=0\n";
    let options = Options {
        device: DeviceName::Cuda(0),
        checkpoint: Checkpoint::Bytes(text.into()),
        ..options()
    };
    let report = fake_report(&["FAKE_CUDA_DEVICES=1"], &options);
    assert!(report.passed(), "{report}");
}

#[test]
fn a_backend_on_the_sdk_keeps_every_promise() {
    let report = report_of(
        &Target::Linked(threshold::sam_mm_backend_query, "threshold"),
        &options(),
    );
    assert!(report.passed(), "{report}");
}

#[test]
fn the_backend_of_the_documentation_keeps_every_promise() {
    let text = std::fs::read_to_string(c::root().join("docs/backends.md")).unwrap();
    let source = text
        .split_once("\n```c\n")
        .and_then(|(_, rest)| rest.split_once("\n```\n"))
        .unwrap()
        .0;
    let source = c::source_file(&format!("{source}\n"), "documented_backend");
    let plugin = c::shared_library(&[source], &["-std=c11"]);
    let report = report_of(&Target::File(plugin), &options());
    assert!(report.passed(), "{report}");
}

#[test]
fn each_defect_is_found_where_it_is() {
    let defects = [
        (
            "ACCEPTS_ANY_MAJOR",
            "another major version is refused, in words",
        ),
        ("UNSTABLE", "the same prompts give the same masks"),
        (
            "BATCH_DIFFERS",
            "objects of one call are what each of them is alone",
        ),
        (
            "WRITES_TOO_MUCH",
            "a click gives every mask and score, finite, and writes nothing beside them",
        ),
        (
            "FOREIGN_EMBEDDING",
            "an embedding of another model is refused",
        ),
        (
            "EXPORT_ROUNDS",
            "an exported embedding comes back bit for bit, with the same masks",
        ),
        (
            "HALF_IS_WRONG",
            "an export in half precision comes back close to the original",
        ),
        (
            "IMPORTS_ANYTHING",
            "damaged bytes are refused, and the model goes on",
        ),
        ("IGNORES_STRIDE", "what lies between rows is not looked at"),
        (
            "IGNORES_CANCEL",
            "an encode that is cancelled ends as cancelled, and the model goes on",
        ),
        (
            "ESTIMATE",
            "chunked attention needs no more memory than full attention",
        ),
        ("LEAKS", "what is freed is given back"),
        (
            "SAYS_NOTHING",
            "opening a device that does not exist is refused, in words",
        ),
        (
            "IGNORES_STRUCT_SIZE",
            "opening with arguments that cannot be is refused",
        ),
    ];
    for (defect, sentence) in defects {
        let report = fake_report(&[&format!("FAKE_DEFECT_{defect}")], &options());
        let broken: BTreeSet<_> = report.broken().map(|entry| entry.sentence).collect();
        assert!(
            broken.contains(sentence),
            "{defect} was not found:\n{report}"
        );
    }
}

#[test]
fn a_local_defect_breaks_one_promise_and_no_other() {
    for defect in [
        "ACCEPTS_ANY_MAJOR",
        "FOREIGN_EMBEDDING",
        "IMPORTS_ANYTHING",
        "IGNORES_STRIDE",
        "ESTIMATE",
    ] {
        let report = fake_report(&[&format!("FAKE_DEFECT_{defect}")], &options());
        assert_eq!(report.broken().count(), 1, "{defect}:\n{report}");
    }
}

#[test]
fn a_model_that_does_not_load_is_the_first_and_last_thing_told() {
    let options = Options::new(Checkpoint::Bytes(b"fake-model\nnonsense\n".to_vec()));
    let report = fake_report(&[], &options);
    assert!(!report.passed());
    let text = report.to_string();
    assert!(
        text.contains("the line \"nonsense\" is not understood"),
        "{text}"
    );
    assert_eq!(report.entries.len(), 1);
}

#[test]
fn a_report_without_checks_is_no_pass() {
    assert!(!Report::default().passed());
}

#[test]
fn a_file_that_is_no_plugin_is_an_error_in_the_loaders_words() {
    let folder = tempdir().unwrap();
    let path = fake_backend::install(folder.path(), "fake", &["FAKE_NO_QUERY"]);
    // SAFETY: a library of ours that does nothing.
    let error = unsafe { run(&Target::File(path), &options(), |_| {}) }.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("does not export sam_mm_backend_query"),
        "{error}"
    );
}
