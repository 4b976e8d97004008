//! What the checks found.

use std::fmt;

/// What came of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has not run yet.
    Pending,
    /// The promise was kept.
    Kept,
    /// The promise was broken; how.
    Broken(String),
    /// The promise does not concern this backend; why.
    NotConcerned(String),
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Part of the contract, such as `decode`.
    pub part: &'static str,
    /// The promise as a sentence.
    pub sentence: &'static str,
    /// What came of it.
    pub verdict: Verdict,
}

/// Every check, in the order they ran.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The checks.
    pub entries: Vec<Entry>,
}

impl Report {
    /// Whether checks ran and no promise was broken.
    pub fn passed(&self) -> bool {
        !self.entries.is_empty() && self.broken().next().is_none()
    }

    /// The promises that were broken.
    pub fn broken(&self) -> impl Iterator<Item = &Entry> {
        self.entries
            .iter()
            .filter(|entry| matches!(entry.verdict, Verdict::Broken(_)))
    }

    fn count(&self, wanted: impl Fn(&Verdict) -> bool) -> usize {
        self.entries
            .iter()
            .filter(|entry| wanted(&entry.verdict))
            .count()
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mark, words) = match &self.verdict {
            Verdict::Pending => ("..", None),
            Verdict::Kept => ("ok", None),
            Verdict::Broken(how) => ("BROKEN", Some(how)),
            Verdict::NotConcerned(why) => ("n/a", Some(why)),
        };
        write!(f, "{mark:<7} {:<10} {}", self.part, self.sentence)?;
        words.map_or(Ok(()), |words| write!(f, "\n{:19}{words}", ""))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for entry in &self.entries {
            writeln!(f, "{entry}")?;
        }
        write!(
            f,
            "{} kept, {} broken, {} not concerned",
            self.count(|verdict| *verdict == Verdict::Kept),
            self.broken().count(),
            self.count(|verdict| matches!(verdict, Verdict::NotConcerned(_))),
        )
    }
}
