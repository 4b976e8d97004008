//! One thing that was looked at.

use anyhow::Result;
use serde_json::{Value, json};

use crate::output;

/// What to think of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// In order.
    Good,
    /// Neither good nor bad: what a reader of the report wants to know.
    Fact,
    /// Works, but not as well as it could.
    Warning,
    /// Does not work.
    Problem,
}

/// One thing that was looked at.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The heading it stands under.
    pub group: &'static str,
    /// What was looked at.
    pub subject: String,
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub advice: Option<String>,
}

impl Finding {
    pub fn new(
        group: &'static str,
        subject: impl Into<String>,
        verdict: Verdict,
        found: impl Into<String>,
    ) -> Self {
        Self {
            group,
            subject: subject.into(),
            verdict,
            found: found.into(),
            advice: None,
        }
    }

    /// Says what to do about it.
    pub fn advise(self, advice: impl Into<String>) -> Self {
        Self {
            advice: Some(advice.into()),
            ..self
        }
    }

    pub fn print(&self) -> Result<()> {
        let sign = match self.verdict {
            Verdict::Good => "ok  ",
            Verdict::Fact => "    ",
            Verdict::Warning => "warn",
            Verdict::Problem => "FAIL",
        };
        let mut lines = self.found.lines();
        let first = lines.next().unwrap_or_default();
        output::line(format_args!("  {sign} {}: {first}", self.subject))?;
        for line in lines {
            output::line(format_args!("         {}", line.trim_start()))?;
        }
        for (number, line) in self
            .advice
            .iter()
            .flat_map(|advice| advice.lines().enumerate())
        {
            let arrow = if number == 0 { "-->" } else { "   " };
            output::line(format_args!("       {arrow} {line}"))?;
        }
        Ok(())
    }

    pub fn json(&self) -> Value {
        let verdict = match self.verdict {
            Verdict::Good => "good",
            Verdict::Fact => "fact",
            Verdict::Warning => "warning",
            Verdict::Problem => "problem",
        };
        json!({
            "group": self.group,
            "subject": self.subject,
            "verdict": verdict,
            "found": self.found,
            "advice": self.advice,
        })
    }
}
