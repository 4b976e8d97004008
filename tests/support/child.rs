//! Tests that need a process of their own: what is loaded into a process stays there.

use std::env;
use std::process::{Child, Command, Stdio, exit};

const CHILD: &str = "SAM_MM_TEST_CHILD";
const BEGIN: &str = "<<<";
const END: &str = ">>>";

/// Runs `body` in a new process and returns its text. `test` is the name of the calling test, which the new process
/// runs again; `set_up` prepares its environment, and is not called there.
pub fn in_child(
    test: &str,
    set_up: impl FnOnce(&mut Command),
    body: impl FnOnce() -> String,
) -> String {
    if env::var_os(CHILD).is_some_and(|child| child == test) {
        println!("{BEGIN}{}{END}", body());
        exit(0);
    }
    let mut command = again(test);
    // Where this machine has its own libtorch and backends: what the test sets up must be all there is.
    for name in ["SAM_MM_LIBTORCH", "SAM_MM_BACKEND_PATH", "LD_LIBRARY_PATH"] {
        command.env_remove(name);
    }
    set_up(&mut command);
    let output = command.output().expect("the test can be started again");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let answer = text
        .split_once(BEGIN)
        .and_then(|(_, rest)| rest.split_once(END))
        .map(|(answer, _)| answer.to_owned());
    answer.unwrap_or_else(|| {
        panic!(
            "{test} ended with {} in its own process:\n{text}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )
    })
}

/// Starts `body` in a new process, as [`in_child`] does, to be killed in the middle of it or waited for.
pub fn start(test: &str, set_up: impl FnOnce(&mut Command), body: impl FnOnce()) -> Child {
    if env::var_os(CHILD).is_some_and(|child| child == test) {
        body();
        exit(0);
    }
    let mut command = again(test);
    command.stdout(Stdio::null());
    set_up(&mut command);
    command.spawn().expect("the test can be started again")
}

fn again(test: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("a test has a path"));
    command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, test);
    command
}
