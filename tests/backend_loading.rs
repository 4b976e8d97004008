//! Which files become backends, and what is said about those that do not.

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sam_mm::backend::libtorch::Settings;
use sam_mm::backend::{
    BackendError, Backends, DeviceName, DeviceOptions, DeviceRequest, Plugin, SearchOptions, open,
};
use sam_mm_backend_abi::abi;
use support::fake_backend::{self, FakeBackend};
use tempfile::tempdir;

fn load(path: &Path) -> Result<Arc<Plugin>, String> {
    Plugin::load(path, &Settings::default()).map_err(|error| error.to_string())
}

/// Why a variant of the fake backend cannot be loaded.
fn refusal(defines: &[&str]) -> String {
    let folder = tempdir().unwrap();
    load(&fake_backend::install(folder.path(), "fake", defines)).unwrap_err()
}

#[test]
fn a_whole_plugin_loads_with_its_name_and_version() {
    let fake = FakeBackend::new();
    let plugin = load(fake.path()).unwrap();
    assert_eq!((plugin.name(), plugin.version()), ("fake", "1.0 (C)"));
    assert_eq!(plugin.path(), fake.path());
}

#[test]
fn one_file_is_loaded_once_whatever_it_is_called() {
    let fake = FakeBackend::new();
    let first = load(fake.path()).unwrap();
    let detour = fake
        .folder()
        .join("..")
        .join(fake.folder().file_name().unwrap());
    let again = load(&detour.join(fake.path().file_name().unwrap())).unwrap();
    assert!(Arc::ptr_eq(&first, &again));
}

#[test]
fn threads_that_load_one_file_at_once_get_one_plugin() {
    let fake = FakeBackend::new();
    let plugins: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| load(fake.path()).unwrap()))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(
        plugins
            .iter()
            .all(|plugin| Arc::ptr_eq(plugin, &plugins[0]))
    );
}

#[test]
fn another_major_version_is_refused_by_its_number() {
    let why = refusal(&["FAKE_ABI_VERSION=(7u<<16|3u)"]);
    assert!(
        why.contains("made for version 7.3 of the plugin ABI"),
        "{why}"
    );
}

#[test]
fn a_later_minor_version_is_welcome() {
    let fake = FakeBackend::variant(&["FAKE_ABI_VERSION=(SAM_MM_BACKEND_ABI_VERSION+1)"]);
    load(fake.path()).unwrap();
}

#[test]
fn a_table_that_ends_too_early_is_refused_with_its_size() {
    let why = refusal(&["FAKE_SHORT_STRUCT"]);
    let size = std::mem::offset_of!(abi::sam_mm_backend, encode);
    assert!(
        why.contains(&format!("its table.struct_size is {size};")),
        "{why}"
    );
}

#[test]
fn a_missing_function_is_refused_by_its_name() {
    for function in ["encode", "embedding_free", "device_trim"] {
        let why = refusal(&[&format!("FAKE_MISSING={function}")]);
        assert!(
            why.ends_with(&format!("its sam_mm_backend lacks {function}")),
            "{why}"
        );
    }
}

#[test]
fn an_optional_function_may_be_missing() {
    let fake = FakeBackend::variant(&["FAKE_MISSING=get_extension"]);
    assert_eq!(
        load(fake.path()).unwrap().extension(c"fake.control/1"),
        None
    );
}

#[test]
fn an_extension_is_found_by_its_name_and_revision() {
    let fake = FakeBackend::new();
    let plugin = load(fake.path()).unwrap();
    assert!(plugin.extension(c"fake.control/1").is_some());
    assert_eq!(plugin.extension(c"fake.control/2"), None);
}

#[test]
fn a_query_that_fails_is_refused_in_its_own_words() {
    let why = refusal(&["FAKE_QUERY_FAILS"]);
    assert_eq!(
        why,
        "refuses to work with this library: the licence dongle is not plugged in"
    );
}

#[test]
fn a_query_that_gives_nothing_is_refused() {
    let why = refusal(&["FAKE_NULL_TABLE"]);
    assert!(why.contains("its table is NULL"), "{why}");
}

#[test]
fn a_backend_without_a_name_is_refused() {
    assert_eq!(
        refusal(&["FAKE_NULL_NAME"]),
        "has a defect: its name is NULL"
    );
}

#[test]
fn a_library_without_the_query_is_no_plugin() {
    let why = refusal(&["FAKE_NO_QUERY"]);
    assert_eq!(
        why,
        "is not a backend plugin: it does not export sam_mm_backend_query"
    );
}

#[test]
fn a_missing_symbol_is_found_when_loading_and_named() {
    let why = refusal(&["FAKE_UNDEFINED_SYMBOL"]);
    assert!(why.contains("fake_symbol_that_nobody_defines"), "{why}");
}

#[test]
fn a_missing_dependency_is_named() {
    let folder = tempdir().unwrap();
    let empty = support::c::source_file(
        "__attribute__((visibility(\"default\"))) int sam_mm_test_dependency;\n",
        "dependency",
    );
    let dependency =
        support::c::shared_library(&[empty], &["-Wl,-soname,libsam_mm_test_absent.so"]);
    let source = support::c::source_file(
        "extern int sam_mm_test_dependency;\nint *dependent(void);\n\
         int *dependent(void) { return &sam_mm_test_dependency; }\n",
        "dependent",
    );
    let built = support::c::shared_library(&[source], &[dependency.as_os_str()]);
    let path = folder.path().join("libsam_mm_dependent.so");
    std::fs::copy(built, &path).unwrap();
    let why = load(&path).unwrap_err();
    assert!(why.contains("libsam_mm_test_absent.so"), "{why}");
}

#[test]
fn a_file_that_is_no_library_is_refused_with_the_loaders_words() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("libsam_mm_text.so");
    std::fs::write(
        &path,
        "this is not a library, although it is long enough to look at".repeat(100),
    )
    .unwrap();
    let why = load(&path).unwrap_err();
    assert!(
        why.starts_with("cannot be loaded: ") && why.contains("ELF"),
        "{why}"
    );
    assert_eq!(load(folder.path()).unwrap_err(), "is not a file");
    assert!(
        load(&folder.path().join("absent.so"))
            .unwrap_err()
            .starts_with("cannot be opened: ")
    );
}

#[test]
fn a_failure_is_forgotten_when_the_file_is_mended() {
    let folder = tempdir().unwrap();
    let path = folder.path().join(fake_backend::plugin_file_name("fake"));
    std::fs::write(&path, "not yet").unwrap();
    assert!(load(&path).is_err());
    fake_backend::install(folder.path(), "fake", &[]);
    assert!(load(&path).is_ok());
}

/// Two backends in a folder: `plain` for the CPU, `cuda` better there and with GPUs too.
fn two_backends(folder: &Path) -> Backends {
    fake_backend::install(
        folder,
        "a_plain",
        &["FAKE_NAME=\"plain\"", "FAKE_CPU_SCORE=10"],
    );
    fake_backend::install(
        folder,
        "b_cuda",
        &[
            "FAKE_NAME=\"cuda\"",
            "FAKE_CPU_SCORE=5",
            "FAKE_CUDA_DEVICES=2",
            "FAKE_CUDA_SCORE=100",
        ],
    );
    let options = SearchOptions {
        explicit: Some(folder.to_owned()),
    };
    Backends::find(&options).unwrap()
}

fn chosen(device: &str) -> (String, String) {
    let folder = tempdir().unwrap();
    let options = DeviceOptions {
        device: device.parse().unwrap(),
        ..Default::default()
    };
    let opened = two_backends(folder.path()).open(&options).unwrap();
    (
        opened.device.plugin().name().to_owned(),
        opened.device.name().to_string(),
    )
}

#[test]
fn the_best_backend_for_the_device_is_taken() {
    assert_eq!(chosen("cpu"), ("plain".into(), "cpu".into()));
    assert_eq!(chosen("cuda:1"), ("cuda".into(), "cuda:1".into()));
    assert_eq!(chosen("auto"), ("cuda".into(), "cuda:0".into()));
}

fn only(path: &Path) -> SearchOptions {
    SearchOptions {
        explicit: Some(path.to_owned()),
    }
}

#[test]
fn auto_falls_back_to_the_cpu_and_says_why() {
    let fake = FakeBackend::new();
    let opened = open(&only(fake.path()), &DeviceOptions::default()).unwrap();
    assert_eq!(opened.device.name(), DeviceName::Cpu);
    assert_eq!(
        opened.trail.notes(),
        ["fake cannot run on cuda:0: there is no cuda:0: 0 CUDA devices are pretended"]
    );
}

#[test]
fn auto_passes_over_a_device_that_cannot_be_opened_and_says_so() {
    let fake = FakeBackend::variant(&["FAKE_CUDA_DEVICES=1"]);
    fake.control("fail device_open 1 10 the driver is too old");
    let opened = open(&only(fake.path()), &DeviceOptions::default()).unwrap();
    assert_eq!(opened.device.name(), DeviceName::Cpu);
    assert_eq!(
        opened.trail.notes(),
        ["fake could not open cuda:0: the driver is too old"]
    );
}

#[test]
fn a_named_device_that_does_not_exist_is_an_error_with_the_backends_reason() {
    let fake = FakeBackend::variant(&["FAKE_CUDA_DEVICES=1"]);
    let options = DeviceOptions {
        device: DeviceRequest::Named(DeviceName::Cuda(3)),
        ..Default::default()
    };
    let error = open(&only(fake.path()), &options).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), abi::SAM_MM_ERR_DEVICE_UNAVAILABLE);
    let text = error.to_string();
    let (first, rest) = text.split_once('\n').unwrap();
    assert!(
        first.starts_with(
            "no backend can run on cuda:3: fake cannot run on cuda:3: there is no cuda:3"
        ),
        "the reason comes first: {text}"
    );
    assert!(
        rest.starts_with("Tried:\n  ") && !rest.ends_with('\n'),
        "{text:?}"
    );
    assert!(rest.contains(fake.path().to_str().unwrap()), "{text}");
    assert_eq!(fake.value("calls.device_open"), 0);
}

#[test]
fn a_named_device_that_cannot_be_opened_is_an_error_in_the_backends_words() {
    let fake = FakeBackend::new();
    fake.control("fail device_open 1 10 all cores are on holiday");
    let options = DeviceOptions {
        device: "cpu".parse().unwrap(),
        ..Default::default()
    };
    let error = open(&only(fake.path()), &options).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "all cores are on holiday");
}

#[test]
fn a_probe_that_fails_counts_as_unusable() {
    let fake = FakeBackend::new();
    fake.control("fail probe 0 6 the probe broke off");
    let error = open(&only(fake.path()), &DeviceOptions::default())
        .map(|_| ())
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("fake cannot run on cpu: the probe broke off"),
        "{error}"
    );
}

#[test]
fn a_device_that_is_no_device_is_refused_with_what_it_may_be() {
    let error = "gpu".parse::<DeviceRequest>().unwrap_err();
    assert!(matches!(error, BackendError::Plugin(_)));
    assert_eq!(
        error.to_string(),
        "device is \"gpu\"; it must be \"auto\", \"cpu\", \"cuda\" or \"cuda:N\" with N a number"
    );
}

#[test]
fn the_options_of_a_device_reach_the_plugin() {
    let fake = FakeBackend::new();
    let options = DeviceOptions {
        device: "cpu".parse().unwrap(),
        num_threads: Some(3),
        memory_limit_bytes: Some(12345),
        allow_tf32: true,
    };
    let opened = open(&only(fake.path()), &options).unwrap();
    let told = ["num_threads", "memory_limit_bytes", "allow_tf32"]
        .map(|name| fake.value(&format!("last.{name}")));
    assert_eq!(told, [3, 12345, 1]);
    drop(opened);
    fake.assert_clean();
}

#[test]
fn a_relative_path_that_the_caller_names_is_taken_from_the_working_directory() {
    let options = only(&PathBuf::from("no-such-folder/libsam_mm_x.so"));
    let error = Backends::find(&options).unwrap_err();
    let expected = std::env::current_dir()
        .unwrap()
        .join("no-such-folder/libsam_mm_x.so");
    assert_eq!(error.trail().unwrap().attempts()[0].path, expected);
}
