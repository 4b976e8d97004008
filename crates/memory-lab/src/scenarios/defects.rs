//! What the memory management that this one re-imagines gets wrong, by the numbers that the tests use. Those of caches
//! that are not there yet, 7 to 10, 12 and 13, have no scenario; 16 is about checkpoints alone.

use std::thread;
use std::time::Duration;

use sam_mm::memory::events::EventKind;
use sam_mm::memory::status::Tier;

use super::{session, told};
use crate::scenario::Scenario;
use crate::support::gpu_session::{EMBEDDING, ENCODE, MIB, TOTAL, WEIGHTS, answer};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "defect 1: the caller gets the result of the retry",
        expected: "chunked attention in fp32 on the GPU, recovered: lower precision",
        run: || {
            let session = session(|_| ());
            session.fake.control("oom encode 1 1");
            told(&session.click(&session.image(1)))
        },
    },
    Scenario {
        name: "defect 2: what always fails is no success",
        expected: "3 attempted, 0 recovered, Critical",
        run: || {
            let session = session(|_| ());
            session.fake.control("oom encode 1 100000");
            for _ in 0..3 {
                let _ = session.click(&session.image(1));
            }
            let report = session.context.memory().report();
            let (recoveries, health) = (report.recoveries, report.health.state);
            format!(
                "{} attempted, {} recovered, {health:?}",
                recoveries.attempted, recoveries.recovered
            )
        },
    },
    Scenario {
        name: "defect 3: every rung changes something",
        expected: "release caches, empty the allocator, lower precision, run on the CPU",
        run: || {
            let session = session(|_| ());
            let kept = session.image(1);
            session.click(&kept).expect("an empty GPU has room");
            session.fake.control("short encode 1 1000");
            let _ = session.click(&session.image(2));
            let report = session.context.memory().report();
            let mut climbed: Vec<String> = report
                .recovery_history
                .iter()
                .flat_map(|record| &record.rungs)
                .filter(|rung| rung.retried())
                .map(|rung| rung.rung.to_string())
                .collect();
            climbed.dedup();
            climbed.join(", ")
        },
    },
    Scenario {
        name: "defect 4: words about CUDA and memory are no out-of-memory",
        expected: "encoded once, 0 recoveries",
        run: || {
            let session = session(|_| ());
            session
                .fake
                .control("fail encode 1 6 CUDA out of memory: device-side assert triggered");
            let _ = session.click(&session.image(1));
            let recoveries = session.context.memory().report().recoveries.attempted;
            let times = if session.calls("encode") == 1 {
                "once"
            } else {
                "again"
            };
            format!("encoded {times}, {recoveries} recoveries")
        },
    },
    Scenario {
        name: "defect 5: the limit is strict when growth is disabled, and only then",
        expected: "400 MB; 0 MB",
        run: || {
            let limit = |growth| {
                let session = session(|options| {
                    options.memory.growth = Some(growth);
                    options.memory.fraction = Some(0.5);
                });
                session.fake.value("last.memory_limit_bytes") as u64 / MIB
            };
            format!("{} MB; {} MB", limit(false), limit(true))
        },
    },
    Scenario {
        name: "defect 6: the old image works after a new one failed",
        expected: "failed: out of memory; as before, encoded 0 times",
        run: || {
            let session =
                session(|options| (options.lower_precision, options.cpu_fallback) = (false, false));
            let (old, new) = (session.image(1), session.image(200));
            // Held by a prediction that runs, so that the ladder cannot give it back.
            let wanted = session.click(&old).expect("an empty GPU has room");
            session.leave(WEIGHTS + EMBEDDING + ENCODE / 4 + EMBEDDING);
            session.fake.control("neighbour encode 1000000000");
            let failed = told(&session.click(&new));
            session.neighbour(0);
            let encoded = session.calls("encode");
            let again = session.click(&old).expect("an empty GPU has room");
            let same = if answer(&again) == answer(&wanted) {
                "as before"
            } else {
                "another mask"
            };
            let made = session.calls("encode") - encoded;
            // The ladder moved the old embedding to the host for the new one, before it gave up.
            format!("{failed}; {same}, encoded {made} times")
        },
    },
    Scenario {
        name: "defect 11: a failed probe opens no gate, and the host's is its own",
        expected: "device no, host yes",
        run: || {
            let session = session(|options| options.memory.host_threshold = Some(1.0));
            session.fake.control("fail device_mem_info 0 6");
            session.look();
            let may = |tier| {
                let may = session.context.memory().should_cache(tier);
                if may.is_ok() { "yes" } else { "no" }
            };
            format!("device {}, host {}", may(Tier::Device), may(Tier::Host))
        },
    },
    Scenario {
        name: "defect 14: peaks are peaks, crossings are counted",
        // The weights, five embeddings and one encoding.
        expected: "peak 460 MB, 1 warnings",
        run: || {
            let session = session(|_| ());
            for gray in 0..5 {
                session
                    .click(&session.image(gray))
                    .expect("an empty GPU has room");
            }
            for other in [0, TOTAL * 85 / 100 - session.bytes("reserved"), 0] {
                session.neighbour(other);
                session.look();
            }
            let report = session.context.memory().report();
            let peak = report.peaks.allocated.unwrap_or(0) / MIB;
            format!("peak {peak} MB, {} warnings", report.warnings.warning)
        },
    },
    Scenario {
        name: "defect 15: a neighbour that holds the GPU full makes no storm",
        expected: "at most once in 100 periods, every embedding kept",
        run: || {
            let session = session(|options| {
                options.memory.monitor_enabled = Some(true);
                options.memory.monitor_period = Some(Duration::from_millis(2));
            });
            let images: Vec<_> = (0..3).map(|gray| session.image(gray)).collect();
            for image in &images {
                session.click(image).expect("an empty GPU has room");
            }
            session.context.memory().trim();
            session.neighbour(TOTAL);
            thread::sleep(Duration::from_millis(200));
            let acted = |event: &&EventKind| matches!(event, EventKind::Monitor { .. });
            let times = session.events().iter().filter(acted).count();
            let kept = session.context.embeddings().len();
            match (times, kept) {
                (0..=1, 3) => "at most once in 100 periods, every embedding kept".to_owned(),
                _ => format!("{times} times, {kept} of 3 embeddings kept"),
            }
        },
    },
];
