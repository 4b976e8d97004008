//! Progress of long steps: a moving line on a terminal, a line now and then elsewhere.

use std::fs;
use std::io::{IsTerminal, stderr};
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

/// Time between two lines where nobody watches a terminal.
const QUIET_INTERVAL: Duration = Duration::from_secs(10);

/// One long step.
pub struct Progress {
    title: String,
    bar: Option<ProgressBar>,
    last_line: Instant,
}

impl Progress {
    /// Starts a step and shows its title.
    pub fn start(title: impl Into<String>) -> Self {
        let title = title.into();
        let bar = stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner().with_style(
                ProgressStyle::with_template("{spinner} {msg} [{elapsed}]")
                    .expect("the template is well formed"),
            );
            bar.set_message(title.clone());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        if bar.is_none() {
            eprintln!("{title} …");
        }
        Self {
            title,
            bar,
            last_line: Instant::now(),
        }
    }

    /// Shows how far it is.
    pub fn update(&mut self, state: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{}: {state}", self.title));
        } else if self.last_line.elapsed() >= QUIET_INTERVAL {
            eprintln!("{}: {state}", self.title);
            self.last_line = Instant::now();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The bytes of all files in a folder, for people. Files that come and go meanwhile do not matter.
pub fn folder_size(folder: &Path) -> String {
    HumanBytes(size_of_folder(folder)).to_string()
}

fn size_of_folder(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_of_folder(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}
