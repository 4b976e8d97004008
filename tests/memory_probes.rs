//! The probes of device memory against a fake NVML and a fake CUDA runtime.
#![cfg(unix)]

mod support;

use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use sam_mm::memory::host::HostMemory;
use sam_mm::memory::probe::{
    Backoff, CudaEnvironment, DeviceFigures, DeviceProbes, ProbeOptions, Reading, Snapshot, Source,
};
use support::fake_gpu::FakeLibrary;

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

const GPU_A: &str = "GPU-aaaaaaaa-0000-0000-0000-000000000001";
const GPU_B: &str = "GPU-bbbbbbbb-0000-0000-0000-000000000002";
const MIG: &str = "MIG-cccccccc-0000-0000-0000-000000000003";

/// One card of 8 GiB, of which the driver keeps 256 MiB.
fn one_gpu() -> FakeLibrary {
    FakeLibrary::nvml(&[&format!(
        "gpu {GPU_A} 00000000:01:00.0 {} {} Pretended 8 GB",
        8 * GIB,
        256 * MIB
    )])
}

/// A card of 8 GiB and, before it on the bus, one of 16 GiB.
fn two_gpus() -> FakeLibrary {
    FakeLibrary::nvml(&[
        &format!("gpu {GPU_A} 00000000:41:00.0 {} 0 Small", 8 * GIB),
        &format!("gpu {GPU_B} 00000000:01:00.0 {} 0 Large", 16 * GIB),
    ])
}

fn cuda_device(bus_id: &str, uuid: &str, total: u64, free: u64) -> String {
    format!("device {bus_id} {uuid} {total} {free} Pretended")
}

fn nowhere() -> PathBuf {
    Path::new("/no such folder/lib.so").to_owned()
}

/// Probes that look at the fakes and nothing else, and try again at once what failed.
struct Setup {
    options: ProbeOptions,
    ordinal: u32,
}

impl Setup {
    fn new(nvml: Option<&FakeLibrary>, cudart: Option<&FakeLibrary>) -> Self {
        let path = |fake: Option<&FakeLibrary>| {
            Some(fake.map_or_else(nowhere, |fake| fake.path().to_owned()))
        };
        Self {
            options: ProbeOptions {
                nvml_library: path(nvml),
                cudart_library: path(cudart),
                backoff: Backoff {
                    first: Duration::ZERO,
                    longest: Duration::ZERO,
                },
                environment: CudaEnvironment::default(),
            },
            ordinal: 0,
        }
    }

    fn ordinal(mut self, ordinal: u32) -> Self {
        self.ordinal = ordinal;
        self
    }

    fn visible(mut self, devices: &str) -> Self {
        self.options.environment = CudaEnvironment::parse(Some(devices), Some("PCI_BUS_ID"));
        self
    }

    fn patient(mut self) -> Self {
        self.options.backoff = Backoff {
            first: Duration::MAX,
            longest: Duration::MAX,
        };
        self
    }

    fn open(self) -> DeviceProbes {
        DeviceProbes::open(self.options, self.ordinal)
    }

    fn read(self) -> Reading {
        self.open().read(None)
    }
}

fn figures(total: u64, used: u64, free: u64) -> DeviceFigures {
    DeviceFigures { total, used, free }
}

/// The reasons that a source gave, which must have given one.
fn reason(reading: &Reading, source: Source) -> &str {
    let failure = reading
        .failures
        .iter()
        .find(|failure| failure.source == source);
    &failure
        .unwrap_or_else(|| panic!("{source:?} did not fail: {reading:?}"))
        .reason
}

/// Nothing is known, and nothing is said to be 0.
fn assert_unknown(reading: &Reading) {
    assert_eq!(
        (reading.source, reading.device, reading.process),
        (Source::None, None, None),
        "{reading:?}"
    );
    assert!(!reading.failures.is_empty());
}

// ---- NVML

#[test]
fn nvml_tells_the_device_and_this_process() {
    let nvml = one_gpu();
    nvml.control(&format!("compute 0 1 {}", 2 * GIB));
    nvml.control(&format!("compute 0 {} {GIB}", process::id()));
    let reading = Setup::new(Some(&nvml), None).read();
    let device = reading.device.unwrap();
    assert_eq!(reading.source, Source::Nvml);
    assert_eq!(device, figures(8 * GIB, 3 * GIB, 5 * GIB - 256 * MIB));
    assert_eq!(device.reserved(), 256 * MIB);
    assert_eq!(reading.process, Some(GIB));
    assert_eq!(reading.name.as_deref(), Some("Pretended 8 GB"));
    assert_eq!(reading.uuid.as_deref(), Some(GPU_A));
    assert_eq!(reading.failures, []);
}

#[test]
fn a_neighbour_that_grows_is_seen() {
    let nvml = one_gpu();
    nvml.control(&format!("compute 0 {} {GIB}", process::id()));
    let probes = Setup::new(Some(&nvml), None).open();
    let used = |reading: Reading| (reading.device.unwrap().used, reading.process);
    assert_eq!(used(probes.read(None)), (GIB, Some(GIB)));
    nvml.control(&format!("growing 0 {GIB}"));
    for neighbour in 1..=3 {
        assert_eq!(used(probes.read(None)), (GIB + neighbour * GIB, Some(GIB)));
    }
}

#[test]
fn a_process_that_computes_and_draws_is_counted_once() {
    let nvml = one_gpu();
    nvml.control(&format!("compute 0 {} {GIB}", process::id()));
    nvml.control(&format!("graphics 0 {} {GIB}", process::id()));
    assert_eq!(Setup::new(Some(&nvml), None).read().process, Some(GIB));
    let nvml = one_gpu();
    nvml.control(&format!("graphics 0 {} {GIB}", process::id()));
    assert_eq!(Setup::new(Some(&nvml), None).read().process, Some(GIB));
}

#[test]
fn bytes_of_this_process_that_are_not_available_are_unknown_and_not_0() {
    let nvml = one_gpu();
    nvml.control(&format!("compute 0 {} {}", process::id(), u64::MAX));
    let reading = Setup::new(Some(&nvml), None).read();
    assert_eq!(reading.process, None);
    assert!(
        reason(&reading, Source::Nvml).contains("does not tell"),
        "{reading:?}"
    );
}

#[test]
fn a_process_that_is_not_listed_is_unknown_and_not_0() {
    let nvml = one_gpu();
    nvml.control(&format!("compute 0 1 {GIB}"));
    let reading = Setup::new(Some(&nvml), None).read();
    assert_eq!((reading.source, reading.process), (Source::Nvml, None));
    assert!(
        reason(&reading, Source::Nvml).contains("container"),
        "{reading:?}"
    );
}

#[test]
fn without_permission_for_the_list_of_processes_the_device_is_still_told() {
    let nvml = one_gpu();
    nvml.control("fail processes 4");
    let reading = Setup::new(Some(&nvml), None).read();
    assert_eq!(reading.source, Source::Nvml);
    assert_eq!(reading.device.unwrap().total, 8 * GIB);
    assert_eq!(reading.process, None);
    assert!(
        reason(&reading, Source::Nvml).contains("permission"),
        "{reading:?}"
    );
}

#[test]
fn a_driver_without_the_second_form_of_the_figures_is_asked_in_the_first() {
    let nvml = FakeLibrary::old_nvml(&[&format!(
        "gpu {GPU_A} 00000000:01:00.0 {} {} Old",
        8 * GIB,
        256 * MIB
    )]);
    let reading = Setup::new(Some(&nvml), None).read();
    let device = reading.device.unwrap();
    assert_eq!(device, figures(8 * GIB, 256 * MIB, 8 * GIB - 256 * MIB));
    nvml.control("fail memory 15");
    assert_unknown(&Setup::new(Some(&nvml), None).read());
}

#[test]
fn impossible_figures_are_a_failure_and_never_0_percent() {
    for sizes in ["0 0", &format!("{} {}", 8 * GIB, 9 * GIB), "100 200"] {
        let nvml = one_gpu();
        nvml.control(&format!("memory 0 {sizes}"));
        let reading = Setup::new(Some(&nvml), None).read();
        assert_unknown(&reading);
        assert!(
            reason(&reading, Source::Nvml).contains("cannot be right"),
            "{reading:?}"
        );
    }
}

#[test]
fn a_driver_that_does_not_go_with_its_library_says_what_to_do() {
    let nvml = one_gpu();
    nvml.control("fail init 18");
    let reading = Setup::new(Some(&nvml), None).read();
    assert_unknown(&reading);
    let reason = reason(&reading, Source::Nvml);
    assert!(
        reason.contains("version mismatch") && reason.contains("restart"),
        "{reason}"
    );
}

#[test]
fn libraries_that_are_not_there_are_named_with_the_loaders_words() {
    let reading = Setup::new(None, None).read();
    assert_unknown(&reading);
    for source in [Source::Nvml, Source::CudaRuntime] {
        assert!(
            reason(&reading, source).contains("/no such folder/lib.so"),
            "{reading:?}"
        );
    }
    assert!(
        reason(&reading, Source::Backend).contains("does not tell"),
        "{reading:?}"
    );
}

#[test]
fn a_file_that_is_another_library_is_refused() {
    let other = FakeLibrary::cudart(&[]);
    let nvml = one_gpu();
    let reading = Setup::new(Some(&other), Some(&nvml)).read();
    assert_unknown(&reading);
    assert!(
        reason(&reading, Source::Nvml).contains("nvmlInit_v2"),
        "{reading:?}"
    );
    assert!(
        reason(&reading, Source::CudaRuntime).contains("no CUDA runtime"),
        "{reading:?}"
    );
}

#[test]
fn a_machine_without_gpus_has_no_figures() {
    assert_unknown(&Setup::new(Some(&FakeLibrary::nvml(&[])), None).read());
}

#[test]
fn nvml_is_shut_down_as_often_as_it_was_started() {
    let nvml = one_gpu();
    let probes = Setup::new(Some(&nvml), None).open();
    assert_eq!(
        nvml.value("running"),
        0,
        "it was started before it was needed"
    );
    probes.read(None);
    probes.read(None);
    assert_eq!(nvml.value("running"), 1);
    nvml.control("fail memory 15");
    probes.read(None);
    assert_eq!(nvml.value("running"), 0);
    nvml.control("fail memory 0");
    probes.read(None);
    assert_eq!(nvml.value("running"), 1);
    drop(probes);
    assert_eq!(nvml.value("running"), 0);
}

// ---- which device

#[test]
fn the_cuda_runtime_says_which_gpu_an_ordinal_is() {
    let nvml = two_gpus();
    let uuid = &GPU_A[4..];
    for identity in [
        ("0000:41:00.0", "-"),
        ("0000:41:00.0", uuid),
        ("0000:77:00.0", uuid),
    ] {
        for version in [FakeLibrary::cudart, FakeLibrary::cudart_12] {
            let cudart = version(&[&cuda_device(identity.0, identity.1, GIB, GIB)]);
            let reading = Setup::new(Some(&nvml), Some(&cudart)).read();
            assert_eq!(reading.uuid.as_deref(), Some(GPU_A), "{identity:?}");
            assert_eq!(reading.device.unwrap().total, 8 * GIB);
            assert_eq!(
                cudart.value("context.0"),
                0,
                "a context was made to ask who it is"
            );
        }
    }
}

#[test]
fn without_the_cuda_runtime_the_environment_says_which_gpu_it_is() {
    let nvml = two_gpus();
    for (devices, ordinal, uuid) in [
        ("0,1", 0, GPU_B),
        ("1,0", 0, GPU_A),
        ("1,0", 1, GPU_B),
        ("GPU-bbbb", 0, GPU_B),
        ("GPU-bbbb,GPU-aaaa", 1, GPU_A),
    ] {
        let reading = Setup::new(Some(&nvml), None)
            .visible(devices)
            .ordinal(ordinal)
            .read();
        assert_eq!(reading.uuid.as_deref(), Some(uuid), "{devices} {ordinal}");
    }
}

#[test]
fn an_order_that_only_cuda_knows_is_not_guessed() {
    let nvml = two_gpus();
    let reading = Setup::new(Some(&nvml), None).read();
    assert_unknown(&reading);
    let reason = reason(&reading, Source::Nvml);
    assert!(reason.contains("CUDA_DEVICE_ORDER"), "{reason}");
    assert!(
        reason.contains("/no such folder"),
        "it hides why CUDA was not asked: {reason}"
    );
}

#[test]
fn an_ordinal_that_is_not_visible_has_no_figures() {
    let nvml = two_gpus();
    for devices in ["", "-1", "0,-1,1", "0,0", "0,5,1"] {
        let reading = Setup::new(Some(&nvml), None)
            .visible(devices)
            .ordinal(1)
            .read();
        assert_unknown(&reading);
        assert!(
            reason(&reading, Source::Nvml).contains("not among"),
            "{reading:?}"
        );
    }
}

#[test]
fn a_mig_instance_has_figures_of_its_own() {
    let nvml = two_gpus();
    nvml.control(&format!("mig 0 {MIG} {} 0", 2 * GIB));
    nvml.control(&format!("compute 2 {} {GIB}", process::id()));
    let by_name = Setup::new(Some(&nvml), None).visible(MIG).read();
    let cudart = FakeLibrary::cudart(&[&cuda_device("0000:41:00.0", &MIG[4..], GIB, GIB)]);
    let by_runtime = Setup::new(Some(&nvml), Some(&cudart)).read();
    for reading in [by_name, by_runtime] {
        assert_eq!(reading.uuid.as_deref(), Some(MIG));
        assert_eq!(reading.device, Some(figures(2 * GIB, GIB, GIB)));
        assert_eq!(reading.process, Some(GIB));
    }
}

#[test]
fn an_instance_that_could_be_one_of_several_is_not_guessed() {
    let nvml = two_gpus();
    nvml.control(&format!("mig 0 {MIG} {} 0", 2 * GIB));
    nvml.control(&format!("mig 0 MIG-dddddddd {} 0", 2 * GIB));
    let reading = Setup::new(Some(&nvml), None).visible("1").read();
    assert_unknown(&reading);
    assert!(
        reason(&reading, Source::Nvml).contains("2 MIG instances"),
        "{reading:?}"
    );
}

// ---- precedence

fn small_cudart() -> FakeLibrary {
    FakeLibrary::cudart(&[&cuda_device("0000:01:00.0", "-", 4 * GIB, 3 * GIB)])
}

const OF_BACKEND: DeviceFigures = figures_of_backend();

const fn figures_of_backend() -> DeviceFigures {
    DeviceFigures {
        total: 2 * GIB,
        used: GIB,
        free: GIB,
    }
}

#[test]
fn the_best_source_that_answers_is_taken_and_those_before_it_say_why_not() {
    let (nvml, cudart) = (one_gpu(), small_cudart());
    let read = |nvml, cudart, backend| Setup::new(nvml, cudart).open().read(backend);
    let answers = [
        read(Some(&nvml), Some(&cudart), Some(OF_BACKEND)),
        read(None, Some(&cudart), Some(OF_BACKEND)),
        read(None, None, Some(OF_BACKEND)),
        read(None, None, None),
    ];
    let sources = [
        Source::Nvml,
        Source::CudaRuntime,
        Source::Backend,
        Source::None,
    ];
    let totals = [Some(8 * GIB), Some(4 * GIB), Some(2 * GIB), None];
    for (position, reading) in answers.iter().enumerate() {
        assert_eq!(reading.source, sources[position]);
        assert_eq!(reading.device.map(|device| device.total), totals[position]);
        let failed = reading.failures.iter().map(|failure| failure.source);
        // NVML of the first does not list this process, and says so.
        let expected = if position == 0 {
            &sources[..1]
        } else {
            &sources[..position]
        };
        assert_eq!(failed.collect::<Vec<_>>(), expected);
    }
    assert_eq!(answers[1].device, Some(figures(4 * GIB, GIB, 3 * GIB)));
}

#[test]
fn figures_of_the_backend_that_cannot_be_right_are_refused() {
    for wrong in [figures(0, 0, 0), figures(10, 11, 0), figures(10, 6, 6)] {
        let reading = Setup::new(None, None).open().read(Some(wrong));
        assert_unknown(&reading);
        assert!(
            reason(&reading, Source::Backend).contains("cannot be right"),
            "{reading:?}"
        );
    }
}

// ---- the CUDA runtime

#[test]
fn figures_are_those_of_the_ordinal_and_no_other_device_gets_a_context() {
    let cudart = FakeLibrary::cudart(&[
        &cuda_device("0000:01:00.0", "-", 4 * GIB, 3 * GIB),
        &cuda_device("0000:02:00.0", "-", 6 * GIB, GIB),
    ]);
    let reading = Setup::new(None, Some(&cudart)).ordinal(1).read();
    assert_eq!(reading.source, Source::CudaRuntime);
    assert_eq!(reading.device, Some(figures(6 * GIB, 5 * GIB, GIB)));
    assert_eq!(
        (cudart.value("context.0"), cudart.value("context.1")),
        (0, 1)
    );
}

#[test]
fn an_error_of_the_runtime_is_told_with_its_words_and_left_to_nobody() {
    let cudart = small_cudart();
    cudart.control("fail memory 710");
    let reading = Setup::new(None, Some(&cudart)).read();
    assert_unknown(&reading);
    let reason = reason(&reading, Source::CudaRuntime);
    assert!(
        reason.contains("device-side assert triggered (710)"),
        "{reason}"
    );
    assert_eq!(cudart.value("unfetched_errors"), 0);
}

#[test]
fn an_ordinal_that_the_runtime_does_not_have_is_a_failure() {
    let cudart = small_cudart();
    for ordinal in [1, u32::MAX] {
        let reading = Setup::new(None, Some(&cudart)).ordinal(ordinal).read();
        assert_unknown(&reading);
    }
    assert_eq!(cudart.value("unfetched_errors"), 0);
}

#[test]
fn impossible_figures_of_the_runtime_are_a_failure() {
    let cudart = small_cudart();
    for wrong in ["0 0", "10 11"] {
        cudart.control(&format!("memory 0 {wrong}"));
        let reading = Setup::new(None, Some(&cudart)).read();
        assert_unknown(&reading);
        assert!(
            reason(&reading, Source::CudaRuntime).contains("cannot be right"),
            "{reading:?}"
        );
    }
}

// ---- lost and found

#[test]
fn a_gpu_that_nvml_loses_is_told_by_the_next_source_until_it_is_back() {
    let (nvml, cudart) = (one_gpu(), small_cudart());
    let probes = Setup::new(Some(&nvml), Some(&cudart)).open();
    assert_eq!(probes.read(None).source, Source::Nvml);
    // Lost, and taken out while running.
    for code in [15, 6] {
        nvml.control(&format!("gone 0 {code}"));
        for _ in 0..2 {
            let reading = probes.read(None);
            assert_eq!(reading.source, Source::CudaRuntime);
            assert_eq!(reading.device.unwrap().total, 4 * GIB);
            assert!(!reason(&reading, Source::Nvml).is_empty());
        }
        nvml.control("gone 0 0");
        let reading = probes.read(None);
        assert_eq!(
            (reading.source, reading.device.unwrap().total),
            (Source::Nvml, 8 * GIB)
        );
    }
}

#[test]
fn a_gpu_that_is_taken_out_is_not_replaced_by_its_neighbour() {
    let nvml = two_gpus();
    let cudart = FakeLibrary::cudart(&[&cuda_device("0000:41:00.0", "-", 4 * GIB, GIB)]);
    let probes = Setup::new(Some(&nvml), Some(&cudart)).open();
    assert_eq!(probes.read(None).uuid.as_deref(), Some(GPU_A));
    nvml.control("gone 0 6");
    for _ in 0..3 {
        let reading = probes.read(None);
        assert_eq!((reading.source, reading.uuid), (Source::CudaRuntime, None));
    }
}

#[test]
fn everything_lost_leaves_nothing_known_and_nothing_0() {
    let (nvml, cudart) = (one_gpu(), small_cudart());
    let probes = Setup::new(Some(&nvml), Some(&cudart)).open();
    probes.read(None);
    nvml.control("fail memory 15");
    cudart.control("fail memory 999");
    assert_unknown(&probes.read(None));
    cudart.control("fail memory 0");
    assert_eq!(probes.read(None).source, Source::CudaRuntime);
    nvml.control("fail memory 0");
    assert_eq!(probes.read(None).source, Source::Nvml);
}

#[test]
fn a_source_that_failed_is_left_alone_for_its_pause() {
    let nvml = one_gpu();
    nvml.control("fail init 18");
    let probes = Setup::new(Some(&nvml), None).patient().open();
    let first = probes.read(None);
    nvml.control("fail init 0");
    let second = probes.read(None);
    assert_eq!(nvml.value("calls.init"), 1);
    assert_eq!(first.failures, second.failures);
}

// ---- slow

#[test]
fn a_driver_that_hangs_holds_up_nobody_and_is_heard_again() {
    const LONG: Duration = Duration::from_secs(60);
    let nvml = one_gpu();
    let probes = Setup::new(Some(&nvml), None).open();
    let snapshot = Snapshot::new(move || probes.read(None));
    let source = |max_age, patience| {
        let answer = snapshot.get(max_age, patience)?;
        Some((answer.value.source, answer.stale))
    };
    assert_eq!(source(LONG, LONG), Some((Source::Nvml, false)));
    nvml.control("block memory");
    snapshot.refresh();
    nvml.wait_until_blocked("memory", 1);
    assert_eq!(source(Duration::ZERO, LONG), Some((Source::Nvml, true)));
    nvml.control("unblock memory");
    let new = snapshot.get_new(LONG).unwrap();
    assert_eq!((new.value.source, new.stale), (Source::Nvml, false));
}

// ---- found by themselves

/// The environment of this process, and libraries by the names that drivers and libtorch give them.
#[cfg(target_os = "linux")]
#[test]
fn the_libraries_of_the_system_and_of_the_process_are_found() {
    use std::env;
    use support::child::in_child;
    use support::fake_gpu::install;
    const FOLDER: &str = "LD_LIBRARY_PATH";
    let folder = tempfile::tempdir().unwrap();
    let told = in_child(
        "the_libraries_of_the_system_and_of_the_process_are_found",
        |command| {
            install(folder.path(), "nvml", "libnvidia-ml.so.1", &[]);
            install(folder.path(), "cudart", "libcudart-0badc0de.so.12", &[]);
            command
                .env(FOLDER, folder.path())
                .env("CUDA_VISIBLE_DEVICES", "GPU-bbbb");
        },
        || {
            let folder = PathBuf::from(env::var_os(FOLDER).unwrap());
            let nvml = FakeLibrary::at(&folder.join("libnvidia-ml.so.1"));
            nvml.control(&format!("gpu {GPU_A} 00000000:41:00.0 {} 0 A", 8 * GIB));
            nvml.control(&format!("gpu {GPU_B} 00000000:01:00.0 {} 0 B", 16 * GIB));
            let by_environment = DeviceProbes::open(ProbeOptions::default(), 0).read(None);
            // What the process has loaded counts for more than the variable.
            let cudart = FakeLibrary::at(&folder.join("libcudart-0badc0de.so.12"));
            cudart.control(&cuda_device("0000:41:00.0", "-", GIB, GIB));
            let by_runtime = DeviceProbes::open(ProbeOptions::default(), 0).read(None);
            format!("{:?} {:?}", by_environment.uuid, by_runtime.uuid)
        },
    );
    assert_eq!(told, format!("{:?} {:?}", Some(GPU_B), Some(GPU_A)));
}

// ---- the host, and this machine

#[test]
fn the_host_is_told_beside_the_device() {
    let host = HostMemory::read().unwrap();
    assert!(host.total > 0 && host.available <= host.total && host.process > 0);
}

#[test]
fn the_libraries_of_this_machine_do_no_harm() {
    let reading = DeviceProbes::open(ProbeOptions::default(), 0).read(None);
    match reading.device {
        Some(device) => assert_eq!(device.checked(), Ok(device)),
        None => assert_unknown(&reading),
    }
}
