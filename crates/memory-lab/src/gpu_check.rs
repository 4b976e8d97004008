use std::path::Path;
use std::process::ExitCode;
pub fn run(_: &Path, _: Option<&Path>) -> ExitCode {
    ExitCode::from(3)
}
