//! `sam-mm`: the library on the command line. `sam-mm doctor` is the first thing to run where something does not work.
//!
//! What programs may want to read goes to the standard output, everything else to the standard error. The exit status is 0
//! when what was asked for was done, 1 when it was not, and 2 for a command line that makes no sense.

mod arguments;
mod bench;
mod coco;
mod doctor;
mod drawing;
mod embed;
mod everything;
mod info;
mod output;
mod picture;
mod prompts;
mod segment;
mod session;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use arguments::{Arguments, Task};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => code,
        // Whoever reads has read enough, as `head` does.
        Err(error) if output::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.task {
        Task::Doctor(options) => return doctor::run(options),
        Task::Info(options) => info::run(options)?,
        Task::Segment(options) => segment::run(options)?,
        Task::Everything(options) => everything::run(options)?,
        Task::Embed(options) => return embed::run(options),
        Task::Bench(options) => bench::run(options)?,
    }
    Ok(ExitCode::SUCCESS)
}
