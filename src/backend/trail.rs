//! The record of a search: every path tried, and what came of it.

use std::fmt;
use std::path::PathBuf;

use super::search::Origin;

/// What a search did, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trail {
    attempts: Vec<Attempt>,
    notes: Vec<String>,
}

/// One path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// A plugin's file, or a folder that was looked into.
    pub path: PathBuf,
    /// Why it was looked at.
    pub origin: Origin,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The plugin was loaded, now or earlier in this process.
    Loaded {
        /// Its name and version.
        backend: String,
    },
    /// Not looked at further; why.
    Skipped(String),
    /// Not usable; why.
    Failed(String),
}

impl Trail {
    /// The paths, in order.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// What loaded backends said about devices, in order.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// What backends said about devices, then a line for each path. Ends without a newline.
    pub fn reasons_first(&self) -> String {
        let mut text = self.notes.join("; ");
        text.push_str(".\nTried:");
        for attempt in &self.attempts {
            text.push_str(&format!("\n  {attempt}"));
        }
        text
    }

    /// A line for each path and note.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let attempts = self.attempts.iter().map(Attempt::to_string);
        attempts.chain(self.notes.iter().cloned())
    }

    /// The paths that the user named in `SAM_MM_BACKEND_PATH` and that came to nothing.
    pub fn named_in_vain(&self) -> impl Iterator<Item = &Attempt> {
        self.attempts.iter().filter(|attempt| {
            attempt.origin == Origin::Environment && matches!(attempt.outcome, Outcome::Failed(_))
        })
    }

    pub(super) fn record(&mut self, path: impl Into<PathBuf>, origin: Origin, outcome: Outcome) {
        self.attempts.push(Attempt {
            path: path.into(),
            origin,
            outcome,
        });
    }

    pub(super) fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

impl fmt::Display for Trail {
    /// A line for each path and note, each ended by a newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): ", self.path.display(), self.origin)?;
        match &self.outcome {
            Outcome::Loaded { backend } => write!(f, "loaded, {backend}"),
            Outcome::Skipped(reason) => write!(f, "skipped, {reason}"),
            Outcome::Failed(reason) => f.write_str(reason),
        }
    }
}
