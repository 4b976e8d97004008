//! What the log of a context tells: what went against the user's wishes as a warning, each step for who looks for a fault.

mod support;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use sam_mm::backend::{DeviceName, DeviceRequest, Precision};
use sam_mm::context::{Context, Options};
use sam_mm::image::{ImageView, PixelFormat};
use sam_mm::logging::{Level, Sink};
use sam_mm::model::{Model, Source};
use sam_mm::predictor::predict;
use sam_mm::prompt::Prompt;
use sam_mm::registered_image::RegisteredImage;
use support::child::in_child;
use support::fake_backend::{self, FakeBackend};

type Lines = Arc<Mutex<Vec<String>>>;

/// A context on the CPU and the lines of its log up to a level, the level before each.
fn logging(most: Level, backend_path: Option<PathBuf>) -> (Arc<Context>, Lines) {
    let lines = Lines::default();
    let kept = Arc::clone(&lines);
    let sink: Sink = Box::new(move |level, line| {
        kept.lock().unwrap().push(format!("{level:?} {line}"));
    });
    let options = Options {
        device: DeviceRequest::Named(DeviceName::Cpu),
        backend_path,
        ..Options::default()
    };
    let context = Context::new(options, Some((most, sink))).unwrap();
    (Arc::new(context), lines)
}

#[test]
fn a_path_in_the_variable_that_leads_to_no_plugin_is_a_warning_that_names_what_is_used_instead() {
    let test = "a_path_in_the_variable_that_leads_to_no_plugin_is_a_warning_that_names_what_is_used_instead";
    let folder = tempfile::tempdir().unwrap();
    // Others may lie beside the test; this one is better.
    let plugin = fake_backend::install(folder.path(), "fake", &["FAKE_CPU_SCORE=1000000"]);
    let missing = folder.path().join("missing.so");
    let variable: OsString = std::env::join_paths([&missing, &plugin]).unwrap();
    let said = in_child(
        test,
        |child| {
            child.env("SAM_MM_BACKEND_PATH", &variable);
        },
        || {
            let (context, lines) = logging(Level::Warn, None);
            context.runtime().unwrap();
            let lines = lines.lock().unwrap();
            lines.join("\n")
        },
    );
    assert!(
        said.starts_with("Warn ") && said.lines().count() == 1,
        "{said}"
    );
    for part in [
        missing.to_str().unwrap(),
        "SAM_MM_BACKEND_PATH",
        plugin.to_str().unwrap(),
        "fake backend",
    ] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
}

#[test]
fn each_step_is_one_line_for_who_looks_for_a_fault() {
    let fake = FakeBackend::new();
    let (context, lines) = logging(Level::Debug, Some(fake.path().to_owned()));
    let model = Model::load(&context, Source::Demo, Precision::Fp32).unwrap();
    let view = ImageView::new(PixelFormat::Gray8, 40, 30, 40, &[7; 40 * 30]).unwrap();
    let image = RegisteredImage::new(&context, &view).unwrap();
    let click = Prompt {
        points: &[[10.0, 8.0]],
        labels: &[1],
        ..Prompt::default()
    };
    predict(&model, &image, &[click], true).unwrap();
    predict(&model, &image, &[click], true).unwrap();
    let lines = lines.lock().unwrap();
    let told: Vec<&str> = lines.iter().map(String::as_str).collect();
    let wanted: [&[&str]; 8] = [
        &[
            "Debug search for a backend: ",
            fake.path().to_str().unwrap(),
            "loaded, fake",
        ],
        &["Info running on cpu with fake"],
        &[
            "Debug loaded the built-in demo model on cpu in ",
            " ms: fake fake_s, 1000 parameters in fp32",
        ],
        &[
            "Debug embedding cache: miss for image ",
            "(40 x 30) by model ",
        ],
        &[
            "Debug encoded image ",
            " ms: full attention in fp32 on the CPU; plan: ",
        ],
        &["Debug prediction cache: miss for image "],
        &[
            "Debug decoded 1 object of image ",
            " ms: full attention in fp32 on the CPU; plan: ",
        ],
        &["Debug prediction cache: hit for image "],
    ];
    assert_eq!(told.len(), wanted.len(), "{told:#?}");
    for (line, parts) in told.iter().zip(wanted) {
        assert!(line.starts_with(parts[0]), "{line} is not {}", parts[0]);
        assert!(
            parts.iter().all(|part| line.contains(part)),
            "{line} lacks one of {parts:?}"
        );
        assert!(!line.contains('\n'), "{line}");
    }
}
