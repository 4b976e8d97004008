//! `cargo xtask test bindings`: the tests of every language's package, and whether all give the same masks.
//!
//! What a package has to bring along is said in tests/bindings/README.md.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;

use crate::artifacts::{self, Artifacts};
use crate::libtorch::Libtorch;
use crate::outside::Outside;
use crate::tally::Tally;
use crate::test::cargo_test;
use crate::{c_example, libtorch, paths, process, python};

/// Packages that bring their own `run_tests.sh`.
const PACKAGES: [&str; 5] = ["csharp", "java", "python", "imagej", "napari"];

/// The test files of the library that are about C, and about C++.
const C_TESTS: [&str; 4] = ["capi", "headers", "c_example", "library"];
const CPP_TESTS: [&str; 1] = ["cpp"];

pub fn run(existing: Option<&Path>) -> Result<()> {
    let official = python::official_packages()?;
    let libtorch = libtorch::ensure(existing)?;
    let session = Session {
        artifacts: artifacts::build(&libtorch)?,
        libtorch,
        official,
        scratch: tempfile::tempdir()?,
    };
    let mut counts: BTreeMap<&str, Tally> = BTreeMap::new();
    counts.insert("c", session.c()?);
    counts.insert("cpp", session.cpp()?);
    let outside = Outside::install(&session.artifacts, &session.libtorch)?;
    counts.insert("cmake", outside.cmake());
    counts.insert("pkgconfig", outside.pkg_config());
    let fake_backend = session.build_fake_backend()?;
    for name in PACKAGES {
        counts.insert(name, session.package(name, &fake_backend));
    }
    report(&counts)
}

fn report(counts: &BTreeMap<&str, Tally>) -> Result<()> {
    let failed: Vec<&str> = counts
        .iter()
        .filter(|(_, tally)| tally.failed > 0)
        .map(|(name, _)| *name)
        .collect();
    for name in &failed {
        println!("{name}: {}", counts[name]);
    }
    let passed: serde_json::Map<String, serde_json::Value> = counts
        .iter()
        .map(|(name, tally)| ((*name).to_owned(), json!(tally.passed)))
        .collect();
    println!("{}", serde_json::Value::Object(passed));
    if !failed.is_empty() {
        bail!("tests failed: {}", failed.join(", "));
    }
    Ok(())
}

struct Session {
    libtorch: Libtorch,
    artifacts: Artifacts,
    /// Where Python finds PyTorch and the official implementations.
    official: OsString,
    scratch: TempDir,
}

impl Session {
    /// The tests in C; and the hashes that the other languages are held against.
    fn c(&self) -> Result<Tally> {
        println!("\n== c");
        let mut tally = cargo_test(&self.libtorch, &tests_of(&C_TESTS))?;
        tally.check("C makes the masks of the shared cases", || {
            let program = self.scratch.path().join("hash_cases_c");
            let source = paths::root().join("tests/bindings/c/hash_cases.c");
            let flags = c_example::flags_for_tree(self.artifacts.folder());
            c_example::compile_sources(&program, &[source], &flags)?;
            self.hash_cases(&program, "c")
        });
        Ok(tally)
    }

    fn cpp(&self) -> Result<Tally> {
        println!("\n== cpp");
        let mut tally = cargo_test(&self.libtorch, &tests_of(&CPP_TESTS))?;
        for standard in ["c++17", "c++20"] {
            tally.check(&format!("{standard} gives the same masks as C"), || {
                let program = self.scratch.path().join(format!("hash_cases_{standard}"));
                let mut command = Command::new(c_example::cxx_compiler());
                command
                    .arg(format!("-std={standard}"))
                    .args(["-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o"])
                    .arg(&program)
                    .arg(paths::root().join("tests/bindings/cpp/hash_cases.cpp"))
                    .args(c_example::flags_for_tree(self.artifacts.folder()));
                process::run(&mut command)?;
                self.hash_cases(&program, standard)?;
                self.compare(standard)
            });
        }
        tally.check("pictures of OpenCV go in and its masks come out", || {
            self.open_cv()
        });
        Ok(tally)
    }

    /// The example with OpenCV, on the scene.
    fn open_cv(&self) -> Result<()> {
        let program = self.scratch.path().join("opencv_segment");
        let mut command = Command::new(c_example::cxx_compiler());
        command
            .args([
                "-std=c++17",
                "-O1",
                "-Wall",
                "-Wextra",
                "-Wpedantic",
                "-Werror",
                "-o",
            ])
            .arg(&program)
            .arg(paths::root().join("examples/cpp/opencv_segment.cpp"))
            .args(c_example::flags_for_tree(self.artifacts.folder()))
            .args(open_cv_flags()?);
        process::run(&mut command)?;
        let shown = self.scratch.path().join("opencv.png");
        let mut command = Command::new(program);
        command
            .arg(shared_cases().with_file_name("scene.ppm"))
            .arg(&shown)
            .args(["130.5,92.25", "96,28"])
            .env("SAM_MM_BACKEND_PATH", &self.artifacts.plugin);
        self.libtorch.set_for_callers(&mut command);
        let said = process::output(&mut command)?;
        ensure!(said.lines().count() == 2, "it said: {said}");
        for line in said.lines() {
            // Such as `object 1: score 0.9, 1234 pixels, 1234 of them in the matrix`.
            let counts: Vec<Option<u64>> = line
                .split(", ")
                .skip(1)
                .map(|part| part.split(' ').next()?.parse().ok())
                .collect();
            ensure!(
                counts.len() == 2 && counts[0] == counts[1] && counts[0] > Some(0),
                "the matrix does not hold what the library counted: {line}"
            );
        }
        ensure!(shown.is_file(), "it wrote no picture");
        Ok(())
    }

    /// The tests of a package, and its hashes.
    fn package(&self, name: &str, fake_backend: &Path) -> Tally {
        println!("\n== {name}");
        let script = paths::root()
            .join("bindings")
            .join(name)
            .join("run_tests.sh");
        let mut command = Command::new(&script);
        command
            .env("SAM_MM_LIBRARY", &self.artifacts.library)
            .env("SAM_MM_BACKEND_PATH", &self.artifacts.plugin)
            .env("SAM_MM_FAKE_BACKEND", fake_backend)
            .env("SAM_MM_OFFICIAL_PACKAGES", &self.official)
            .env("SAM_MM_SHARED_CASES", shared_cases())
            .env("SAM_MM_HASHES_OUT", self.hashes(name));
        self.libtorch.set_for_callers(&mut command);
        let mut tally = counted(&mut command);
        tally.check(&format!("{name} gives the same masks as C"), || {
            self.compare(name)
        });
        tally
    }

    /// Runs a program that writes the hashes of the shared cases.
    fn hash_cases(&self, program: &Path, name: &str) -> Result<()> {
        let lines = self.scratch.path().join("cases.txt");
        fs::write(&lines, Cases::read()?.lines())?;
        let mut command = Command::new(program);
        command.arg(lines).arg(self.hashes(name));
        command.env("SAM_MM_BACKEND_PATH", &self.artifacts.plugin);
        self.libtorch.set_for_callers(&mut command);
        process::run(&mut command)
    }

    fn hashes(&self, name: &str) -> PathBuf {
        self.scratch.path().join(format!("hashes_{name}.json"))
    }

    /// Every case has the hash that C gave.
    fn compare(&self, name: &str) -> Result<()> {
        let read = |name: &str| -> Result<BTreeMap<String, String>> {
            let path = self.hashes(name);
            let text = fs::read_to_string(&path)
                .with_context(|| format!("{name} wrote no hashes to SAM_MM_HASHES_OUT"))?;
            serde_json::from_str(&text)
                .with_context(|| format!("the hashes of {name} are not JSON"))
        };
        let (expected, found) = (read("c")?, read(name)?);
        ensure!(!expected.is_empty(), "C made no masks");
        let differing: Vec<&String> = expected
            .iter()
            .filter(|(case, hash)| found.get(*case) != Some(hash))
            .map(|(case, _)| case)
            .collect();
        ensure!(differing.is_empty(), "the masks of {differing:?} differ");
        Ok(())
    }

    /// The fake backend, for tests of errors.
    fn build_fake_backend(&self) -> Result<PathBuf> {
        let library = self
            .scratch
            .path()
            .join(paths::shared_library("sam_mm_fake"));
        let parts = ["backend", "control", "embedding", "masks", "model"];
        let folder = paths::root().join("tests/fake_backend");
        let sources = parts.map(|part| folder.join(format!("fake_{part}.c")));
        let flags = ["-shared", "-fPIC", "-fvisibility=hidden", "-pthread"].map(Into::into);
        let include = c_example::flags_for_tree(self.artifacts.folder());
        c_example::compile_sources(&library, &sources, &[&flags[..], &include[..1]].concat())?;
        Ok(library)
    }
}

/// How to compile with OpenCV: as pkg-config says, or as Debian's packages of its parts are laid out, which bring no file for
/// pkg-config. Warnings in its headers are its own.
fn open_cv_flags() -> Result<Vec<String>> {
    let told = Command::new("pkg-config")
        .args(["--cflags", "--libs", "opencv4"])
        .output();
    if let Some(told) = told.ok().filter(|told| told.status.success()) {
        let flags = String::from_utf8(told.stdout)?.replace("-I", "-isystem");
        return Ok(flags.split_whitespace().map(str::to_owned).collect());
    }
    let headers = "/usr/include/opencv4";
    ensure!(
        Path::new(headers).is_dir(),
        "OpenCV 4 is missing (Debian, Ubuntu: apt install libopencv-imgcodecs-dev libopencv-imgproc-dev)"
    );
    let mut flags = vec!["-isystem".to_owned(), headers.to_owned()];
    let parts = ["core", "imgproc", "imgcodecs"];
    flags.extend(parts.map(|part| format!("-lopencv_{part}")));
    Ok(flags)
}

fn tests_of<'a>(files: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["--package", "sam-mm"];
    arguments.extend(files.iter().flat_map(|file| ["--test", file]));
    arguments
}

/// Runs a script whose last line is a count. One that does not start or ends badly is a failure more.
fn counted(command: &mut Command) -> Tally {
    let mut tally = Tally::default();
    let mut last = String::new();
    let succeeded = run_and_print(command, &mut last);
    if let Some(counted) = Tally::read(&last) {
        tally = counted;
    }
    let ended_well = matches!(succeeded, Ok(true)) || tally.failed > 0;
    if !ended_well || tally == Tally::default() {
        tally.check("the script ends well, with a count", || {
            succeeded.with_context(|| {
                format!("{} did not run", command.get_program().to_string_lossy())
            })?;
            bail!("its last line is {last:?}")
        });
    }
    tally
}

/// Prints what a program prints, and remembers the last line. Tells whether its exit status is 0.
fn run_and_print(command: &mut Command, last: &mut String) -> Result<bool> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    for line in BufReader::new(child.stdout.take().context("its output is piped")?).lines() {
        *last = line?;
        println!("{last}");
    }
    Ok(child.wait()?.success())
}

fn shared_cases() -> PathBuf {
    paths::root().join("tests/bindings/cases.json")
}

#[derive(Deserialize)]
struct Cases {
    image: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    multimask: bool,
    prompts: Vec<Prompt>,
    boxes: Vec<[f32; 4]>,
}

#[derive(Deserialize)]
struct Prompt {
    points: Vec<[f32; 2]>,
    labels: Vec<i32>,
    #[serde(rename = "box")]
    bounds: Option<[f32; 4]>,
    mask_of: Option<String>,
}

impl Cases {
    fn read() -> Result<Self> {
        Ok(serde_json::from_str(&fs::read_to_string(shared_cases())?)?)
    }

    /// The cases as lines of words, which C reads without a library.
    fn lines(&self) -> String {
        let image = shared_cases().with_file_name(&self.image);
        let mut lines = vec![format!("image {}", image.display())];
        for case in &self.cases {
            lines.push(format!(
                "case {} {} {} {}",
                case.name,
                u32::from(case.multimask),
                case.prompts.len(),
                case.boxes.len()
            ));
            case.prompts
                .iter()
                .for_each(|prompt| prompt.add_lines(&mut lines));
            lines.extend(case.boxes.iter().map(words));
        }
        lines.join("\n") + "\n"
    }
}

impl Prompt {
    fn add_lines(&self, lines: &mut Vec<String>) {
        lines.push(format!(
            "prompt {} {} {}",
            self.points.len(),
            u32::from(self.bounds.is_some()),
            self.mask_of.as_deref().unwrap_or("-")
        ));
        let points = self.points.iter().zip(&self.labels);
        lines.extend(points.map(|([x, y], label)| format!("{x} {y} {label}")));
        lines.extend(self.bounds.iter().map(words));
    }
}

fn words(numbers: &[f32; 4]) -> String {
    numbers.map(|number| number.to_string()).join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_cases_become_lines_with_every_number() {
        let cases = Cases::read().unwrap();
        let lines = cases.lines();
        assert!(
            lines.starts_with("image ") && lines.contains("/scene.ppm\n"),
            "{lines}"
        );
        assert_eq!(
            lines
                .lines()
                .filter(|line| line.starts_with("case "))
                .count(),
            cases.cases.len()
        );
        let expected =
            "case a_box_with_clicks 1 1 0\nprompt 2 1 -\n130 12 1\n120.5 120.5 0\n96 1 148 56\n";
        assert!(lines.contains(expected), "{lines}");
        assert!(lines.contains("prompt 2 0 one_click\n"), "{lines}");
    }

    #[test]
    fn a_script_is_counted_by_its_last_line() {
        let run = |script: &str| counted(Command::new("sh").args(["-c", script]));
        let tally = |passed, failed| Tally { passed, failed };
        assert_eq!(run("echo words; echo 3 passed, 0 failed"), tally(3, 0));
        assert_eq!(run("echo 3 passed, 2 failed; exit 1"), tally(3, 2));
        assert_eq!(run("echo 3 passed, 0 failed; exit 1"), tally(3, 1));
        assert_eq!(run("echo words"), tally(0, 1));
        assert_eq!(run("true"), tally(0, 1));
        assert_eq!(counted(&mut Command::new("no/such/script")), tally(0, 1));
    }
}
