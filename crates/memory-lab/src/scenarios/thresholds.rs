//! Every threshold, just below it and on it.

use std::thread;
use std::time::{Duration, Instant};

use sam_mm::memory::status::Tier;

use super::{session, told};
use crate::scenario::Scenario;
use crate::support::gpu_session::{EMBEDDING, ENCODE, GpuSession, MIB, TOTAL, WEIGHTS};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "threshold: warning",
        expected: "nothing; High GPU memory usage: 80.0%",
        run: || format!("{}; {}", status_at(799), status_at(800)),
    },
    Scenario {
        name: "threshold: critical",
        expected: "High GPU memory usage: 94.9%; Critical GPU memory usage: 95.0%",
        run: || format!("{}; {}", status_at(949), status_at(950)),
    },
    Scenario {
        name: "threshold: thresholds of one's own",
        expected: "High GPU memory usage: 30.0%",
        run: || {
            let session = session(|options| options.memory.warning_threshold = Some(0.3));
            fill(&session, 300);
            session
                .context
                .memory()
                .status()
                .message()
                .unwrap_or_default()
        },
    },
    Scenario {
        name: "threshold: should_cache",
        expected: "yes no",
        run: || {
            let session = session(|options| options.memory.host_threshold = Some(1.0));
            let may = |permille| {
                fill(&session, permille);
                let may = session.context.memory().should_cache(Tier::Device);
                if may.is_ok() { "yes" } else { "no" }
            };
            format!("{} {}", may(799), may(800))
        },
    },
    Scenario {
        name: "threshold: host memory",
        expected: "yes no",
        run: || {
            let may = |threshold| {
                let session = session(|options| options.memory.host_threshold = Some(threshold));
                let may = session.context.memory().should_cache(Tier::Host);
                if may.is_ok() { "yes" } else { "no" }
            };
            format!("{} {}", may(1.0), may(0.0))
        },
    },
    Scenario {
        name: "threshold: optimise, not forced",
        expected: "nothing to do; 12 MB from caches",
        run: || {
            let session = session(|_| ());
            let images: Vec<_> = (0..8).map(|gray| session.image(gray)).collect();
            for image in &images {
                session.click(image).expect("an empty GPU has room");
            }
            session.context.memory().trim();
            let optimised = || {
                let report = session.context.optimize(false);
                match report.performed {
                    true => format!("{} MB from caches", report.optimized.by_caches() / MIB),
                    false => "nothing to do".to_owned(),
                }
            };
            let below = optimised();
            session.neighbour(TOTAL * 8 / 10 - WEIGHTS - 6 * EMBEDDING);
            format!("{below}; {}", optimised())
        },
    },
    Scenario {
        name: "threshold: monitor over 80 %",
        expected: "left alone; emptied",
        run: || {
            let session = session(|options| {
                options.memory.monitor_enabled = Some(true);
                options.memory.monitor_period = Some(Duration::from_millis(2));
            });
            session
                .click(&session.image(1))
                .expect("an empty GPU has room");
            let emptied = |patience| {
                let began = Instant::now();
                while session.bytes("reserved") > session.bytes("allocated") {
                    if began.elapsed() > patience {
                        return "left alone";
                    }
                    thread::sleep(Duration::from_millis(1));
                }
                "emptied"
            };
            let below = emptied(Duration::from_millis(50));
            session.neighbour(TOTAL);
            format!("{below}; {}", emptied(Duration::from_secs(20)))
        },
    },
    Scenario {
        name: "threshold: fraction",
        expected: "chunked attention in fp32 on the GPU; full attention in fp32 on the GPU",
        run: || {
            let needed = (WEIGHTS + EMBEDDING + ENCODE) as f64 / TOTAL as f64;
            let encoded = |fraction| {
                let session = session(|options| options.memory.fraction = Some(fraction));
                told(&session.click(&session.image(1)))
            };
            format!("{}; {}", encoded(needed - 0.001), encoded(needed + 0.001))
        },
    },
];

/// Fills the GPU to so many thousandths.
fn fill(session: &GpuSession, permille: u64) {
    session.neighbour(TOTAL / 1000 * permille + TOTAL % 1000 * permille / 1000 + 1 - WEIGHTS);
    session.look();
}

fn status_at(permille: u64) -> String {
    let session = session(|_| ());
    fill(&session, permille);
    session
        .context
        .memory()
        .status()
        .message()
        .unwrap_or_else(|| "nothing".to_owned())
}
