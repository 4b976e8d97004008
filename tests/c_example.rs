//! The example in C as its users run it: on good input, and on what people type by mistake.
#![cfg(target_os = "linux")]

mod support;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use support::{c, fake_backend, library};
use tempfile::TempDir;

/// The sources of an example: its own, and what both share.
fn example(main: &str, other: &str) -> Vec<PathBuf> {
    let mut sources = c::sources_in("examples/c");
    sources.retain(|path| !path.ends_with(other));
    assert!(sources.iter().any(|path| path.ends_with(main)));
    sources
}

fn segment() -> Vec<PathBuf> {
    example("segment.c", "annotate.c")
}

fn annotate() -> Vec<PathBuf> {
    let mut sources = example("annotate.c", "segment.c");
    sources.retain(|path| path.ends_with("annotate.c") || path.ends_with("scene.c"));
    sources
}

/// A folder with the library and the fake backend, in which the example runs.
struct Example {
    home: TempDir,
    backend: PathBuf,
}

impl Example {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        library::install(home.path());
        let backend = fake_backend::install(home.path(), "fake", &[]);
        Self { home, backend }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Writes a binary PPM of one colour.
    fn picture(&self, name: &str, width: usize, height: usize) -> PathBuf {
        let mut bytes = format!("P6\n# a comment\n{width} {height}\n255\n").into_bytes();
        bytes.extend([90, 120, 150].repeat(width * height));
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn overlay(&self) -> PathBuf {
        self.path("overlay.png")
    }

    /// The arguments, and where the backend is and the overlay goes.
    fn add_arguments(&self, command: &mut Command, arguments: &[&str]) {
        command.args(arguments);
        command.arg("--backend").arg(&self.backend);
        command.arg("--overlay").arg(self.overlay());
    }

    /// Runs the example under the sanitizers.
    fn run(&self, arguments: &[&str]) -> Output {
        let program = library::program(&segment(), &c::SANITIZERS);
        let mut command = library::command(&program, self.home.path());
        self.add_arguments(&mut command, arguments);
        command.output().expect("the example starts")
    }

    fn succeed(&self, arguments: &[&str]) -> Value {
        report(&self.run(arguments))
    }

    /// Runs the example with arguments that must be refused, and returns the words.
    fn refuse(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // A sanitizer ends the program by itself, with a status of its own.
        assert!(
            matches!(output.status.code(), Some(1 | 2)) && said.starts_with("segment: "),
            "{arguments:?} ended with {}: {said}",
            output.status
        );
        for finding in ["Sanitizer", "runtime error", "panicked"] {
            assert!(!said.contains(finding), "{arguments:?}: {said}");
        }
        said
    }
}

/// The JSON in the last line of a run that succeeded and had nothing to complain of.
fn report(output: &Output) -> Value {
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success() && complained.is_empty(),
        "{}\n{said}\n{complained}",
        output.status
    );
    let last = said.lines().last().expect("it prints something");
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error} in the line {last}"))
}

/// The size of a picture, all of which is read and whose checksums are right.
fn size_of_png(path: &Path) -> (u32, u32) {
    let mut reader = png::Decoder::new(std::io::BufReader::new(File::open(path).unwrap()))
        .read_info()
        .unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    reader.finish().unwrap();
    (frame.width, frame.height)
}

#[test]
fn a_drawn_scene_gives_a_mask_for_each_object_and_an_overlay() {
    let example = Example::new();
    let report = example.succeed(&[]);
    let masks = report["masks"].as_array().unwrap();
    assert_eq!(masks.len(), 4);
    for mask in masks {
        assert!(mask["area"].as_u64().unwrap() > 0, "{mask}");
        assert!(
            (0.0..=1.0).contains(&mask["iou_truth"].as_f64().unwrap()),
            "{mask}"
        );
    }
    assert_eq!(
        report["memory"],
        "Running on CPU - memory stats not available"
    );
    assert_eq!(report["overlay"], example.overlay().to_str().unwrap());
    assert!(report["encode_ms"].is_number() && report["predict_ms"].is_number());
    let (width, height) = size_of_png(&example.overlay());
    assert!(
        width > 2 * height,
        "{width}x{height} is no pair of squares with a gap"
    );
}

#[test]
fn each_box_is_an_object_and_a_point_joins_a_single_box() {
    let example = Example::new();
    let picture = example.picture("two words, ünïcode.ppm", 90, 50);
    let image = ["--image", picture.to_str().unwrap()];
    let masks_of = |prompts: &[&str]| {
        let report = example.succeed(&[&image, prompts].concat());
        report["masks"].as_array().unwrap().clone()
    };
    let boxes = masks_of(&["--box", "5,5,30,30", "--box", "50,10,80,40"]);
    assert_eq!(boxes.len(), 2);
    // The fake backend finds what is in the box, in cells of 90 / 64 pixels.
    for (mask, expected) in boxes
        .iter()
        .zip([[5.0, 5.0, 30.0, 30.0], [50.0, 10.0, 80.0, 40.0]])
    {
        for (found, expected) in mask["box"].as_array().unwrap().iter().zip(expected) {
            assert!(
                (found.as_f64().unwrap() - expected).abs() < 1.5,
                "{boxes:?}"
            );
        }
        assert_eq!(mask["iou_truth"], Value::Null);
    }
    assert_eq!(
        masks_of(&["--box", "5,5,30,30", "--point", "20,20", "--point", "8,8,0"]).len(),
        1
    );
    let (width, height) = size_of_png(&example.overlay());
    assert!(width > 180 && height == 50, "{width}x{height}");
}

#[test]
fn a_picture_of_one_pixel_and_a_wide_one_work() {
    let example = Example::new();
    // A row of the overlay is longer than a block of deflate may be.
    for (width, height) in [(1, 1), (12_000, 3)] {
        let picture = example.picture("picture.ppm", width, height);
        let arguments = ["--image", picture.to_str().unwrap(), "--point", "0.5,0.5"];
        assert_eq!(
            example.succeed(&arguments)["masks"]
                .as_array()
                .unwrap()
                .len(),
            1
        );
        assert_eq!(size_of_png(&example.overlay()).1 as usize, height);
    }
}

#[test]
fn arguments_that_cannot_be_are_refused_with_their_words() {
    let example = Example::new();
    let picture = example.picture("picture.ppm", 90, 50);
    let picture = picture.to_str().unwrap();
    let cases: [(&[&str], &str); 15] = [
        (&["--point"], "--point"),
        (&["--points", "1,2"], "--points"),
        (&["--point", "1"], "X,Y"),
        (&["--point", "1,2,7"], "a label of 1"),
        (&["--point", "1,2,1,"], "a label of 1"),
        (&["--box", "1,2,3"], "X0,Y0,X1,Y1"),
        (&["--seed", "one"], "a number"),
        (&["--threads", "-1"], "a number"),
        (&["--threads", "4294967296"], "a number"),
        (&["--image", picture], "a --point or a --box"),
        (
            &["--point", "1,1", "--box", "1,1,5,5", "--box", "1,1,5,5"],
            "one --box at most",
        ),
        (&["--image", picture, "--point", "91,20"], "91"),
        (&["--image", picture, "--point", "nan,20"], "NaN"),
        (&["--image", picture, "--box", "50,20,10,40"], "50"),
        (&["--device", "tpu"], "tpu"),
    ];
    for (arguments, words) in cases {
        let said = example.refuse(arguments);
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}

#[test]
fn files_that_cannot_be_read_or_written_are_named() {
    let example = Example::new();
    let picture = example.picture("picture.ppm", 90, 50);
    let write = |name: &str, text: &str| {
        let path = example.path(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let home = example.home.path().to_str().unwrap();
    let unreadable = [
        write("text.ppm", "some words"),
        write("empty.ppm", ""),
        write("cut.ppm", "P6 90 50 255\nabc"),
        write("deep.ppm", "P6 90 50 65535\nabc"),
        write("huge.ppm", "P6 99999999999 50 255\nabc"),
        write("flat.ppm", "P6 0 50 255\nabc"),
        format!("{home}/missing.ppm"),
        home.to_owned(),
    ];
    for image in &unreadable {
        let said = example.refuse(&["--image", image, "--point", "1,1"]);
        assert!(said.contains(image), "{said}");
    }
    let missing = format!("{home}/missing.pth");
    let said = example.refuse(&["--checkpoint", &missing]);
    assert!(said.contains(&missing), "{said}");

    let picture = picture.to_str().unwrap();
    let nowhere = format!("{home}/no/folder/overlay.png");
    let program = library::program(&segment(), &c::SANITIZERS);
    let output = library::command(&program, example.home.path())
        .args(["--image", picture, "--point", "1,1", "--overlay", &nowhere])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(1) && said.contains(&nowhere),
        "{said}"
    );
}

#[test]
fn the_annotation_tool_gives_every_object_a_mask_and_prepares_what_comes_next() {
    let example = Example::new();
    let program = library::program(&annotate(), &c::SANITIZERS);
    let run = |arguments: &[&str]| {
        let mut command = library::command(&program, example.home.path());
        command.arg("--backend").arg(&example.backend);
        command.args(arguments).output().unwrap()
    };
    let report = report(&run(&["--pictures", "4", "--device", "cpu"]));
    assert_eq!(report["pictures"], 4);
    assert_eq!(report["masks"], 16);
    assert_eq!(report["embeddings"], 4);
    assert_eq!(report["skipped"], 0);
    for (arguments, words) in [
        (["--device", "tpu"], "tpu"),
        (["--pictures", "0"], "1 to 32"),
        (["--checkpoint", "/no/such/file.pth"], "/no/such/file.pth"),
    ] {
        let output = run(&arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code() == Some(1) && said.contains(words),
            "{said}"
        );
    }
}

/// The sanitizers see the example's own code; valgrind sees what the library does with memory as well.
#[test]
fn valgrind_finds_nothing() {
    let example = Example::new();
    let picture = example.picture("picture.ppm", 90, 50);
    let program = library::program(&segment(), &[]);
    let mut command = library::under_valgrind(&program, example.home.path());
    example.add_arguments(
        &mut command,
        &[
            "--image",
            picture.to_str().unwrap(),
            "--point",
            "20,20",
            "--box",
            "5,5,30,30",
        ],
    );
    report(&command.output().unwrap());
}
