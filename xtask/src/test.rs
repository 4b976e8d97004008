//! `cargo xtask test`: every test of the workspace, with a count at the end.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::arguments::TestOptions;
use crate::libtorch::Libtorch;
use crate::tally::Tally;
use crate::{bindings, libtorch, memory_lab, process};

pub fn run(options: &TestOptions, existing: Option<&Path>) -> Result<()> {
    if options.filter.as_deref() == Some(BINDINGS) {
        return bindings::run(existing);
    }
    let mut counts = Counts::default();
    let succeeded = match options.filter.as_deref() {
        Some(MEMORY) => {
            // Files of tests that are about it as a whole, then tests that have it in their name.
            let runs: [&[&str]; 3] = [
                &["--package", "sam-mm", "--test", "memory_*"],
                &["--package", "sam-mm", "--lib", "--test", "[!m]*", MEMORY],
                &["--workspace", "--exclude", "sam-mm", MEMORY],
            ];
            let mut succeeded = true;
            for run in runs {
                succeeded &= counted(run, existing, &mut counts)?;
            }
            succeeded
        }
        Some(filter) => counted(&["--workspace", filter], existing, &mut counts)?,
        None => counted(&["--workspace"], existing, &mut counts)?,
    };
    println!("\n{}", counts.summary(succeeded));
    if !succeeded || counts.failed > 0 {
        bail!("tests failed");
    }
    if counts.passed == 0 {
        bail!(
            "no test ran: no name contains {:?}",
            options.filter.as_deref().unwrap_or("")
        );
    }
    match env::var(memory_lab::FRACTIONS_VARIABLE) {
        Ok(fractions) if options.filter.as_deref() == Some(MEMORY) => {
            memory_lab::allocate(&fractions, existing)
        }
        _ => Ok(()),
    }
}

const MEMORY: &str = "memory";
const BINDINGS: &str = "bindings";

/// Runs tests of the workspace, prints what they print and counts them. Those that were ignored count as failed.
pub fn cargo_test(libtorch: &Libtorch, arguments: &[&str]) -> Result<Tally> {
    let mut counts = Counts::default();
    let succeeded = counted_with(libtorch, arguments, &mut counts)?;
    let unseen = u64::from(!succeeded && counts.failed == 0);
    Ok(Tally {
        passed: counts.passed,
        failed: counts.failed + counts.ignored + unseen,
    })
}

/// Runs tests, prints what they print and counts them. False when something failed.
fn counted(arguments: &[&str], existing: Option<&Path>, counts: &mut Counts) -> Result<bool> {
    counted_with(&libtorch::ensure(existing)?, arguments, counts)
}

fn counted_with(libtorch: &Libtorch, arguments: &[&str], counts: &mut Counts) -> Result<bool> {
    let mut command = process::cargo();
    command.args(["test", "--no-fail-fast"]).args(arguments);
    libtorch.set_for_build(&mut command);
    libtorch.set_for_callers(&mut command);
    libtorch.set_for_linked(&mut command)?;
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    for line in BufReader::new(child.stdout.take().context("its output is piped")?).lines() {
        let line = line?;
        counts.add_line(&line);
        writeln!(std::io::stdout(), "{line}")?;
    }
    Ok(child.wait()?.success())
}

/// What the test programs reported together.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Counts {
    /// Adds a line such as `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
    fn add_line(&mut self, line: &str) {
        let Some(rest) = line.strip_prefix("test result: ") else {
            return;
        };
        let counts = rest.split_once(". ").map_or(rest, |(_, counts)| counts);
        for part in counts.split(';') {
            let mut words = part.split_whitespace();
            let (Some(Ok(number)), Some(kind)) =
                (words.next().map(str::parse::<u64>), words.next())
            else {
                continue;
            };
            match kind {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }

    fn summary(&self, succeeded: bool) -> String {
        let verdict = if succeeded && self.failed == 0 {
            "all tests passed"
        } else {
            "TESTS FAILED"
        };
        format!(
            "{verdict}: {} passed, {} failed, {} ignored",
            self.passed, self.failed, self.ignored
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_of_all_programs_are_added_up() {
        let mut counts = Counts::default();
        for line in [
            "test a ... ok",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 5 filtered out; finished in 1.00s",
        ] {
            counts.add_line(line);
        }
        assert_eq!(
            counts,
            Counts {
                passed: 4,
                failed: 2,
                ignored: 1
            }
        );
        assert!(counts.summary(false).starts_with("TESTS FAILED"));
    }
}
