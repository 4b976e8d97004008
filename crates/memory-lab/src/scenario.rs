//! A scenario: what happens to a session, what should come of it, and what did.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::json;

/// What happens, and what should come of it.
#[derive(Clone)]
pub struct Scenario {
    /// What it is about: `rung: release caches`.
    pub name: &'static str,
    /// What should come of it, in the words of `run`.
    pub expected: &'static str,
    /// Plays it, and tells what came of it.
    pub run: fn() -> String,
}

/// What came of a scenario.
pub struct Outcome {
    pub scenario: String,
    pub expected: String,
    pub got: String,
}

impl Outcome {
    pub fn ok(&self) -> bool {
        self.got == self.expected
    }

    /// Prints it as a line of JSON.
    pub fn printed(self) -> Self {
        let line = json!({
            "scenario": self.scenario,
            "expected": self.expected,
            "got": self.got,
            "ok": self.ok(),
        });
        println!("{line}");
        self
    }
}

/// Plays the scenarios whose name contains `only`, and prints each as it ends.
pub fn run(scenarios: &[Scenario], only: &str) -> Vec<Outcome> {
    scenarios
        .iter()
        .filter(|scenario| scenario.name.contains(only))
        .map(|scenario| {
            // One that panics is one that is not as expected; the others are played all the same.
            let got = catch_unwind(AssertUnwindSafe(scenario.run));
            Outcome {
                scenario: scenario.name.to_owned(),
                expected: scenario.expected.to_owned(),
                got: got.unwrap_or_else(|_| "panicked, see above".to_owned()),
            }
            .printed()
        })
        .collect()
}

pub fn print_table(outcomes: &[Outcome]) {
    let longest = outcomes
        .iter()
        .map(|outcome| outcome.scenario.chars().count());
    let width = longest.max().unwrap_or(0);
    println!();
    for outcome in outcomes {
        let verdict = if outcome.ok() { "ok " } else { "NOT" };
        println!("{verdict}  {:width$}  {}", outcome.scenario, outcome.got);
    }
    let bad = outcomes.iter().filter(|outcome| !outcome.ok()).count();
    println!("\n{} scenarios, {bad} not as expected", outcomes.len());
}
