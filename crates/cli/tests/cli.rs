//! `sam-mm` as people run it: what it prints, what it ends with, and what it says to input that cannot be.
#![cfg(target_os = "linux")]

#[path = "../../../tests/support/c.rs"]
#[allow(dead_code)]
mod c;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A machine with nothing of sam-mm on it but what a test puts into its folder.
struct Machine {
    home: TempDir,
}

impl Machine {
    fn new() -> Self {
        // Where the program is as well, which can be linked then.
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        Self { home }
    }

    /// Puts the fake backend there, where the variable of [`Machine::command`] leads.
    fn with_backend() -> Self {
        let machine = Self::new();
        let folder = machine.path("backends");
        fs::create_dir(&folder).unwrap();
        let library = c::shared_library(&c::sources_in("tests/fake_backend"), &["-pthread"]);
        fs::copy(library, folder.join("libsam_mm_fake.so")).unwrap();
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn picture(&self, name: &str, width: u32, height: u32) -> String {
        let path = self.path(name);
        image::RgbImage::from_pixel(width, height, image::Rgb([90, 120, 150]))
            .save(&path)
            .unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The program in an empty folder, so that nothing that was built along with it is found as a backend. Not a copy: while that
    /// is written, a process that another test starts inherits the open file, and then it cannot be run.
    fn command(&self, arguments: &[&str]) -> Command {
        let program = self.path("bin/sam-mm");
        if !program.exists() {
            fs::create_dir(self.path("bin")).unwrap();
            fs::hard_link(env!("CARGO_BIN_EXE_sam-mm"), &program).unwrap();
        }
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", self.home.path())
            .current_dir(self.home.path())
            .args(arguments);
        let backends = self.path("backends");
        if backends.exists() {
            command.env("SAM_MM_BACKEND_PATH", backends);
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What a run that must succeed printed.
    fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = text(&output.stdout);
        assert!(
            output.status.success(),
            "{arguments:?}\n{said}\n{}",
            text(&output.stderr)
        );
        said
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.succeed(arguments)).unwrap()
    }

    /// What a run that must fail with this status complained of.
    fn fail(&self, status: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}\n{said}");
        assert!(
            !said.contains("panicked") && !said.is_empty(),
            "{arguments:?}\n{said}"
        );
        said
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn verdicts(report: &Value, verdict: &str) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap().iter();
    findings
        .filter(|finding| finding["verdict"] == verdict)
        .map(|finding| {
            format!(
                "{} {} {}",
                finding["subject"], finding["found"], finding["advice"]
            )
        })
        .collect()
}

#[test]
fn a_machine_without_a_backend_is_not_healthy_and_is_told_what_to_do() {
    let machine = Machine::new();
    let output = machine.run(&["doctor"]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("does not work on this machine yet"), "{said}");
    assert!(said.contains("--> there is no plugin"), "{said}");
    assert!(said.contains("cargo xtask install"), "{said}");
    // Every folder that was looked into is told.
    assert!(
        said.contains(machine.home.path().to_str().unwrap()),
        "{said}"
    );
    let report: Value = serde_json::from_slice(&machine.run(&["doctor", "--json"]).stdout).unwrap();
    assert_eq!(report["healthy"], false);
    assert_eq!(verdicts(&report, "problem").len(), 1);
}

#[test]
fn what_a_backend_can_run_on_is_told_and_the_exit_status_is_that_of_the_report() {
    let machine = Machine::with_backend();
    let output = machine.run(&["doctor", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let works = report["healthy"].as_bool().unwrap();
    assert_eq!(output.status.success(), works);
    let loaded = verdicts(&report, "good");
    assert!(
        loaded.iter().any(|line| line.contains("loaded, fake")),
        "{loaded:?}"
    );
    assert!(
        loaded.iter().any(|line| line.contains("fake on cpu")),
        "{loaded:?}"
    );
}

#[test]
fn what_is_wrong_with_the_environment_is_told_with_what_to_do() {
    let machine = Machine::with_backend();
    let output = machine
        .command(&["doctor", "--json"])
        .env("SAM_MM_LIBTORCH", "/no/such/libtorch")
        .env("SAM_GPU_MEMORY_FRACTION", "plenty")
        .env("CUDA_VISIBLE_DEVICES", "0")
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let problems = verdicts(&report, "problem").join("\n");
    assert!(
        problems.contains("/no/such/libtorch is no folder"),
        "{problems}"
    );
    let warnings = verdicts(&report, "warning").join("\n");
    assert!(
        warnings.contains("plenty") && warnings.contains("correct the variable"),
        "{warnings}"
    );
    assert!(
        verdicts(&report, "fact")
            .join("\n")
            .contains("CUDA_VISIBLE_DEVICES")
    );

    let empty = machine.path("empty");
    fs::create_dir(&empty).unwrap();
    let output = machine
        .command(&["doctor"])
        .env("SAM_MM_LIBTORCH", &empty)
        .env("SAM_MM_BACKEND_PATH", "relative:/no/such/folder")
        .output()
        .unwrap();
    let said = text(&output.stdout);
    for words in [
        "holds no libtorch_cpu.so",
        "relative and therefore not looked at",
        "/no/such/folder does not exist",
    ] {
        assert!(said.contains(words), "{words} is missing in:\n{said}");
    }
}

#[test]
fn the_demo_model_is_described_with_and_without_a_backend() {
    let said = Machine::new().succeed(&["info"]);
    assert!(
        said.contains("demo model") && said.contains("million in"),
        "{said}"
    );
    assert!(
        said.contains("not known, as no backend can be asked"),
        "{said}"
    );
    assert!(said.contains("sam-mm doctor"), "{said}");

    let said = Machine::with_backend().succeed(&["info"]);
    assert!(
        said.contains("family       fake fake_s, input of 256 × 256 pixels"),
        "{said}"
    );
    let report = Machine::with_backend().json(&["info", "--json"]);
    assert!(report["values"].as_u64().unwrap() > 1_000_000);
    let plans = report["memory"]["plans"].as_array().unwrap();
    assert!(!plans.is_empty(), "{report}");
    for plan in plans {
        let bytes = |key: &str| plan[key].as_u64().unwrap();
        assert!(
            bytes("peak_bytes")
                >= bytes("weight_bytes") + bytes("encode_bytes").max(bytes("click_bytes"))
        );
    }
}

#[test]
fn a_file_that_is_no_checkpoint_is_told_apart() {
    let machine = Machine::new();
    let write = |name: &str, contents: &[u8]| {
        fs::write(machine.path(name), contents).unwrap();
        machine.path(name).to_str().unwrap().to_owned()
    };
    let home = machine.home.path().to_str().unwrap();
    for file in [
        write("empty.pth", b""),
        write("text.pth", b"not a checkpoint at all"),
        write("cut.safetensors", &[200, 0, 0, 0, 0, 0, 0, 0, b'{']),
        format!("{home}/missing.pth"),
        home.to_owned(),
    ] {
        let said = machine.fail(1, &["info", &file]);
        assert!(
            said.starts_with("error: ") && said.contains(&file),
            "{said}"
        );
    }
}

#[test]
fn a_picture_becomes_every_form_of_masks() {
    let machine = Machine::with_backend();
    let picture = machine.picture("two words, ünïcode.png", 90, 50);
    let out = machine.path("out/deep");
    let report = machine.json(&[
        "segment",
        &picture,
        "--box",
        "5,5,30,30",
        "--box",
        "50,10,80,40",
        "--write",
        "mask,overlay,coco,polygons",
        "--out",
        out.to_str().unwrap(),
        "--json",
        "--device",
        "cpu",
    ]);
    let objects = report["objects"].as_array().unwrap();
    assert_eq!(objects.len(), 2);
    let stem = out.join("two words, ünïcode");
    let file = |ending: &str| PathBuf::from(format!("{}.{ending}", stem.display()));
    let written: Vec<&str> = report["written"]
        .as_array()
        .unwrap()
        .iter()
        .map(|path| path.as_str().unwrap())
        .collect();
    assert_eq!(written.len(), 5);
    for (object, found) in objects.iter().enumerate() {
        let mask = image::open(file(&format!("mask.{object}.png")))
            .unwrap()
            .into_luma8();
        assert_eq!(mask.dimensions(), (90, 50));
        let inside = mask.pixels().filter(|pixel| pixel.0[0] == 255).count() as u64;
        assert!(mask.pixels().all(|pixel| matches!(pixel.0[0], 0 | 255)));
        assert_eq!(inside, found["area"].as_u64().unwrap());
    }
    assert_eq!(
        image::open(file("overlay.png"))
            .unwrap()
            .into_rgb8()
            .dimensions(),
        (90, 50)
    );

    let read = |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let coco = read(&file("coco.json"));
    assert_eq!(coco["images"][0]["file_name"], "two words, ünïcode.png");
    assert_eq!(
        coco["annotations"][1]["segmentation"]["size"],
        serde_json::json!([50, 90])
    );
    assert!(coco["annotations"][1]["segmentation"]["counts"].is_string());
    assert_eq!(coco["annotations"][0]["area"], objects[0]["area"]);
    let polygons = read(&file("polygons.json"));
    let ring = polygons["annotations"][0]["segmentation"][0]
        .as_array()
        .unwrap();
    assert!(ring.len() >= 8 && ring.len() % 2 == 0, "{ring:?}");
}

#[test]
fn points_describe_one_object_and_the_lines_say_what_was_found() {
    let machine = Machine::with_backend();
    let picture = machine.picture("picture.jpg", 90, 50);
    let said = machine.succeed(&[
        "segment",
        &picture,
        "--point",
        "20,20",
        "--point",
        "8,8,0",
        "--box",
        "5,5,30,30",
    ]);
    assert!(
        said.contains("object 1: score") && !said.contains("object 2"),
        "{said}"
    );
    assert!(
        said.contains("wrote ./picture.mask.png") && machine.path("picture.overlay.png").exists(),
        "{said}"
    );
    // The demo model is not taken for one that knows photographs.
    let output = machine.run(&["segment", &picture, "--point", "20,20"]);
    assert!(text(&output.stderr).contains("does not know photographs"));
}

#[test]
fn command_lines_that_make_no_sense_are_refused_with_words() {
    let machine = Machine::with_backend();
    let picture = machine.picture("picture.png", 90, 50);
    let wrong: [(&[&str], &str); 7] = [
        (&[], "Usage"),
        (&["frobnicate"], "frobnicate"),
        (&["segment"], "IMAGE"),
        (&["segment", &picture, "--point", "1"], "X,Y"),
        (
            &["segment", &picture, "--box", "30,40,10,20"],
            "10,20,30,40",
        ),
        (&["segment", &picture, "--write", "movie"], "movie"),
        (&["bench", "--rounds", "0"], "rounds"),
    ];
    for (arguments, words) in wrong {
        let said = machine.fail(2, arguments);
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    let failing: [(&[&str], &str); 8] = [
        (&["segment", &picture], "say what to segment"),
        (
            &[
                "segment", &picture, "--point", "1,1", "--box", "1,1,5,5", "--box", "1,1,5,5",
            ],
            "at most one box",
        ),
        (&["segment", &picture, "--point", "91,20"], "91"),
        (&["segment", &picture, "--point", "nan,20"], "NaN"),
        (
            &["segment", "/no/such/picture.png", "--point", "1,1"],
            "/no/such/picture.png",
        ),
        (
            &["segment", &picture, "--point", "1,1", "--device", "tpu"],
            "tpu",
        ),
        (
            &[
                "segment",
                &picture,
                "--point",
                "1,1",
                "--checkpoint",
                "/no/such.pth",
            ],
            "/no/such.pth",
        ),
        (
            &[
                "segment",
                &picture,
                "--point",
                "1,1",
                "--out",
                "/proc/nowhere",
            ],
            "/proc/nowhere",
        ),
    ];
    for (arguments, words) in failing {
        let said = machine.fail(1, arguments);
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}

#[test]
fn pictures_that_cannot_be_read_are_named() {
    let machine = Machine::with_backend();
    let write = |name: &str, contents: &[u8]| {
        fs::write(machine.path(name), contents).unwrap();
        machine.path(name).to_str().unwrap().to_owned()
    };
    let whole = fs::read(machine.picture("whole.png", 90, 50)).unwrap();
    for file in [
        write("empty.png", b""),
        write("text.png", b"some words"),
        write("cut.png", &whole[..whole.len() / 2]),
        write("huge.ppm", b"P6 99999 99999 255\nabc"),
        machine.home.path().to_str().unwrap().to_owned(),
    ] {
        let said = machine.fail(1, &["segment", &file, "--point", "1,1"]);
        assert!(said.contains(&file), "{said}");
    }
}

#[test]
fn times_are_told_for_people_and_for_programs() {
    let machine = Machine::with_backend();
    let picture = machine.picture("picture.png", 90, 50);
    let said = machine.succeed(&["bench", "--image", &picture, "--rounds", "2"]);
    for words in ["encoding", "every further click", "median", "fake"] {
        assert!(said.contains(words), "{words} is missing in:\n{said}");
    }
    let report = machine.json(&["bench", "--rounds", "3", "--json"]);
    assert_eq!(
        (&report["width"], &report["rounds"]),
        (&Value::from(1024), &Value::from(3))
    );
    for key in ["encode_ms", "first_click_ms", "click_ms"] {
        assert_eq!(report[key]["all"].as_array().unwrap().len(), 3, "{report}");
        assert!(report[key]["fastest"].as_f64() <= report[key]["median"].as_f64());
    }
}

#[test]
fn everything_is_found_and_written() {
    let machine = Machine::with_backend();
    let picture = machine.picture("picture.png", 90, 50);
    let found = |more: &[&str]| {
        let all = [
            "everything",
            &picture,
            "--points-per-side",
            "4",
            "--min-iou",
            "0",
            "--min-stability",
            "0",
        ];
        machine.json(&[&all, more, &["--json"]].concat())
    };
    let report = found(&[]);
    let masks = report["masks"].as_array().unwrap();
    assert!(!masks.is_empty() && report["points"] == 16, "{report}");
    let read = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(machine.path(name)).unwrap()).unwrap()
    };
    let coco = read("picture.coco.json");
    let annotations = coco["annotations"].as_array().unwrap();
    assert_eq!(annotations.len(), masks.len());
    assert_eq!(annotations[0]["area"], masks[0]["area"]);
    assert!(annotations[0]["stability_score"].is_number());
    assert!(machine.path("picture.everything.png").exists());
    found(&["--write", "mask,polygons"]);
    assert_eq!(
        image::open(machine.path("picture.mask.0.png"))
            .unwrap()
            .into_luma8()
            .dimensions(),
        (90, 50)
    );
    assert!(
        !read("picture.polygons.json")["annotations"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    let said = machine.fail(1, &["everything", &picture, "--points-per-side", "0"]);
    assert!(said.contains("points_per_side"), "{said}");
}

#[test]
fn a_folder_is_encoded_once_and_what_is_no_picture_does_not_end_it() {
    let machine = Machine::with_backend();
    fs::create_dir(machine.path("pictures")).unwrap();
    for (name, width) in [
        ("pictures/a.png", 90),
        ("pictures/b.jpg", 80),
        ("pictures/c.png", 70),
    ] {
        machine.picture(name, width, 50);
    }
    let embed = ["embed", "pictures", "--cache", "cache", "--json"];
    let report = machine.json(&embed);
    assert_eq!(
        (&report["encoded"], &report["already_there"]),
        (&Value::from(3), &Value::from(0))
    );
    // Another process finds what the first one made.
    let report = machine.json(&embed);
    assert_eq!(
        (&report["encoded"], &report["already_there"]),
        (&Value::from(0), &Value::from(3))
    );

    // The same picture twice is one embedding.
    fs::copy(
        machine.path("pictures/a.png"),
        machine.path("pictures/a2.png"),
    )
    .unwrap();
    let report = machine.json(&["embed", "pictures", "--cache", "new", "--json"]);
    assert_eq!(
        (&report["encoded"], &report["already_there"]),
        (&Value::from(3), &Value::from(1))
    );
    fs::remove_file(machine.path("pictures/a2.png")).unwrap();

    fs::write(machine.path("pictures/broken.png"), "words").unwrap();
    machine.picture("pictures/d.png", 60, 50);
    let output = machine.run(&["embed", "pictures", "--cache", "cache"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stdout).contains("1 encoded, 3 already there, 1 failed"),
        "{}",
        text(&output.stdout)
    );
    assert!(text(&output.stderr).contains("broken.png"));
    for folder in ["nowhere", "cache"] {
        let said = machine.fail(1, &["embed", folder, "--cache", "cache"]);
        assert!(said.contains(folder), "{said}");
    }
    // Nothing could be kept there, and nothing is encoded for it.
    let said = machine.fail(1, &["embed", "pictures", "--cache", "pictures/broken.png"]);
    assert!(
        said.contains("broken.png cannot be used as the folder of the cache"),
        "{said}"
    );
    assert!(!said.contains("encoded"), "{said}");
}

#[test]
fn a_reader_that_has_read_enough_ends_it_quietly() {
    let machine = Machine::new();
    let mut child = machine
        .command(&["doctor"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(
        !text(&output.stderr).contains("panicked"),
        "{}",
        text(&output.stderr)
    );
    assert!(output.status.code().is_some());
}

#[test]
fn help_names_every_command() {
    let said = Machine::new().succeed(&["--help"]);
    for command in ["doctor", "info", "segment", "everything", "embed", "bench"] {
        assert!(said.contains(command), "{said}");
    }
    assert!(
        Machine::new()
            .succeed(&["--version"])
            .starts_with("sam-mm ")
    );
}
