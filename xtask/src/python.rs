//! The system's Python and its package installer.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::artifacts;
use crate::progress::{Progress, folder_size};
use crate::{libtorch, paths, process};

/// Versions of Python that PyTorch 2.11 has packages for.
const SUPPORTED_MINORS: std::ops::RangeInclusive<u32> = 10..=14;
/// The version whose packages are fetched when only their shared libraries are wanted and Python has another one.
const STAND_IN_MINOR: u32 = 12;

/// A Python that can be run.
#[derive(Clone, Debug)]
pub struct Python {
    program: PathBuf,
    /// Of `3.minor`.
    minor: u32,
}

impl Python {
    /// `python3` on the `PATH`, which must have `pip`.
    pub fn find() -> Result<Self> {
        let program = PathBuf::from("python3");
        let mut ask = Command::new(&program);
        ask.args(["-c", "import sys; print(*sys.version_info[:2])"]);
        let answer = process::output(&mut ask).context(
            "Python 3 is needed to fetch packages, and `python3` does not run. Install it (Debian, Ubuntu: \
             apt install python3 python3-pip), or name an existing libtorch 2.11 with --libtorch DIR",
        )?;
        let minor = match answer.trim().split_once(' ') {
            Some(("3", minor)) => minor.parse()?,
            _ => bail!("`python3` says it is version {}", answer.trim()),
        };
        let python = Self { program, minor };
        let has_pip = python
            .command()
            .args(["-m", "pip", "--version"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        ensure!(
            has_pip,
            "`python3` has no pip, which fetches packages. Install it (Debian, Ubuntu: apt install python3-pip; \
             elsewhere: python3 -m ensurepip)"
        );
        Ok(python)
    }

    pub fn command(&self) -> Command {
        Command::new(&self.program)
    }

    /// What the packages of this Python are marked with, such as `cp311`.
    pub fn tag(&self) -> String {
        format!("cp3{}", self.minor)
    }

    /// Fails when PyTorch cannot be imported by this version.
    pub fn require_supported(&self) -> Result<()> {
        ensure!(
            SUPPORTED_MINORS.contains(&self.minor),
            "`python3` is 3.{}, and PyTorch 2.11 needs 3.{} to 3.{}; put another one first on the PATH",
            self.minor,
            SUPPORTED_MINORS.start(),
            SUPPORTED_MINORS.end()
        );
        Ok(())
    }

    /// Installs packages into a folder of their own. `requirements` are arguments of `pip install`. A package that is built
    /// without isolation finds what was installed into the folder before.
    pub fn install(&self, title: &str, requirements: &[String], folder: &Path) -> Result<()> {
        let download = tempfile::Builder::new()
            .prefix("download-")
            .tempdir_in(paths::deps())?;
        let mut command = self.command();
        command
            .args(["-m", "pip", "install", "--target"])
            .arg(folder)
            .args(["--no-compile", "--progress-bar", "off"])
            .args(["--disable-pip-version-check", "--no-warn-conflicts"])
            .args(["--retries", "4", "--timeout", "60"])
            .args(self.stand_in_arguments())
            .args(requirements)
            .env("PYTHONPATH", folder)
            // The official SAM 2 compiles a CUDA extension unless told not to; only videos use it.
            .env("SAM2_BUILD_CUDA", "0")
            .env("TMPDIR", download.path());
        let watched = [download.path(), folder];
        let install = || run_with_progress(&mut command, title, &watched);
        retried(&WAITS, install).with_context(|| {
            format!(
                "{title} failed, and nothing of it was kept: run the command again to retry. It needs the network; \
                 a proxy is named in HTTPS_PROXY, another package index in PIP_INDEX_URL"
            )
        })
    }

    /// For a Python that PyTorch has no packages for: those of another version, of which only the libraries are used.
    fn stand_in_arguments(&self) -> Vec<String> {
        if SUPPORTED_MINORS.contains(&self.minor) {
            return Vec::new();
        }
        vec![
            "--python-version".to_owned(),
            format!("3.{STAND_IN_MINOR}"),
            "--only-binary=:all:".to_owned(),
        ]
    }
}

/// A network may fail for a moment: waits between attempts.
const WAITS: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(30)];

/// Does something that may fail, once more after each of `waits`.
fn retried(waits: &[Duration], mut attempt: impl FnMut() -> Result<()>) -> Result<()> {
    for wait in waits {
        match attempt() {
            Ok(()) => return Ok(()),
            Err(error) => eprintln!("{error:#}; again in {} s", wait.as_secs()),
        }
        thread::sleep(*wait);
    }
    attempt()
}

/// Runs a program that writes lines, showing the last one and how much lies in the folders it fills.
fn run_with_progress(command: &mut Command, title: &str, folders: &[&Path]) -> Result<()> {
    let mut progress = Progress::start(title);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let lines = lines_of(child.stdout.take().context("its output is piped")?);
    let errors = text_of(child.stderr.take().context("its errors are piped")?);
    let mut last = String::new();
    loop {
        match lines.recv_timeout(Duration::from_millis(500)) {
            Ok(line) => last = line,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        let sizes: Vec<_> = folders.iter().map(|folder| folder_size(folder)).collect();
        progress.update(&format!("{} · {}", sizes.join(" + "), shortened(&last)));
    }
    let status = child.wait()?;
    drop(progress);
    let errors = errors.join().unwrap_or_default();
    if !status.success() {
        bail!("pip said: {}", conclusion(&errors));
    }
    Ok(())
}

/// What pip ends with: its errors, or its last line when it gives none.
fn conclusion(errors: &str) -> String {
    let concluding: Vec<_> = errors
        .lines()
        .filter(|line| line.starts_with("ERROR"))
        .collect();
    match concluding.as_slice() {
        [] => errors.trim().lines().last().unwrap_or("nothing").to_owned(),
        lines => lines.join("; "),
    }
}

fn lines_of(stream: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

fn text_of(mut stream: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut text = Vec::new();
        // What was read until an error is still worth showing.
        let _ = stream.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    })
}

fn shortened(line: &str) -> String {
    line.trim().chars().take(60).collect()
}

/// Packages for the tools that compare and measure: a folder with a stamp that says what it was made from.
fn ensure_tool_packages(python: &Python) -> Result<PathBuf> {
    let folder = paths::deps().join("python");
    let tools = paths::root().join("tools");
    let wanted = format!(
        "{}\n{}\n{}",
        python.tag(),
        fs::read_to_string(tools.join("requirements.txt"))?,
        fs::read_to_string(tools.join("requirements-alone.txt"))?
    );
    let _lock = paths::lock_deps()?;
    let stamp = folder.join("installed-from.txt");
    if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(folder);
    }
    let fresh = tempfile::Builder::new()
        .prefix("python-")
        .tempdir_in(paths::deps())?;
    let requirements = |file: &str| {
        vec![
            "--requirement".to_owned(),
            tools.join(file).to_string_lossy().into_owned(),
        ]
    };
    python.install(
        "Fetching what the official implementations need",
        &requirements("requirements.txt"),
        fresh.path(),
    )?;
    // Their own dependencies on PyTorch are met by the one that libtorch comes from; isolated, a build would fetch another.
    let mut alone = requirements("requirements-alone.txt");
    alone.extend(["--no-deps", "--no-build-isolation"].map(str::to_owned));
    python.install(
        "Fetching the official implementations",
        &alone,
        fresh.path(),
    )?;
    fs::write(fresh.path().join("installed-from.txt"), &wanted)?;
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::rename(fresh.keep(), &folder)?;
    Ok(folder)
}

/// The folders from which PyTorch and the official implementations can be imported, as `PYTHONPATH` has them.
pub fn official_packages() -> Result<OsString> {
    let python = Python::find()?;
    let torch = libtorch::ensure_python_torch(&python)?;
    let packages = ensure_tool_packages(&python)?;
    Ok(env::join_paths([packages, torch])?)
}

/// A tool of `tools/`, ready to run: with the official implementation to import and a release build of sam-mm to load.
pub fn tool(module: &str, existing: Option<&Path>) -> Result<Command> {
    let official = official_packages()?;
    let libtorch = libtorch::ensure(existing)?;
    let artifacts = artifacts::build(&libtorch)?;
    let tools = paths::root().join("tools");
    let mut search = vec![tools.clone(), tools.join("goldens")];
    search.extend(env::split_paths(&official));
    let mut command = Python::find()?.command();
    command
        .args(["-m", module])
        .env("PYTHONPATH", env::join_paths(search)?)
        .env("PYTHONNOUSERSITE", "1")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONUNBUFFERED", "1")
        .env("SAM_MM_LIBRARY", &artifacts.library)
        .env("SAM_MM_BACKEND_PATH", &artifacts.plugin);
    libtorch.set_for_callers(&mut command);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_installation_is_told_by_pips_errors_not_its_retries() {
        let said = "WARNING: Retrying\nERROR: No matching distribution found for torch\n";
        assert_eq!(
            conclusion(said),
            "ERROR: No matching distribution found for torch"
        );
        assert_eq!(conclusion("WARNING: a\nKilled\n"), "Killed");
        assert_eq!(conclusion(""), "nothing");
    }

    #[test]
    fn what_fails_is_tried_again_as_often_as_there_are_waits() {
        let attempts_until = |success: usize| {
            let mut attempts = 0;
            let outcome = retried(&[Duration::ZERO; 2], || {
                attempts += 1;
                ensure!(attempts == success, "attempt {attempts}");
                Ok(())
            });
            (attempts, outcome.is_ok())
        };
        assert_eq!(attempts_until(1), (1, true));
        assert_eq!(attempts_until(3), (3, true));
        assert_eq!(attempts_until(4), (3, false));
    }

    #[test]
    fn packages_of_another_python_are_taken_only_where_there_are_none_for_this_one() {
        let python = |minor| Python {
            program: "python3".into(),
            minor,
        };
        assert!(python(11).stand_in_arguments().is_empty());
        assert!(python(11).require_supported().is_ok());
        assert_eq!(python(8).stand_in_arguments()[1], "3.12");
        assert!(python(8).require_supported().is_err());
    }
}
