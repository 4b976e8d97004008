//! The whole of `sam_predict` in the care of the memory manager: a fake backend on a pretended GPU, a fake driver, and
//! everything that can run short.
#![cfg(unix)]

mod support;

use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use sam_mm::context::Options;
use sam_mm::error::Error;
use sam_mm::memory::analytics::HealthState;
use sam_mm::memory::config::MemoryOptions;
use sam_mm::memory::events::EventKind;
use sam_mm::memory::probe::Source;
use sam_mm::memory::recovery::{RecoveryOutcome, Rung, RungOutcome};
use sam_mm::memory::status::{Status, Tier};
use sam_mm_backend_abi::abi;
use support::fake_gpu::FakeLibrary;
use support::gpu_session::*;

/// Weights, embedding and workspace of an encode, and a little.
const FITS: u64 = WEIGHTS + EMBEDDING + ENCODE + 12 * MIB;

fn session() -> GpuSession {
    GpuSession::new(options())
}

fn with(change: impl FnOnce(&mut Options)) -> GpuSession {
    let mut options = options();
    change(&mut options);
    GpuSession::new(options)
}

fn gpu_only() -> GpuSession {
    with(|options| options.cpu_fallback = false)
}

/// Neither half precision nor the CPU.
fn as_it_is() -> GpuSession {
    with(|options| (options.lower_precision, options.cpu_fallback) = (false, false))
}

fn rungs(session: &GpuSession) -> Vec<(Rung, RungOutcome)> {
    let report = session.context.memory().report();
    let last = report
        .recovery_history
        .last()
        .expect("there was a recovery");
    last.rungs
        .iter()
        .map(|rung| (rung.rung, rung.outcome))
        .collect()
}

fn recoveries(session: &GpuSession) -> (u64, u64) {
    let report = session.context.memory().report().recoveries;
    (report.attempted, report.recovered)
}

/// Waits for something that another thread does.
fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(20), "never: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

// ---- what is known

#[test]
fn figures_of_the_driver_arrive_with_their_source_and_the_bytes_of_this_process() {
    let session = GpuSession::with_driver(options());
    let nvml = session.nvml.as_ref().unwrap();
    nvml.control(&format!("compute 0 1 {}", 100 * MIB));
    nvml.control(&format!("compute 0 {} {}", std::process::id(), 60 * MIB));
    let info = session.look();
    let device = info.device.unwrap();
    assert_eq!(info.source, Source::Nvml);
    assert_eq!(
        (device.total, device.used, device.free),
        (TOTAL, 160 * MIB, TOTAL - 160 * MIB)
    );
    assert_eq!(device.process, Some(60 * MIB));
    assert_eq!(info.formatted(), "Used: 0.16 GB / Total: 0.78 GB (20.0%)");
    assert_eq!(info.device_name.as_deref(), Some("Pretended"));
    assert_eq!(info.allocator.unwrap().allocated, WEIGHTS);
}

#[test]
fn without_a_driver_the_backend_tells() {
    let session = session();
    session.neighbour(100 * MIB);
    let info = session.look();
    let device = info.device.unwrap();
    assert_eq!(info.source, Source::Backend);
    assert_eq!((device.total, device.used), (TOTAL, 100 * MIB + WEIGHTS));
    assert!(
        info.failures
            .iter()
            .any(|failure| failure.source == Source::Nvml)
    );
}

#[test]
fn a_driver_lost_in_mid_run_is_told_and_the_next_source_answers() {
    let cudart = FakeLibrary::cudart(&[&format!(
        "device 00000000:01:00.0 - {TOTAL} {} Pretended",
        700 * MIB
    )]);
    let nvml = pretended_driver();
    let probes = probes(Some(&nvml), Some(&cudart));
    let session = GpuSession::on(
        pretended_gpu(),
        Some(nvml),
        Options {
            probes,
            ..options()
        },
    );
    let source = || session.look().source;
    assert_eq!(source(), Source::Nvml);
    let nvml = session.nvml.as_ref().unwrap();
    nvml.control("gone 0 15");
    assert_eq!(source(), Source::CudaRuntime);
    cudart.control("fail memory 999");
    assert_eq!(source(), Source::Backend);
    session.click(&session.image(1)).unwrap();
    let lost: Vec<String> = lost(&session);
    assert!(
        lost[0].contains("NVML") && lost.iter().any(|source| source.contains("CUDA")),
        "{lost:?}"
    );
    nvml.control("gone 0 0");
    assert_eq!(source(), Source::Nvml);
    assert!(
        session
            .events()
            .iter()
            .any(|event| matches!(event, EventKind::ProbeBack { .. }))
    );
}

fn lost(session: &GpuSession) -> Vec<String> {
    let events = session.events().into_iter();
    events
        .filter_map(|event| match event {
            EventKind::ProbeLost { source, .. } => Some(source),
            _ => None,
        })
        .collect()
}

#[test]
fn defect_11_a_gpu_that_nobody_can_read_is_unknown_and_opens_no_gate() {
    let session = session();
    session.fake.control("fail device_mem_info 0 13");
    let info = session.look();
    assert_eq!((info.source, info.device), (Source::None, None));
    assert_eq!(info.formatted(), "GPU memory stats not available");
    assert_eq!(session.context.memory().status(), Status::Unknown);
    assert!(session.context.memory().should_cache(Tier::Device).is_err());
    session
        .click(&session.image(1))
        .expect("work goes on without figures");
}

#[test]
fn defect_11_what_lies_in_host_memory_is_kept_however_full_the_gpu_is() {
    let session = with(|options| options.memory.host_threshold = Some(1.0));
    session.leave(WEIGHTS);
    assert!(session.context.memory().should_cache(Tier::Device).is_err());
    session.context.memory().should_cache(Tier::Host).unwrap();
}

#[test]
fn the_status_has_the_words_of_its_thresholds() {
    let session = session();
    let message = |used: u64| {
        session.neighbour(used - WEIGHTS);
        session.context.memory().status().message()
    };
    assert_eq!(message(TOTAL * 79 / 100), None);
    assert_eq!(
        message(TOTAL * 80 / 100).unwrap(),
        "High GPU memory usage: 80.0%"
    );
    assert_eq!(
        message(TOTAL * 94 / 100).unwrap(),
        "High GPU memory usage: 94.0%"
    );
    assert_eq!(
        message(TOTAL * 96 / 100).unwrap(),
        "Critical GPU memory usage: 96.0%"
    );
}

#[test]
fn more_is_cached_only_below_the_warning_threshold() {
    let session = with(|options| options.memory.host_threshold = Some(1.0));
    let memory = session.context.memory();
    session.neighbour(TOTAL * 79 / 100 - WEIGHTS);
    memory.should_cache(Tier::Device).unwrap();
    session.neighbour(TOTAL * 80 / 100 - WEIGHTS);
    assert!(memory.should_cache(Tier::Device).is_err());
}

#[test]
fn on_the_cpu_there_are_no_figures_and_that_is_said() {
    let fake = support::fake_backend::FakeBackend::new();
    let options = Options {
        backend_path: Some(fake.path().to_owned()),
        ..options()
    };
    let context = Arc::new(sam_mm::context::Context::new(options, None).unwrap());
    context.runtime().unwrap();
    assert_eq!(
        context.memory_info().formatted(),
        "Running on CPU - memory stats not available"
    );
    assert_eq!(context.memory().status(), Status::Ok);
}

// ---- giving memory back

#[test]
fn optimising_gives_back_what_is_short_and_by_force_everything() {
    let session = session();
    let images: Vec<_> = (10..18).map(|gray| session.image(gray)).collect();
    for image in &images {
        session.click(image).unwrap();
    }
    assert_eq!(session.context.embeddings().len(), 8);
    assert!(!session.context.optimize(false).performed);
    session.context.memory().trim();
    // Two embeddings above the threshold.
    session.neighbour(TOTAL * 80 / 100 - WEIGHTS - 6 * EMBEDDING);
    let report = session.context.optimize(false);
    assert_eq!(
        report.optimized.by_caches(),
        3 * EMBEDDING,
        "the threshold itself counts as reached: {report:?}"
    );
    let held = |tier| session.context.embeddings().held(tier);
    assert_eq!(held(Tier::Device).entries, 5);
    let moved = held(Tier::Host);
    assert_eq!(moved.entries, 3, "what leaves the GPU goes to the host");
    let report = session.context.optimize(true);
    assert_eq!(
        (
            report.optimized.by_caches(),
            session.context.embeddings().len()
        ),
        (5 * EMBEDDING + moved.bytes, 0)
    );
    assert_eq!(session.bytes("reserved"), WEIGHTS);
    let used = (
        report.before.device_used.unwrap(),
        report.after.device_used.unwrap(),
    );
    assert_eq!(used.0 - used.1, 5 * EMBEDDING);
}

// ---- the plan

#[test]
fn as_the_gpu_shrinks_the_plan_gets_smaller_and_the_mask_stays() {
    let session = session();
    let image = session.image(7);
    let first = session.click(&image).unwrap();
    assert_eq!(encoded(&first), "full attention in fp32 on the GPU");
    assert!(!first.encode_ran.as_ref().unwrap().downgraded);
    let ways = [
        (
            WEIGHTS + EMBEDDING + ENCODE / 4 + 4 * MIB,
            "chunked attention in fp32 on the GPU",
        ),
        (
            WEIGHTS + EMBEDDING + ENCODE / 8 + MIB,
            "chunked attention in bf16 on the GPU",
        ),
        (WEIGHTS + MIB, "full attention in fp32 on the CPU"),
    ];
    for (left, way) in ways {
        session.context.optimize(true);
        session.events();
        session.leave(left);
        let again = session.click(&image).unwrap();
        assert_eq!(encoded(&again), way, "{:?}", again.encode_ran);
        assert!(again.encode_ran.as_ref().unwrap().downgraded);
        assert_eq!(answer(&again), answer(&first), "{way}");
        assert_eq!(
            recoveries(&session),
            (0, 0),
            "{way}: planned, not stumbled upon"
        );
        let told = session.events().into_iter().find_map(|event| match event {
            EventKind::PlanDowngraded { reason, .. } => Some(reason),
            _ => None,
        });
        assert!(
            told.unwrap()
                .contains("instead of full attention in fp32 on the GPU")
        );
    }
    drop(image);
    session.end();
}

#[test]
fn when_there_is_room_again_the_precision_is_raised_again() {
    let session = session();
    let image = session.image(7);
    session.leave(WEIGHTS + EMBEDDING + ENCODE / 8 + MIB);
    let low = session.click(&image).unwrap();
    assert_eq!(encoded(&low), "chunked attention in bf16 on the GPU");
    session.neighbour(0);
    session.context.optimize(true);
    assert_eq!(session.bytes("reserved"), WEIGHTS / 2);
    let high = session.click(&image).unwrap();
    assert_eq!(encoded(&high), "full attention in fp32 on the GPU");
    session.context.optimize(true);
    assert_eq!(session.bytes("reserved"), WEIGHTS);
}

#[test]
fn half_precision_is_planned_with_the_new_weights_beside_the_old_and_what_these_give_back() {
    let session = with(|options| options.cpu_fallback = false);
    let image = session.image(7);
    // What these give back is more than what is missing.
    session.leave(WEIGHTS + EMBEDDING + ENCODE / 8 - WEIGHTS / 4);
    let low = session.click(&image).unwrap();
    assert_eq!(encoded(&low), "chunked attention in bf16 on the GPU");
    assert_eq!(recoveries(&session), (0, 0));
    let session = gpu_only();
    session.leave(WEIGHTS + WEIGHTS / 2 - MIB);
    let refused = session.click(&session.image(7)).err().unwrap();
    assert!(matches!(refused, Error::NoPlanFits { .. }), "{refused}");
}

#[test]
fn when_nothing_fits_and_the_cpu_is_not_allowed_the_refusal_has_the_numbers() {
    let session = gpu_only();
    session.leave(WEIGHTS + MIB);
    let refused = session
        .click(&session.image(1))
        .err()
        .expect("there is no room");
    assert!(matches!(refused, Error::NoPlanFits { .. }), "{refused}");
    assert_eq!(refused.code(), abi::SAM_MM_ERR_OUT_OF_MEMORY);
    let text = refused.to_string();
    for part in [
        "Critical GPU memory usage",
        "full attention in fp32 on the GPU needs 404.0 MB",
        "1.0 MB available",
        "What would help",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    assert_eq!(session.calls("encode"), 0, "it was not tried in vain");
}

#[test]
fn an_allocator_that_holds_too_much_in_pieces_is_emptied_before_the_budget_is_crossed() {
    let session = with(|options| options.memory.fraction = Some(0.6));
    session.click(&session.image(1)).unwrap();
    session
        .fake
        .control(&format!("memory pieces={}", 300 * MIB));
    session.click(&session.image(2)).unwrap();
    let most = session.bytes("peak_reserved");
    assert!(most <= TOTAL * 60 / 100, "{most}");
}

#[test]
fn a_neighbour_that_has_grown_makes_us_give_back_what_lies_unused_and_no_reason_to_refuse() {
    let strict = with(|options| {
        options.memory.fraction = Some(0.8);
        options.memory.growth = Some(false);
        options.cpu_fallback = false;
    });
    let image = strict.image(1);
    strict.click(&image).unwrap();
    strict.neighbour(300 * MIB);
    strict.click(&image).unwrap();
    assert!(strict.bytes("reserved") <= TOTAL * 80 / 100 - 300 * MIB);
}

#[test]
fn an_embedding_that_is_being_decoded_is_not_counted_on_to_make_room() {
    let session = as_it_is();
    let image = session.image(1);
    session.click(&image).unwrap();
    session.context.memory().trim();
    session.leave(WEIGHTS + EMBEDDING + DECODE - MIB);
    let refused = session.click(&image).err().unwrap();
    assert!(matches!(refused, Error::NoPlanFits { .. }), "{refused}");
}

// ---- the ladder

#[test]
fn defect_1_and_3_the_first_rung_drops_embeddings_and_the_caller_gets_the_result() {
    let session = as_it_is();
    let images: Vec<_> = (0..5).map(|gray| session.image(gray)).collect();
    let first = session.click(&images[0]).unwrap();
    for image in &images[1..4] {
        session.click(image).unwrap();
    }
    session.context.memory().trim();
    // A neighbour takes what the plan counted on, so that one embedding is too many.
    session.leave(WEIGHTS + 5 * EMBEDDING + ENCODE / 4);
    session
        .fake
        .control(&format!("neighbour encode {EMBEDDING}"));
    let last = session.click(&images[4]).unwrap();
    let ran = last.encode_ran.unwrap();
    assert_eq!(ran.recovered_by, Some(Rung::ReleaseCaches));
    assert_eq!(
        rungs(&session),
        [(Rung::ReleaseCaches, RungOutcome::Recovered)]
    );
    assert_eq!(
        session.context.embeddings().held(Tier::Device).entries,
        4,
        "the deficit of one, and no more"
    );
    assert_eq!(recoveries(&session), (1, 1));
    session.neighbour(0);
    assert_eq!(answer(&session.click(&images[0]).unwrap()), answer(&first));
}

#[test]
fn defect_3_the_second_rung_empties_an_allocator_in_pieces() {
    let session = as_it_is();
    // What a smaller plan left is in pieces, and a neighbour takes what the larger one counted on.
    session.leave(WEIGHTS + EMBEDDING + ENCODE / 4 + DECODE);
    session.click(&session.image(1)).unwrap();
    session.context.embeddings().clear(None);
    session.neighbour(0);
    session
        .fake
        .control(&format!("memory pieces={}", ENCODE / 4));
    session
        .fake
        .control(&format!("neighbour encode {}", 340 * MIB));
    let prediction = session.click(&session.image(2)).unwrap();
    assert_eq!(
        prediction.encode_ran.unwrap().recovered_by,
        Some(Rung::EmptyAllocator)
    );
    assert_eq!(
        session.bytes("allocated"),
        WEIGHTS + EMBEDDING * session.context.embeddings().held(Tier::Device).entries
    );
}

#[test]
fn defect_3_the_third_rung_runs_a_cheaper_plan_and_then_half_precision() {
    let session = gpu_only();
    let image = session.image(3);
    let wanted = session.click(&image).unwrap();
    session.context.optimize(true);
    session.leave(FITS);
    session
        .fake
        .control(&format!("neighbour encode {}", 300 * MIB));
    let chunked = session.click(&image).unwrap();
    assert_eq!(encoded(&chunked), "chunked attention in fp32 on the GPU");
    assert_eq!(
        chunked.encode_ran.as_ref().unwrap().recovered_by,
        Some(Rung::LowerPrecision)
    );
    session.context.optimize(true);
    session.leave(FITS);
    session
        .fake
        .control(&format!("neighbour encode {}", ENCODE - 60 * MIB));
    let halved = session.click(&image).unwrap();
    assert_eq!(encoded(&halved), "chunked attention in bf16 on the GPU");
    assert_eq!(answer(&halved), answer(&wanted));
    assert_eq!(recoveries(&session), (2, 2));
}

#[test]
fn defect_3_the_last_rung_runs_on_the_cpu() {
    let session = session();
    let image = session.image(3);
    let wanted = session.click(&image).unwrap();
    session.context.optimize(true);
    session.leave(FITS);
    session
        .fake
        .control(&format!("neighbour encode {}", ENCODE + 12 * MIB));
    let on_cpu = session.click(&image).unwrap();
    assert_eq!(encoded(&on_cpu), "full attention in fp32 on the CPU");
    assert_eq!(
        on_cpu.encode_ran.as_ref().unwrap().recovered_by,
        Some(Rung::Cpu)
    );
    assert_eq!(
        on_cpu.decode_ran().unwrap().way.tier,
        Tier::Host,
        "there the embedding is"
    );
    assert_eq!(answer(&on_cpu), answer(&wanted));
    drop(image);
    session.end();
}

#[test]
fn memory_that_runs_out_in_decoding_moves_the_embedding_to_the_cpu_and_not_the_result() {
    let session = session();
    let image = session.image(9);
    let wanted = session.click(&image).unwrap();
    session.fake.control("short decode 1 1000");
    let moved = session.click(&image).unwrap();
    assert_eq!(
        moved.decode_ran().unwrap().recovered_by,
        Some(Rung::Cpu),
        "{:?}",
        rungs(&session)
    );
    assert_eq!(answer(&moved), answer(&wanted));
    assert_eq!(
        (session.calls("encode"), session.calls("embedding_import")),
        (1, 1)
    );
    let again = session.click(&image).unwrap();
    assert_eq!(answer(&again), answer(&wanted));
    assert_eq!(session.calls("embedding_import"), 1, "it stays where it is");
    drop(image);
    session.end();
}

#[test]
fn defect_2_what_always_fails_is_counted_as_failures() {
    let session = session();
    session.fake.control("oom encode 1 100000");
    let image = session.image(5);
    for _ in 0..3 {
        let failed = session.click(&image).err().expect("it always fails");
        assert!(matches!(failed, Error::OutOfMemory(_)), "{failed}");
    }
    let report = session.context.memory().report();
    assert_eq!(
        (report.recoveries.attempted, report.recoveries.recovered),
        (3, 0)
    );
    assert_eq!(
        (report.operations.succeeded, report.operations.failed),
        (0, 3)
    );
    assert_eq!(report.health.state, HealthState::Critical);
    assert!(
        rungs(&session)
            .iter()
            .all(|(_, outcome)| *outcome != RungOutcome::Recovered)
    );
    let last = &report.recovery_history[2];
    assert_eq!(last.outcome, RecoveryOutcome::OutOfMemory);
}

#[test]
fn defect_4_a_failure_that_merely_speaks_of_cuda_and_memory_is_not_retried() {
    let session = session();
    session
        .fake
        .control("fail encode 1 6 CUDA out of memory. device-side assert triggered");
    let failed = session.click(&session.image(1)).err().unwrap();
    assert_eq!(failed.code(), abi::SAM_MM_ERR_BACKEND);
    assert_eq!((session.calls("encode"), recoveries(&session)), (1, (0, 0)));
}

#[test]
fn defect_6_after_a_failed_encode_the_old_image_works_and_is_not_encoded_again() {
    let session = as_it_is();
    let (old, new) = (session.image(1), session.image(200));
    let wanted = session.click(&old).unwrap();
    // The chunked plan alone: nothing on the ladder is left but to give up, once caches went.
    session.fake.control("fail encode 1 6 the kernel crashed");
    session.click(&new).err().expect("the script says so");
    let calls = session.calls("encode");
    assert_eq!(answer(&session.click(&old).unwrap()), answer(&wanted));
    assert_eq!(session.calls("encode"), calls);
    assert_ne!(
        answer(&session.click(&new).unwrap()),
        answer(&wanted),
        "and the new one is encoded now"
    );
    assert_eq!(session.calls("encode"), calls + 1);
}

#[test]
fn defect_6_after_an_encode_that_ran_out_of_memory_both_images_work() {
    let session = as_it_is();
    let (old, new) = (session.image(1), session.image(200));
    let wanted = session.click(&old).unwrap();
    session.fake.control("oom encode 1 1000");
    assert!(matches!(session.click(&new), Err(Error::OutOfMemory(_))));
    session.fake.control("oom encode 0 0");
    assert_eq!(answer(&session.click(&old).unwrap()), answer(&wanted));
    session.click(&new).unwrap();
    drop((old, new));
    session.end();
}

#[test]
fn defect_14_peaks_are_peaks_and_crossings_are_counted() {
    let session = session();
    for gray in 0..5 {
        session.click(&session.image(gray)).unwrap();
    }
    session.neighbour(TOTAL * 85 / 100 - session.bytes("reserved"));
    session.look();
    session.look();
    session.neighbour(0);
    session.look();
    let report = session.context.memory().report();
    assert_eq!((report.warnings.warning, report.warnings.critical), (1, 0));
    assert!(report.peaks.device_used.unwrap() <= TOTAL);
    assert_eq!(
        report.peaks.allocated,
        Some(WEIGHTS + 5 * EMBEDDING + ENCODE),
        "{:?}",
        report.peaks
    );
}

// ---- the budget

#[test]
fn defect_5_without_growth_the_limit_reaches_the_allocator_and_is_never_exceeded() {
    let strict = |fraction: f64| {
        with(|options| {
            options.memory.growth = Some(false);
            options.memory.fraction = Some(fraction);
        })
    };
    let session = strict(0.25);
    assert_eq!(
        session.fake.value("last.memory_limit_bytes") as u64,
        TOTAL / 4
    );
    let images: Vec<_> = (0..60).map(|gray| session.image(gray)).collect();
    for image in &images {
        session.click(image).unwrap();
    }
    assert!(
        session.bytes("peak_reserved") <= TOTAL / 4,
        "{}",
        session.bytes("peak_reserved")
    );
    drop(images);
    session.end();
    let session = with(|options| options.memory.fraction = Some(0.25));
    assert_eq!(
        session.fake.value("last.memory_limit_bytes"),
        0,
        "with growth there is none"
    );
}

#[test]
fn a_strict_limit_outlives_the_first_use_of_the_cpu() {
    let session = with(|options| {
        options.memory.growth = Some(false);
        options.memory.fraction = Some(0.07);
    });
    let prediction = session.click(&session.image(1)).unwrap();
    assert_eq!(encoded(&prediction), "full attention in fp32 on the CPU");
    assert!(session.bytes("peak_reserved") <= TOTAL * 7 / 100);
}

#[test]
fn with_growth_caches_are_shed_before_the_budget_is_crossed() {
    let session = with(|options| options.memory.fraction = Some(0.3));
    let images: Vec<_> = (0..60).map(|gray| session.image(gray)).collect();
    for image in &images {
        session.click(image).unwrap();
        let reserved = session.bytes("reserved");
        assert!(reserved <= TOTAL * 30 / 100, "{reserved}");
    }
    let kept = session.context.embeddings().held(Tier::Device).entries;
    assert!((1..60).contains(&kept), "{kept}");
    assert_eq!(recoveries(&session), (0, 0));
}

// ---- the monitor

fn monitored(period: Duration) -> GpuSession {
    with(|options| {
        options.memory.monitor_enabled = Some(true);
        options.memory.monitor_period = Some(period);
    })
}

fn monitored_times(session: &GpuSession) -> usize {
    let acted = |event: &EventKind| matches!(event, EventKind::Monitor { .. });
    session.events().iter().filter(|event| acted(event)).count()
}

#[test]
fn the_monitor_empties_the_allocator_of_a_full_gpu() {
    let session = monitored(Duration::from_millis(5));
    session.click(&session.image(1)).unwrap();
    assert!(session.bytes("reserved") > session.bytes("allocated"));
    session.neighbour(TOTAL);
    wait_until("the monitor trims", || {
        session.bytes("reserved") == session.bytes("allocated")
    });
    wait_until("and tells", || monitored_times(&session) > 0);
}

#[test]
fn defect_15_a_gpu_that_a_neighbour_holds_full_is_no_reason_for_a_storm() {
    let session = monitored(Duration::from_millis(2));
    let image = session.image(1);
    session.click(&image).unwrap();
    session.context.memory().trim();
    session.neighbour(TOTAL);
    thread::sleep(Duration::from_millis(400));
    let times = monitored_times(&session);
    assert!(times <= 1, "{times} times in 200 periods");
    session.click(&image).unwrap();
    assert_eq!(session.calls("encode"), 1, "the embedding is still there");
}

#[test]
fn defect_15_clicks_on_a_gpu_that_a_neighbour_holds_full_do_not_cost_the_other_embeddings() {
    let session = session();
    let images: Vec<_> = (0..4).map(|gray| session.image(gray)).collect();
    for image in &images {
        session.click(image).unwrap();
    }
    session.neighbour(TOTAL);
    session.look();
    assert!(session.context.memory().status().is_critical());
    for image in images.iter().cycle().take(12) {
        session.click(image).unwrap();
    }
    assert_eq!(session.calls("encode"), 4);
}

#[test]
fn a_driver_that_hangs_holds_up_no_click() {
    let session = GpuSession::with_driver(options());
    let image = session.image(1);
    session.click(&image).unwrap();
    let nvml = session.nvml.as_ref().unwrap();
    nvml.control("block memory");
    let done = Arc::new(Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            session.click(&image).unwrap();
            done.wait();
        });
        done.wait();
        nvml.control("unblock memory");
    });
}

// ---- events, threads, contexts

#[test]
fn events_come_through_the_callback_and_the_queue_in_the_same_order() {
    let session = session();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let callback = Arc::clone(&seen);
    let events = session.context.memory().events();
    events
        .set_callback(Some(Box::new(move |event| {
            callback.lock().unwrap().push(event.kind.to_string())
        })))
        .unwrap();
    session.events();
    seen.lock().unwrap().clear();
    session.fake.control("oom encode 1 1");
    session.click(&session.image(1)).unwrap();
    session.context.optimize(true);
    let polled: Vec<String> = session.events().iter().map(ToString::to_string).collect();
    assert_eq!(*seen.lock().unwrap(), polled);
    assert!(
        polled.iter().any(|text| text.contains("ran out of memory")),
        "{polled:?}"
    );
    assert!(polled.last().unwrap().contains("(forced)"), "{polled:?}");
}

#[test]
fn two_contexts_in_one_process_keep_their_own_settings() {
    let careful = with(|options| {
        options.memory = MemoryOptions {
            fraction: Some(0.2),
            warning_threshold: Some(0.3),
            ..memory()
        };
    });
    let bold = session();
    for session in [&careful, &bold] {
        session.neighbour(TOTAL * 35 / 100 - WEIGHTS);
    }
    assert!(matches!(
        careful.context.memory().status(),
        Status::Warning { .. }
    ));
    assert_eq!(bold.context.memory().status(), Status::Ok);
    let ways = [&careful, &bold].map(|session| encoded(&session.click(&session.image(1)).unwrap()));
    assert_eq!(
        ways,
        [
            "full attention in fp32 on the CPU",
            "full attention in fp32 on the GPU"
        ]
    );
}

#[test]
fn ten_threads_with_memory_running_out_all_the_time_end_consistent() {
    let session = session();
    let images: Vec<_> = (0..6).map(|i| session.image(40 * i)).collect();
    let wanted: Vec<_> = images
        .iter()
        .map(|image| answer(&session.click(image).unwrap()))
        .collect();
    let start = Barrier::new(11);
    thread::scope(|scope| {
        for thread in 0..10_usize {
            let (session, images, wanted, start) = (&session, &images, &wanted, &start);
            scope.spawn(move || {
                start.wait();
                for turn in 0..30 {
                    let at = (thread + turn * 5) % images.len();
                    assert_eq!(
                        answer(&session.click(&images[at]).unwrap()),
                        wanted[at],
                        "image {at}"
                    );
                    if turn % 7 == thread % 7 {
                        session.context.optimize(turn % 2 == 0);
                    }
                }
            });
        }
        start.wait();
        for turn in 0..40_u64 {
            session.fake.control(
                ["short encode 1 1", "short decode 2 1", "short encode 1 3"][turn as usize % 3],
            );
            session.neighbour(turn % 8 * 100 * MIB);
            thread::sleep(Duration::from_millis(1));
        }
    });
    let report = session.context.memory().report();
    assert_eq!(report.operations.failed, 0);
    assert_eq!(report.recoveries.attempted, report.recoveries.recovered);
    assert_eq!(session.fake.value("violations"), 0);
    drop(images);
    session.end();
}
