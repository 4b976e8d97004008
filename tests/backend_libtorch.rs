//! A process holds one libtorch: what is in it already, what the plugin needs, and what the user names.

mod support;

use std::ffi::OsStr;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use libloading::Library;
use sam_mm::backend::libtorch::{LIBTORCH_VARIABLE, Requirement, Settings, requirements};
use sam_mm::backend::{BackendError, Backends, Plugin, SearchOptions};
use support::child::in_child;
use support::{c, fake_backend};
use tempfile::{TempDir, tempdir};

/// What the plugins of these tests require.
const REQUIRED: &str = "9.9.9";

/// A pretended library of libtorch, as the compiler left it.
fn compiled_library() -> PathBuf {
    let text = "__attribute__((visibility(\"default\"))) int sam_mm_test_torch(void);\n\
                int sam_mm_test_torch(void) { return 7; }\n";
    c::shared_library(
        &[c::source_file(text, "torch")],
        &["-Wl,-soname,libtorch_cpu.so"],
    )
}

/// A pretended library of libtorch, in `folder/lib`.
fn make_library(folder: &Path, file: &str) -> PathBuf {
    let path = folder.join("lib").join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::copy(compiled_library(), &path).unwrap();
    path
}

/// A pretended Python package of libtorch.
fn make_wheel(folder: &Path, version: &str) -> PathBuf {
    let library = make_library(folder, "libtorch_cpu.so");
    let text = format!(
        "from typing import Optional\n__all__ = ['__version__', 'debug']\n__version__ = '{version}'\ndebug = False\n"
    );
    fs::write(folder.join("version.py"), text).unwrap();
    library
}

fn requiring_plugin(folder: &Path) -> PathBuf {
    fake_backend::install(
        folder,
        "fake",
        &[&format!("FAKE_REQUIRES=\"libtorch={REQUIRED}\"")],
    )
}

/// A plugin that, as the real one, has libtorch among its needed libraries.
fn needing_plugin(folder: &Path) -> PathBuf {
    let built = c::shared_library(
        &[c::source_file(
            &format!(
                "extern int sam_mm_test_torch(void);\n\
                 __attribute__((visibility(\"default\"))) int sam_mm_backend_query(void);\n\
                 __attribute__((visibility(\"default\"))) const char sam_mm_test_requires[] = \
                 \"sam-mm-backend-requires:libtorch={REQUIRED};\";\n\
                 int sam_mm_backend_query(void) {{ return sam_mm_test_torch(); }}\n"
            ),
            "needing",
        )],
        &[compiled_library().as_os_str()],
    );
    let path = folder.join(fake_backend::plugin_file_name("needing"));
    fs::copy(built, &path).unwrap();
    path
}

/// Loads a library for good, as another part of the program would have done before.
fn occupy(library: &Path) {
    // SAFETY: a library of ours whose initialisers do nothing.
    std::mem::forget(
        unsafe { Library::new(library) }.expect("the pretended libtorch can be loaded"),
    );
}

fn outcome(plugin: &Path) -> String {
    match Plugin::load(plugin, &Settings::of_this_process()) {
        Ok(plugin) => format!("loaded {}", plugin.name()),
        Err(error) => error.to_string(),
    }
}

/// Loads `library` and then the requiring plugin, in a process of its own.
fn outcome_beside(test: &str, place: &TempDir, library: &Path) -> String {
    let plugin = requiring_plugin(place.path());
    let keep = |command: &mut std::process::Command| {
        command
            .env("PLUGIN", &plugin)
            .env("OCCUPANT", library)
            .env_remove(LIBTORCH_VARIABLE);
    };
    in_child(test, keep, || {
        let path = |name| PathBuf::from(std::env::var_os(name).unwrap());
        occupy(&path("OCCUPANT"));
        outcome(&path("PLUGIN"))
    })
}

/// Loads `plugin` with `SAM_MM_LIBTORCH` as given, in a process of its own.
fn outcome_with_libtorch(test: &str, plugin: &Path, libtorch: Option<&OsStr>) -> String {
    let keep = |command: &mut std::process::Command| {
        command
            .env("PLUGIN", plugin)
            .env_remove("LD_LIBRARY_PATH")
            .env_remove(LIBTORCH_VARIABLE);
        libtorch.map(|folder| command.env(LIBTORCH_VARIABLE, folder));
    };
    in_child(test, keep, || {
        outcome(Path::new(&std::env::var_os("PLUGIN").unwrap()))
    })
}

fn assert_conflict(outcome: &str, library: &Path, found: &str) {
    let expected = format!(
        "needs libtorch {REQUIRED}, but this process has loaded {found} from {}.",
        library.canonicalize().unwrap().display()
    );
    assert!(
        outcome.contains(&expected),
        "{outcome}\nshould contain\n{expected}"
    );
}

#[test]
fn another_version_in_the_process_is_a_conflict_that_names_both() {
    let place = tempdir().unwrap();
    let library = make_wheel(&place.path().join("torch"), "2.6.0+cu124");
    let told = outcome_beside(
        "another_version_in_the_process_is_a_conflict_that_names_both",
        &place,
        &library,
    );
    assert_conflict(&told, &library, "libtorch 2.6.0+cu124");
}

#[test]
fn the_same_version_in_the_process_is_shared_whatever_its_build() {
    let place = tempdir().unwrap();
    let library = make_wheel(&place.path().join("torch"), &format!("{REQUIRED}+cu130"));
    let told = outcome_beside(
        "the_same_version_in_the_process_is_shared_whatever_its_build",
        &place,
        &library,
    );
    assert_eq!(told, "loaded fake");
}

#[test]
fn an_archive_tells_its_version_too() {
    let place = tempdir().unwrap();
    let library = make_library(&place.path().join("libtorch"), "libtorch_cpu.so");
    fs::write(place.path().join("libtorch/build-version"), "2.5.1+cpu\n").unwrap();
    let told = outcome_beside("an_archive_tells_its_version_too", &place, &library);
    assert_conflict(&told, &library, "libtorch 2.5.1+cpu");
}

#[test]
fn the_record_of_an_installed_package_tells_its_version_too() {
    let place = tempdir().unwrap();
    let library = make_library(&place.path().join("torch"), "libc10.so");
    fs::create_dir(place.path().join(format!("torch-{REQUIRED}.dist-info"))).unwrap();
    let told = outcome_beside(
        "the_record_of_an_installed_package_tells_its_version_too",
        &place,
        &library,
    );
    assert_eq!(told, "loaded fake");
}

#[test]
fn a_version_that_cannot_be_found_out_is_a_conflict() {
    let place = tempdir().unwrap();
    let library = make_library(&place.path().join("torch"), "libtorch_cpu.so.2.6");
    let told = outcome_beside(
        "a_version_that_cannot_be_found_out_is_a_conflict",
        &place,
        &library,
    );
    assert_conflict(&told, &library, "a libtorch of unknown version");
}

#[test]
fn the_very_file_that_the_plugin_would_load_is_no_conflict() {
    let place = tempdir().unwrap();
    // Beside the plugin, where no version is told.
    let library = make_library(place.path(), "libtorch_cpu.so");
    let beside = place.path().join("libtorch_cpu.so");
    fs::rename(library, &beside).unwrap();
    let told = outcome_beside(
        "the_very_file_that_the_plugin_would_load_is_no_conflict",
        &place,
        &beside,
    );
    assert_eq!(told, "loaded fake");
}

#[test]
fn a_conflict_has_its_own_code_when_no_other_backend_is_there() {
    let place = tempdir().unwrap();
    let library = make_wheel(&place.path().join("torch"), "1.13.1");
    let plugin = requiring_plugin(place.path());
    let told = in_child(
        "a_conflict_has_its_own_code_when_no_other_backend_is_there",
        |command| {
            command.env("PLUGIN", &plugin).env("OCCUPANT", &library);
        },
        || {
            let path = |name| PathBuf::from(std::env::var_os(name).unwrap());
            occupy(&path("OCCUPANT"));
            let error = Backends::find(&SearchOptions {
                explicit: Some(path("PLUGIN")),
            })
            .unwrap_err();
            assert!(matches!(error, BackendError::Conflict { .. }));
            format!("{} {error}", error.code())
        },
    );
    assert!(told.starts_with("7 "), "{told}");
    assert_conflict(&told, &library, "libtorch 1.13.1");
    let line = format!(
        "  {} (named in the options): needs libtorch {REQUIRED}, conflicts with libtorch 1.13.1 from ",
        plugin.display()
    );
    assert!(told.contains(&line), "{told}");
}

#[test]
fn a_needed_library_that_is_nowhere_is_named() {
    let place = tempdir().unwrap();
    let plugin = needing_plugin(place.path());
    let told = outcome_with_libtorch("a_needed_library_that_is_nowhere_is_named", &plugin, None);
    assert!(
        told.starts_with("cannot be loaded: ") && told.contains("libtorch_cpu.so"),
        "{told}"
    );
}

#[test]
fn the_libtorch_that_the_user_names_meets_the_plugins_needs() {
    let place = tempdir().unwrap();
    let plugin = needing_plugin(place.path());
    let folder = place.path().join("torch");
    make_wheel(&folder, REQUIRED);
    // It gets as far as the query, which says 7.
    let test = "the_libtorch_that_the_user_names_meets_the_plugins_needs";
    let told = outcome_with_libtorch(test, &plugin, Some(folder.as_os_str()));
    assert!(
        told.starts_with("refuses to work with this library"),
        "{told}"
    );
}

#[test]
fn the_lib_folder_itself_may_be_named() {
    let place = tempdir().unwrap();
    let plugin = needing_plugin(place.path());
    let library = make_wheel(&place.path().join("torch"), REQUIRED);
    let test = "the_lib_folder_itself_may_be_named";
    let told = outcome_with_libtorch(test, &plugin, Some(library.parent().unwrap().as_os_str()));
    assert!(
        told.starts_with("refuses to work with this library"),
        "{told}"
    );
}

#[test]
fn a_named_libtorch_whose_cuda_parts_are_broken_still_serves() {
    let place = tempdir().unwrap();
    let plugin = needing_plugin(place.path());
    let folder = place.path().join("torch");
    make_wheel(&folder, REQUIRED);
    fs::write(folder.join("lib/libtorch.so"), "not a library").unwrap();
    let test = "a_named_libtorch_whose_cuda_parts_are_broken_still_serves";
    let told = outcome_with_libtorch(test, &plugin, Some(folder.as_os_str()));
    assert!(
        told.starts_with("refuses to work with this library"),
        "{told}"
    );
}

#[test]
fn a_named_libtorch_of_another_version_is_refused_before_it_is_loaded() {
    let place = tempdir().unwrap();
    let plugin = requiring_plugin(place.path());
    let folder = place.path().join("torch");
    make_wheel(&folder, "2.6.0");
    let test = "a_named_libtorch_of_another_version_is_refused_before_it_is_loaded";
    let told = outcome_with_libtorch(test, &plugin, Some(folder.as_os_str()));
    assert_eq!(
        told,
        format!(
            "SAM_MM_LIBTORCH is {}: it holds libtorch 2.6.0, but the plugin was built against {REQUIRED}",
            folder.display()
        )
    );
}

#[test]
fn a_named_folder_without_libtorch_is_refused() {
    let place = tempdir().unwrap();
    let plugin = requiring_plugin(place.path());
    let test = "a_named_folder_without_libtorch_is_refused";
    let told = outcome_with_libtorch(test, &plugin, Some(place.path().as_os_str()));
    assert!(
        told.ends_with("there is no libtorch_cpu.so in it, in its lib or its torch/lib folder"),
        "{told}"
    );
}

#[test]
fn a_named_libtorch_in_a_relative_folder_is_refused() {
    let place = tempdir().unwrap();
    let plugin = requiring_plugin(place.path());
    let test = "a_named_libtorch_in_a_relative_folder_is_refused";
    let told = outcome_with_libtorch(test, &plugin, Some(OsStr::new("torch")));
    assert!(
        told.contains("a relative path depends on the working directory"),
        "{told}"
    );
}

#[test]
fn a_named_libtorch_that_is_damaged_is_refused_with_the_loaders_words() {
    let place = tempdir().unwrap();
    let plugin = requiring_plugin(place.path());
    let folder = place.path().join("torch");
    fs::write(make_wheel(&folder, REQUIRED), "not a library").unwrap();
    let test = "a_named_libtorch_that_is_damaged_is_refused_with_the_loaders_words";
    let told = outcome_with_libtorch(test, &plugin, Some(folder.as_os_str()));
    assert!(
        told.contains("libtorch_cpu.so cannot be loaded: "),
        "{told}"
    );
}

fn libtorch(version: &str) -> Requirement {
    Requirement {
        library: "libtorch".into(),
        version: version.into(),
    }
}

#[test]
fn requirements_are_found_wherever_they_lie_in_a_file() {
    let text = b"sam-mm-backend-requires:libtorch=2.11.0;";
    const CHUNK: usize = 1 << 20;
    for start in [
        0,
        1,
        CHUNK - 41,
        CHUNK - 40,
        CHUNK - 39,
        CHUNK - 20,
        CHUNK - 1,
        CHUNK,
        2 * CHUNK - 3,
    ] {
        let mut file = vec![b's'; start];
        file.extend(text);
        file.extend([0; 77]);
        assert_eq!(
            requirements(Cursor::new(file)).unwrap(),
            [libtorch("2.11.0")],
            "at {start}"
        );
    }
}

#[test]
fn a_marker_without_a_requirement_is_left_aside() {
    let junk: [&[u8]; 7] = [
        b"sam-mm-backend-requires:",
        b"sam-mm-backend-requires:{}={};",
        b"sam-mm-backend-requires:libtorch=;",
        b"sam-mm-backend-requires:=2.11.0;",
        b"sam-mm-backend-requires:libtorch=2.11.0 and then no end",
        b"sam-mm-backend-requires:\xff\xfe=1;",
        b"sam-mm-backend-requires:no equals sign;",
    ];
    let mut file = junk.join(&b'\0');
    file.extend(b"\0sam-mm-backend-requires:libtorch=1.2;\0sam-mm-backend-requires:libtorch=1.2;");
    assert_eq!(requirements(Cursor::new(file)).unwrap(), [libtorch("1.2")]);
}
