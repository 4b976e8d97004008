//! What memory running short does to a session: scenarios and random sequences on pretended GPUs, and the checks that
//! only a real one can answer. `cargo xtask simulate memory`, `cargo xtask test memory` and `cargo xtask gpu-check` run it.

mod allocation;
mod gpu_check;
mod neighbour;
mod random;
mod scenario;
mod scenarios;
#[path = "../../../tests/support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Memory running short, scenario by scenario.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Scenarios and random sequences against pretended GPUs. Exit status 1: something was not as expected.
    Simulate {
        /// Seed of the random sequences; by default another one each time
        #[arg(long)]
        seed: Option<u64>,
        /// How many random sequences
        #[arg(long, default_value_t = 10_000)]
        sequences: u64,
        /// Only the scenarios whose name contains this text
        #[arg(long, value_name = "TEXT", default_value = "")]
        only: String,
    },
    /// Allocates a GB at a time under each fraction of a GPU, then gives memory back.
    Allocate {
        /// Shares of the GPU's memory
        #[arg(long, value_delimiter = ',', default_value = "0.9,0.7,0.5")]
        fractions: Vec<f64>,
        /// A plugin to try on a real GPU; without one, or without a GPU, a GPU is pretended
        #[arg(long, value_name = "FILE")]
        plugin: Option<PathBuf>,
    },
    /// Checks on a real GPU. Exit status 3: there is none, so nothing was checked.
    GpuCheck {
        /// The backend's plugin
        #[arg(long, value_name = "FILE")]
        plugin: PathBuf,
        /// The model's checkpoint; by default the demo model
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
    },
    /// Takes bytes of a GPU and holds them until its input ends; the neighbour of `gpu-check`.
    #[command(hide = true)]
    Neighbour {
        /// How many
        #[arg(long)]
        bytes: u64,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().what {
        What::Simulate {
            seed,
            sequences,
            only,
        } => simulate(seed.unwrap_or_else(|| fastrand::u64(..)), sequences, &only),
        What::Allocate { fractions, plugin } => allocation::run(&fractions, plugin.as_deref()),
        What::GpuCheck { plugin, checkpoint } => {
            return gpu_check::run(&plugin, checkpoint.as_deref());
        }
        What::Neighbour { bytes } => neighbour::hold(bytes).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn simulate(seed: u64, sequences: u64, only: &str) -> anyhow::Result<bool> {
    let mut outcomes = scenario::run(&scenarios::all(), only);
    println!("random sequences: --seed {seed} --sequences {sequences}");
    for outcome in random::run(seed, sequences) {
        outcomes.push(outcome.printed());
    }
    scenario::print_table(&outcomes);
    Ok(outcomes.iter().all(|outcome| outcome.ok()))
}
