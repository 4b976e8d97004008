//! Sessions of annotators, replayed: `cargo xtask simulate session`. What the caches spare them, what they hold against
//! their budgets, how long clicks take, and whether every answer is the right one.

mod album;
mod annotator;
mod house;
mod latency;
mod report;
#[path = "../../../tests/support/mod.rs"]
mod support;
mod trace;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use serde_json::json;

use annotator::Annotator;
use house::House;
use report::Outcome;
use trace::Trace;

/// Replays sessions of annotators. Exit status 1: something was not as it should be.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Seed of all that is left to chance
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only the traces whose name contains this text
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// The torch plugin, to replay with the demo model besides the fake backend
    #[arg(long, value_name = "FILE")]
    plugin: Option<PathBuf>,
    /// Threads of the demo model
    #[arg(long, default_value_t = 2)]
    threads: u32,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool> {
    let mut outcomes = Vec::new();
    for trace in trace::all(arguments.seed) {
        if !trace.name.contains(&arguments.only) {
            continue;
        }
        let mut houses = vec![House::fake()?];
        if let Some(plugin) = &arguments.plugin {
            houses.push(House::torch(
                plugin.clone(),
                arguments.seed,
                arguments.threads,
            )?);
        }
        for house in houses {
            let outcome = replay(&trace, &house)
                .with_context(|| format!("{} with the {}", trace.name, house.name))?;
            outcome.print();
            outcomes.push(outcome);
        }
    }
    anyhow::ensure!(
        !outcomes.is_empty(),
        "no trace has {:?} in its name",
        arguments.only
    );
    let faults = outcomes
        .iter()
        .map(|outcome| outcome.faults.len())
        .sum::<usize>();
    let traces: Vec<_> = outcomes.iter().map(Outcome::json).collect();
    println!(
        "\n{}",
        json!({ "seed": arguments.seed, "faults": faults, "traces": traces })
    );
    Ok(faults == 0)
}

/// Plays a trace, all its annotators at once.
fn replay(trace: &Trace, house: &House) -> Result<Outcome> {
    let reference = house.reference()?;
    house.open()?;
    let done = AtomicBool::new(false);
    let diaries = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                house.look();
                thread::sleep(Duration::from_millis(1));
            }
        });
        let working: Vec<_> = trace
            .users
            .iter()
            .map(|steps| {
                let annotator = Annotator::new(house, &reference);
                scope.spawn(move || annotator.play(steps))
            })
            .collect();
        let ended: Vec<_> = working.into_iter().map(|user| user.join()).collect();
        done.store(true, Ordering::Relaxed);
        let diaries = ended.into_iter();
        diaries
            .map(|diary| diary.unwrap_or_else(|_| bail!("an annotator panicked, see above")))
            .collect::<Result<Vec<_>>>()
    })?;
    let seen = house.close()?;
    let outcome = Outcome::new(trace, house.name, diaries, seen);
    Ok(outcome.judged(house.encodes_counted_by_backend()))
}
