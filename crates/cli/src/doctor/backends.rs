//! The backends: every file that was tried, and what each that was loaded can run on.

use std::env;
use std::path::Path;

use sam_mm::backend::libtorch::LIBTORCH_VARIABLE;
use sam_mm::backend::{Backends, DeviceName, Outcome, SearchOptions, Trail};

use super::finding::{Finding, Verdict};

const BACKENDS: &str = "Backends";

/// What was found.
pub struct Found {
    pub findings: Vec<Finding>,
    /// Whether there is one to try.
    pub usable: bool,
}

pub fn look(explicit: Option<&Path>) -> Found {
    let search = SearchOptions {
        explicit: explicit.map(Path::to_owned),
    };
    match Backends::find(&search) {
        Ok(backends) => {
            let mut findings = tried(backends.trail(), true);
            for plugin in backends.plugins() {
                findings.extend([DeviceName::Cpu, DeviceName::Cuda(0)].map(|device| {
                    let subject = format!("{} on {device}", plugin.name());
                    match plugin.probe(device) {
                        Ok(probe) if probe.score > 0 => {
                            Finding::new(BACKENDS, subject, Verdict::Good, "can run")
                        }
                        Ok(probe) => Finding::new(
                            BACKENDS,
                            subject,
                            Verdict::Fact,
                            format!("cannot run: {}", probe.reason),
                        ),
                        Err(error) => {
                            Finding::new(BACKENDS, subject, Verdict::Warning, error.to_string())
                        }
                    }
                }));
            }
            Found {
                findings,
                usable: true,
            }
        }
        Err(error) => {
            let trail = error.trail().cloned().unwrap_or_default();
            let mut findings = tried(&trail, false);
            let advice = advice(&trail);
            let text = "none could be loaded";
            findings.push(Finding::new(BACKENDS, "any", Verdict::Problem, text).advise(advice));
            Found {
                findings,
                usable: false,
            }
        }
    }
}

/// A finding for each path. Folders that are not there are worth a line only where nothing was found.
fn tried(trail: &Trail, is_loaded: bool) -> Vec<Finding> {
    let attempts = trail.attempts().iter().filter_map(|attempt| {
        let subject = attempt.path.display().to_string();
        let origin = attempt.origin;
        match &attempt.outcome {
            Outcome::Loaded { backend } => Some(Finding::new(
                BACKENDS,
                subject,
                Verdict::Good,
                format!("loaded, {backend} ({origin})"),
            )),
            Outcome::Skipped(reason) => (!is_loaded).then(|| {
                Finding::new(
                    BACKENDS,
                    subject,
                    Verdict::Fact,
                    format!("skipped, {reason}"),
                )
            }),
            Outcome::Failed(reason) if is_plugin(&attempt.path) => {
                let verdict = if is_loaded {
                    Verdict::Warning
                } else {
                    Verdict::Problem
                };
                Some(Finding::new(
                    BACKENDS,
                    subject,
                    verdict,
                    format!("{reason} ({origin})"),
                ))
            }
            Outcome::Failed(reason) => (!is_loaded).then(|| {
                Finding::new(
                    BACKENDS,
                    subject,
                    Verdict::Fact,
                    format!("{reason} ({origin})"),
                )
            }),
        }
    });
    attempts.collect()
}

/// Whether a path is a file that might be loaded, not a folder that was looked into.
fn is_plugin(path: &Path) -> bool {
    path.is_file()
}

/// What is missing is one of two things: the plugin, or what it stands on.
fn advice(trail: &Trail) -> String {
    let plugin = trail
        .attempts()
        .iter()
        .find(|attempt| is_plugin(&attempt.path));
    match plugin {
        Some(_) if env::var_os(LIBTORCH_VARIABLE).is_none_or(|value| value.is_empty()) => format!(
            "there is a plugin, and what it needs was not found: install libtorch 2.11, or the Python package `torch` 2.11, \
             and set\n{LIBTORCH_VARIABLE} to its folder (the one with `lib` in it)"
        ),
        Some(_) => format!(
            "there is a plugin, and it cannot be loaded with the libtorch of {LIBTORCH_VARIABLE}: the line above has the \
             reason. libtorch must be\nversion 2.11 and complete"
        ),
        None => format!(
            "there is no plugin. In the sources of sam-mm run `cargo xtask install --prefix DIR`, which builds one into \
             DIR/lib/sam_mm/backends;\nor put its file there yourself, or name it in SAM_MM_BACKEND_PATH. It needs libtorch \
             2.11: set {LIBTORCH_VARIABLE} to its folder"
        ),
    }
}
