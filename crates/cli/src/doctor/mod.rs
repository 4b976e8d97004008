//! `sam-mm doctor`: what is there, what is not, and what to do about it.
//!
//! Every finding is told, also those in order: a report of it is read by somebody who does not see the machine.

mod backends;
mod finding;
mod machine;
mod trial;

use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};

use crate::arguments::DoctorOptions;
use crate::output;

use finding::{Finding, Verdict};

pub fn run(options: &DoctorOptions) -> Result<ExitCode> {
    let mut findings = machine::look();
    let gpus = machine::gpus();
    findings.extend(gpus.findings);
    let backends = backends::look(options.engine.backend.as_deref());
    let usable = backends.usable;
    findings.extend(backends.findings);
    // Where no backend can be loaded, trying one would only say so again.
    let trial = usable.then(|| trial::run(&options.engine, gpus.count > 0));
    let works = trial.as_ref().is_some_and(|trial| trial.works);
    findings.extend(trial.map(|trial| trial.findings).unwrap_or_default());
    if options.json {
        output::json(&as_json(&findings, works))?;
    } else {
        print(&findings, works)?;
    }
    Ok(if works {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn print(findings: &[Finding], works: bool) -> Result<()> {
    output::line(format_args!("sam-mm doctor {}", env!("CARGO_PKG_VERSION")))?;
    let mut group = "";
    for finding in findings {
        if finding.group != group {
            group = finding.group;
            output::line(format_args!("\n{group}"))?;
        }
        finding.print()?;
    }
    output::line("")?;
    let count = |verdict| {
        findings
            .iter()
            .filter(|finding| finding.verdict == verdict)
            .count()
    };
    match (works, count(Verdict::Warning) + count(Verdict::Problem)) {
        (true, 0) => output::line("sam-mm works on this machine."),
        (true, 1) => output::line(
            "sam-mm works on this machine; one thing could be better (see the arrow above).",
        ),
        (true, many) => output::line(format_args!(
            "sam-mm works on this machine; {many} things could be better (see the arrows above)."
        )),
        (false, _) => output::line(
            "sam-mm does not work on this machine yet; the arrows above say what would help.",
        ),
    }
}

fn as_json(findings: &[Finding], works: bool) -> Value {
    json!({
        "healthy": works,
        "version": env!("CARGO_PKG_VERSION"),
        "findings": findings.iter().map(Finding::json).collect::<Vec<_>>(),
    })
}
