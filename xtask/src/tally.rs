//! Counting what passed and what failed, with a line for each.

use std::fmt;

use anyhow::Result;

/// How many checks passed, and how many did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
}

impl Tally {
    /// Runs a check and tells what came of it.
    pub fn check(&mut self, name: &str, check: impl FnOnce() -> Result<()>) {
        match check() {
            Ok(()) => {
                println!("ok {name}");
                self.passed += 1;
            }
            Err(error) => {
                println!("FAILED {name}: {error:#}");
                self.failed += 1;
            }
        }
    }

    /// Reads a line such as `12 passed, 0 failed`.
    pub fn read(line: &str) -> Option<Self> {
        let (passed, failed) = line.trim().split_once(" passed, ")?;
        let failed = failed.strip_suffix(" failed")?;
        Some(Self {
            passed: passed.parse().ok()?,
            failed: failed.parse().ok()?,
        })
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn a_line_is_read_as_it_is_written() {
        let tally = Tally {
            passed: 12,
            failed: 3,
        };
        assert_eq!(Tally::read(&tally.to_string()), Some(tally));
        for other in [
            "",
            "12 passed",
            "x passed, 1 failed",
            "12 passed, 1 failed.",
        ] {
            assert_eq!(Tally::read(other), None, "{other}");
        }
    }

    #[test]
    fn what_fails_is_counted_and_does_not_end_the_run() {
        let mut tally = Tally::default();
        tally.check("one", || bail!("no"));
        tally.check("two", || Ok(()));
        assert_eq!(
            tally,
            Tally {
                passed: 1,
                failed: 1
            }
        );
    }
}
