//! Running programs, with errors that say what was run.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::{env, io};

use anyhow::{Context, Result, bail};

/// Runs a program with the terminal's input and output; an exit status other than 0 is an error.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| start_failure(command))?;
    check(command, status)
}

/// Runs a program and returns what it wrote to its standard output.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| start_failure(command))?;
    check(command, output.status)?;
    String::from_utf8(output.stdout)
        .with_context(|| format!("{} did not write UTF-8", describe(command)))
}

/// The error of a program that ended with this status, if it is one.
pub fn check(command: &Command, status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("`{}` failed ({status})", describe(command));
    }
    Ok(())
}

/// Cargo, as it started this program.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(crate::paths::root());
    command
}

/// Puts a folder in front of a variable that holds a list of folders.
pub fn prepend_path(command: &mut Command, variable: &str, folder: &Path) -> Result<()> {
    let set_before = command
        .get_envs()
        .find(|(name, _)| *name == OsStr::new(variable))
        .and_then(|(_, value)| value.map(OsStr::to_owned));
    let old = set_before
        .or_else(|| env::var_os(variable))
        .unwrap_or_default();
    let folders: Vec<PathBuf> = std::iter::once(folder.to_owned())
        .chain(env::split_paths(&old).filter(|path| !path.as_os_str().is_empty()))
        .collect();
    command.env(variable, env::join_paths(folders)?);
    Ok(())
}

/// The variable with the folders in which the system looks for shared libraries first.
pub const LIBRARY_PATH_VARIABLE: &str = if cfg!(target_os = "macos") {
    "DYLD_LIBRARY_PATH"
} else if cfg!(windows) {
    "PATH"
} else {
    "LD_LIBRARY_PATH"
};

/// Whether a program can be started at all.
pub fn exists(program: &str) -> bool {
    let started = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    !matches!(started, Err(error) if error.kind() == io::ErrorKind::NotFound)
}

fn start_failure(command: &Command) -> String {
    format!("`{}` could not be started", describe(command))
}

fn describe(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_program_is_named_with_its_arguments() {
        let error = run(Command::new("sh").args(["-c", "exit 3"])).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("sh -c exit 3") && text.contains('3'),
            "{text}"
        );
    }

    #[test]
    fn folders_set_before_stay_behind_the_new_one() {
        let mut command = Command::new("true");
        command.env("SAM_MM_TEST_PATH", "/b");
        prepend_path(&mut command, "SAM_MM_TEST_PATH", Path::new("/a")).unwrap();
        let value = command.get_envs().next().unwrap().1.unwrap();
        assert_eq!(
            env::split_paths(value).collect::<Vec<_>>(),
            [PathBuf::from("/a"), PathBuf::from("/b")]
        );
    }
}
