//! Where plugins are looked for, and what the record of a search says.

mod support;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use sam_mm::backend::libtorch::Settings;
use sam_mm::backend::search::{Candidate, Origin, Surroundings, candidates};
use sam_mm::backend::{BackendError, Backends, Outcome, SearchOptions, Trail};
use support::fake_backend::{install, plugin_file_name};
use tempfile::{TempDir, tempdir};

fn folder() -> TempDir {
    tempdir().expect("a temporary folder can be made")
}

/// An empty file with a plugin's name; the search reads no further than names.
fn touch(folder: &Path, file: &str) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    let path = folder.join(file);
    fs::write(&path, "").unwrap();
    path
}

fn paths(found: &[Candidate]) -> Vec<&Path> {
    found
        .iter()
        .map(|candidate| candidate.path.as_path())
        .collect()
}

fn find(options: &SearchOptions, around: &Surroundings) -> (Vec<Candidate>, Trail) {
    let mut trail = Trail::default();
    (candidates(options, around, &mut trail), trail)
}

fn explicit(path: impl Into<PathBuf>) -> SearchOptions {
    SearchOptions {
        explicit: Some(path.into()),
    }
}

#[test]
fn places_are_searched_in_the_documented_order() {
    let (variable, library, user, system) = (folder(), folder(), folder(), folder());
    let plugin = plugin_file_name("x");
    let own_library = touch(&library.path().join("lib"), "libsam_mm.so");
    let beside = library.path().join("lib");
    let expected = [
        touch(variable.path(), &plugin),
        touch(&beside, &plugin),
        touch(&beside.join("sam_mm/backends"), &plugin),
        touch(&user.path().join("sam_mm/backends"), &plugin),
        touch(&system.path().join("sam_mm/backends"), &plugin),
    ];
    let around = Surroundings {
        variable: Some(variable.path().into()),
        own_library: Some(own_library),
        user_data: Some(user.path().into()),
        system_libraries: vec![system.path().into()],
    };
    let (found, _) = find(&SearchOptions::default(), &around);
    assert_eq!(paths(&found), expected);
    let origins: Vec<_> = found.iter().map(|candidate| candidate.origin).collect();
    assert_eq!(
        origins,
        [
            Origin::Environment,
            Origin::Library,
            Origin::Library,
            Origin::User,
            Origin::System
        ]
    );
}

#[test]
fn a_library_in_bin_finds_plugins_in_the_lib_folder_beside_it() {
    let prefix = folder();
    let own_library = touch(&prefix.path().join("bin"), "sam_mm.dll");
    let plugin = touch(
        &prefix.path().join("lib/sam_mm/backends"),
        &plugin_file_name("x"),
    );
    let around = Surroundings {
        own_library: Some(own_library),
        ..Default::default()
    };
    assert_eq!(paths(&find(&SearchOptions::default(), &around).0), [plugin]);
}

#[cfg(unix)]
#[test]
fn a_library_that_is_a_link_finds_plugins_beside_the_link_and_beside_the_file() {
    let (links, files) = (folder(), folder());
    let file = touch(files.path(), "libsam_mm.so.0");
    let link = links.path().join("libsam_mm.so");
    std::os::unix::fs::symlink(file, &link).unwrap();
    let expected = [
        touch(links.path(), &plugin_file_name("a")),
        touch(files.path(), &plugin_file_name("b")),
    ];
    let around = Surroundings {
        own_library: Some(link),
        ..Default::default()
    };
    let (found, _) = find(&SearchOptions::default(), &around);
    let canonical: Vec<_> = found
        .iter()
        .map(|candidate| candidate.path.canonicalize().unwrap())
        .collect();
    assert_eq!(canonical, expected.map(|path| path.canonicalize().unwrap()));
}

#[test]
fn a_named_path_is_the_only_one_looked_at() {
    let (named, other) = (folder(), folder());
    touch(other.path(), &plugin_file_name("x"));
    let around = Surroundings {
        variable: Some(other.path().into()),
        ..Default::default()
    };
    let missing = named.path().join("typo.so");
    assert_eq!(paths(&find(&explicit(&missing), &around).0), [missing]);
}

#[test]
fn a_folder_is_searched_by_name_pattern_in_order_of_name() {
    let place = folder();
    for other in [
        "libsam_mm.so",
        "libsam_mm_.so",
        "libsam_mm_x.so.1",
        "sam_mm_y.txt",
        "libother.so",
    ] {
        touch(place.path(), other);
    }
    fs::create_dir(place.path().join(plugin_file_name("folder"))).unwrap();
    let names = ["zebra", "alpha", "torch_cu12"].map(plugin_file_name);
    names
        .iter()
        .for_each(|name| drop(touch(place.path(), name)));
    let mut expected: Vec<_> = names.iter().map(|name| place.path().join(name)).collect();
    expected.sort();
    assert_eq!(
        paths(&find(&explicit(place.path()), &Surroundings::default()).0),
        expected
    );
}

#[test]
fn our_own_library_is_never_taken_for_a_plugin() {
    let place = folder();
    let own = touch(place.path(), &plugin_file_name("renamed"));
    let around = Surroundings {
        own_library: Some(own.clone()),
        ..Default::default()
    };
    let (found, trail) = find(&SearchOptions::default(), &around);
    assert_eq!(found, []);
    assert!(
        matches!(&trail.attempts()[0].outcome, Outcome::Skipped(why) if why.contains("itself"))
    );
    assert_eq!(trail.attempts()[0].path, own);
}

#[test]
fn a_relative_path_in_the_variable_is_refused_and_the_trail_says_why() {
    let place = folder();
    let plugin = touch(place.path(), &plugin_file_name("x"));
    let parts: [OsString; 4] = ["plugins".into(), ".".into(), "".into(), place.path().into()];
    let around = Surroundings {
        variable: Some(std::env::join_paths(parts).unwrap()),
        ..Default::default()
    };
    let (found, trail) = find(&SearchOptions::default(), &around);
    assert_eq!(paths(&found), [plugin]);
    let refused: Vec<_> = trail.attempts().iter().map(ToString::to_string).collect();
    assert_eq!(
        refused,
        ["plugins", "."].map(|path| format!(
            "{path} (from SAM_MM_BACKEND_PATH): refused, because a relative path depends on the working directory; \
             write it in full"
        ))
    );
}

#[test]
fn a_file_that_is_reached_by_two_ways_is_tried_once() {
    let place = folder();
    let plugin = touch(place.path(), &plugin_file_name("x"));
    let again =
        std::env::join_paths([plugin.clone(), place.path().to_owned(), plugin.clone()]).unwrap();
    let around = Surroundings {
        variable: Some(again),
        ..Default::default()
    };
    assert_eq!(paths(&find(&SearchOptions::default(), &around).0), [plugin]);
}

#[test]
fn a_plugin_named_in_the_variable_needs_no_pattern_in_its_name() {
    let place = folder();
    let plugin = touch(place.path(), "my-backend.so");
    let around = Surroundings {
        variable: Some(plugin.clone().into()),
        ..Default::default()
    };
    assert_eq!(paths(&find(&SearchOptions::default(), &around).0), [plugin]);
}

#[test]
fn when_nothing_loads_the_error_lists_every_path_and_how_to_get_libtorch() {
    let place = folder();
    let broken = touch(&place.path().join("broken"), &plugin_file_name("broken"));
    let no_plugin = install(&place.path().join("other"), "other", &["FAKE_NO_QUERY"]);
    let missing = place.path().join("missing.so");
    let parts = [
        Path::new("relative"),
        &missing,
        &broken,
        &no_plugin,
        &place.path().join("nowhere"),
    ];
    let around = Surroundings {
        variable: Some(std::env::join_paths(parts).unwrap()),
        user_data: Some(place.path().join("home")),
        ..Default::default()
    };
    let error = Backends::find_around(&SearchOptions::default(), &around, &Settings::default())
        .unwrap_err();
    assert!(matches!(error, BackendError::NotFound { .. }));
    assert_eq!(
        error.code(),
        sam_mm_backend_abi::abi::SAM_MM_ERR_BACKEND_NOT_FOUND
    );
    let text = error.to_string();
    for path in parts
        .into_iter()
        .chain([place.path().join("home/sam_mm/backends").as_path()])
    {
        assert!(
            text.contains(&format!("  {} (", path.display())),
            "{} is missing in:\n{text}",
            path.display()
        );
    }
    for words in [
        "cannot be opened",
        "does not export sam_mm_backend_query",
        "cargo xtask demo",
        "SAM_MM_LIBTORCH",
    ] {
        assert!(text.contains(words), "{words:?} is missing in:\n{text}");
    }
}

#[test]
fn of_two_plugins_with_one_name_the_first_that_loads_counts() {
    let place = folder();
    let broken = install(&place.path().join("a"), "fake", &["FAKE_QUERY_FAILS"]);
    let first = install(&place.path().join("b"), "fake", &["FAKE_VERSION=\"first\""]);
    let second = install(
        &place.path().join("c"),
        "fake",
        &["FAKE_VERSION=\"second\""],
    );
    let renamed = install(
        &place.path().join("d"),
        "renamed",
        &["FAKE_VERSION=\"third\""],
    );
    let variable = std::env::join_paths([&broken, &first, &second, &renamed]).unwrap();
    let around = Surroundings {
        variable: Some(variable),
        ..Default::default()
    };
    let backends =
        Backends::find_around(&SearchOptions::default(), &around, &Settings::default()).unwrap();
    let versions: Vec<_> = backends
        .plugins()
        .iter()
        .map(|plugin| plugin.version())
        .collect();
    assert_eq!(versions, ["first"]);
    let outcomes: Vec<_> = backends
        .trail()
        .attempts()
        .iter()
        .map(|attempt| &attempt.outcome)
        .collect();
    assert!(
        matches!(outcomes[0], Outcome::Failed(why) if why.contains("licence dongle")),
        "{outcomes:?}"
    );
    assert_eq!(
        *outcomes[1],
        Outcome::Loaded {
            backend: "fake first".into()
        }
    );
    assert!(
        matches!(outcomes[2], Outcome::Skipped(_)) && matches!(outcomes[3], Outcome::Skipped(_))
    );
}
