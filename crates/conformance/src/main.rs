//! `sam-mm-conformance PLUGIN`: runs a backend plugin through the conformance suite and prints a table.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use sam_mm::backend::DeviceName;
use sam_mm_conformance::{Checkpoint, Options, Target, run};

/// Runs a sam-mm backend plugin through the conformance suite. Exit status 0: every promise was kept; 1: some were
/// broken; 2: the plugin cannot be loaded.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The plugin's file, such as libsam_mm_torch.so
    plugin: PathBuf,
    /// Checkpoint that models are loaded from; by default the demo model of sam-mm
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Device to run on, cpu or cuda:N
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Only the checks whose sentence contains this text
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let device = match arguments.device.parse::<DeviceName>() {
        Ok(device) => device,
        Err(error) => return give_up(&error),
    };
    let checkpoint = match arguments.checkpoint {
        Some(path) => Checkpoint::File(path),
        None => Checkpoint::Bytes(sam_mm::model::DEMO_MODEL.to_vec()),
    };
    let options = Options {
        device,
        checkpoint,
        only: arguments.only,
    };
    // The name first: should the plugin crash, it is known where.
    let progress = |entry: &sam_mm_conformance::Entry| {
        println!("{entry}");
        let _ = io::stdout().flush();
    };
    // SAFETY: running the plugin is what the user asked for.
    match unsafe { run(&Target::File(arguments.plugin), &options, progress) } {
        Ok(report) => {
            println!("\n{report}");
            if report.passed() {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(1)
            }
        }
        Err(error) => give_up(&error),
    }
}

fn give_up(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("{error}");
    ExitCode::from(2)
}
