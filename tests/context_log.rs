//! What the log of a context tells: what went against the user's wishes as a warning, each step for who looks for a fault.

mod support;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use sam_mm::backend::{DeviceName, DeviceRequest};
use sam_mm::context::{Context, Options};
use sam_mm::logging::{Level, Sink};
use support::child::in_child;
use support::fake_backend;

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
    let plugin = fake_backend::install(folder.path(), "fake", &[]);
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
    assert!(said.starts_with("Warn ") && said.lines().count() == 1, "{said}");
    for part in [missing.to_str().unwrap(), "SAM_MM_BACKEND_PATH", plugin.to_str().unwrap(), "fake backend"] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
}
