//! The shared library as programs see it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

use super::c;

/// The shared library that was built along with this test.
pub fn path() -> PathBuf {
    let name = format!(
        "{}sam_mm{}",
        env::consts::DLL_PREFIX,
        env::consts::DLL_SUFFIX
    );
    let deps = env::current_exe().expect("a test has a path");
    let path = deps.parent().expect("in a folder").join(name);
    assert!(path.exists(), "{} was not built", path.display());
    path
}

/// Copies the library, under the name that programs linked with it look for, into an empty folder: what lies beside it
/// in the target folder would be found as a backend.
pub fn install(folder: &Path) -> PathBuf {
    let installed = folder.join("libsam_mm.so.0");
    fs::copy(path(), &installed).expect("a test may write to its own folder");
    installed
}

/// A command in an environment where no backend is found but those named, and nothing else of this machine either.
pub fn command(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    let kept = ["PATH", "TMPDIR", "ASAN_OPTIONS"];
    let kept = kept
        .into_iter()
        .filter_map(|name| Some((name, env::var_os(name)?)));
    let kept: Vec<(&str, OsString)> = kept.collect();
    command
        .env_clear()
        .envs(kept)
        .env("HOME", home)
        .env("LD_LIBRARY_PATH", home);
    command
}

/// The same under valgrind. What it finds ends with status 99. Only what nothing points to any more is a leak: a plugin stays
/// loaded for as long as the process, with what it keeps in its globals.
pub fn under_valgrind(program: &Path, home: &Path) -> Command {
    let found = Command::new("valgrind").arg("--version").output();
    assert!(
        found.is_ok_and(|output| output.status.success()),
        "valgrind is missing (Debian, Ubuntu: apt install valgrind); `.ci/run` installs it"
    );
    let mut command = self::command(Path::new("valgrind"), home);
    command.args([
        "--quiet",
        "--error-exitcode=99",
        "--leak-check=full",
        "--show-leak-kinds=definite,indirect",
        "--errors-for-leak-kinds=definite,indirect",
    ]);
    command.arg(program);
    command
}

/// Compiles a program against the header and the library.
pub fn program(sources: &[PathBuf], args: &[&str]) -> PathBuf {
    program_in(c::Language::C99, sources, args)
}

/// [`program`] in another language.
pub fn program_in(language: c::Language, sources: &[PathBuf], args: &[&str]) -> PathBuf {
    let library = path();
    let args: Vec<&OsStr> = args
        .iter()
        .map(OsStr::new)
        .chain([library.as_os_str()])
        .collect();
    c::program_in(language, sources, &args)
}

/// What a command printed, which must have succeeded.
pub fn succeed(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("the program starts");
    let (stdout, stderr) = (
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr),
    );
    assert!(
        status.success(),
        "{command:?} ended with {status}\n{stdout}\n{stderr}"
    );
    stdout.into_owned()
}
