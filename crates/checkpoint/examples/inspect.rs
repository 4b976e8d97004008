//! Says what a checkpoint holds: `cargo run -p sam-mm-checkpoint --example inspect -- FILE…`

use std::process::ExitCode;

use sam_mm_checkpoint::{Architecture, Checkpoint, Result};

fn main() -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for path in std::env::args_os().skip(1) {
        match inspect(path.as_ref()) {
            Ok(text) => println!("{text}"),
            Err(error) => {
                eprintln!("{error}");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

fn inspect(path: &std::path::Path) -> Result<String> {
    let checkpoint = Checkpoint::open(path)?;
    let architecture = Architecture::detect(&checkpoint)?;
    let report = architecture.check(&checkpoint)?;
    Ok(format!(
        "{}: {}, {} of {} tensors used, fingerprint {}",
        checkpoint.source_name(),
        report.found,
        report.used,
        checkpoint.len(),
        checkpoint.fingerprint()
    ))
}
