//! The checks, by part of the contract.

mod decode;
mod device;
mod embedding;
mod encode;
mod lifetime;
mod model;
mod operation;
mod query;

use crate::Options;
use crate::raw::Query;
use crate::report::{Entry, Report, Verdict};
use crate::subject::Subject;

/// What a check finds: nothing, that it is not concerned, or how the promise was broken.
type Finding = Result<Kept, String>;

/// The good outcomes of a check.
enum Kept {
    Yes,
    NotConcerned(String),
}

/// One promise of the contract.
struct Check {
    part: &'static str,
    sentence: &'static str,
    run: fn(&Subject) -> Finding,
}

/// Lists checks of a part: a sentence and a function each.
macro_rules! checks {
    ($part:literal: $($sentence:literal => $run:path,)*) => {
        pub(super) const CHECKS: &[$crate::checks::Check] = &[$(
            $crate::checks::Check { part: $part, sentence: $sentence, run: $run },
        )*];
    };
}
use checks;

/// Ends a check with words unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($words:tt)*) => {
        if !$condition {
            return Err(format!($($words)*));
        }
    };
}
use ensure;

const BEGINNING: &str = "a device opens, and a model loads that describes itself";

/// Runs every check whose sentence contains `options.only`.
pub fn run_all(query: Query, options: &Options, mut progress: impl FnMut(&Entry)) -> Report {
    let mut report = Report::default();
    let mut entry = Entry {
        part: "beginning",
        sentence: BEGINNING,
        verdict: Verdict::Pending,
    };
    progress(&entry);
    let subject = match Subject::new(query, options) {
        Ok(subject) => subject,
        Err(how) => {
            entry.verdict = Verdict::Broken(how);
            report.entries.push(entry);
            return report;
        }
    };
    entry.verdict = Verdict::Kept;
    report.entries.push(entry);
    let parts = [
        query::CHECKS,
        device::CHECKS,
        model::CHECKS,
        encode::CHECKS,
        decode::CHECKS,
        embedding::CHECKS,
        operation::CHECKS,
        lifetime::CHECKS,
    ];
    for check in parts
        .into_iter()
        .flatten()
        .filter(|check| check.sentence.contains(&options.only))
    {
        let mut entry = Entry {
            part: check.part,
            sentence: check.sentence,
            verdict: Verdict::Pending,
        };
        progress(&entry);
        entry.verdict = match (check.run)(&subject) {
            Ok(Kept::Yes) => Verdict::Kept,
            Ok(Kept::NotConcerned(why)) => Verdict::NotConcerned(why),
            Err(how) => Verdict::Broken(how),
        };
        report.entries.push(entry);
    }
    report
}
