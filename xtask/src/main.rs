//! The one entry to every chore of the project: `cargo xtask help`.
//!
//! Each command does whatever set-up it needs; `setup` alone does only that.

mod arguments;
mod artifacts;
mod bench;
mod bench_tiers;
mod bindings;
mod c_example;
mod conformance;
mod demo;
mod docs;
mod install;
mod install_check;
mod libtorch;
mod lint;
mod memory_lab;
mod outside;
mod parity;
mod paths;
mod process;
mod progress;
mod python;
mod raw_layers;
mod session_lab;
mod tally;
mod test;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use arguments::{Arguments, Simulation, Task};
use memory_lab::NotRun;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            if error.is::<NotRun>() {
                return ExitCode::from(NotRun::EXIT_STATUS);
            }
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let libtorch = arguments.libtorch.as_deref();
    match &arguments.task {
        Task::Setup(options) => libtorch::setup(libtorch, options.gpu),
        Task::Demo(options) => demo::run(options, libtorch),
        Task::Test(options) => test::run(options, libtorch),
        Task::Lint => lint::run(libtorch),
        Task::Parity(options) => parity::run(options, libtorch),
        Task::Bench(options) => bench::run(options, libtorch),
        Task::BenchTiers => bench_tiers::run(libtorch),
        Task::Conformance(options) => conformance::run(options, libtorch),
        Task::Simulate(Simulation::Memory(options)) => memory_lab::simulate(options),
        Task::Simulate(Simulation::Session(options)) => session_lab::simulate(options, libtorch),
        Task::GpuCheck(options) => memory_lab::gpu_check(options, libtorch),
        Task::Install(options) => install::run(options, libtorch),
        Task::Bindings(binding) => raw_layers::run(binding),
        Task::InstallCheck => install_check::run(libtorch),
        Task::Docs => docs::run(),
    }
}
