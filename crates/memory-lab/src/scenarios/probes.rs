//! Every source of figures, and what comes when it fails.

use sam_mm::context::Options;

use crate::scenario::Scenario;
use crate::support::fake_backend::FakeBackend;
use crate::support::fake_gpu::FakeLibrary;
use crate::support::gpu_session::{
    GpuSession, MIB, TOTAL, options, pretended_driver, pretended_gpu, probes,
};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "probe: NVML",
        expected: "NVML: Used: 0.20 GB / Total: 0.78 GB (25.0%), 50 MB ours",
        run: || {
            let driver = pretended_driver();
            driver.control(&format!("compute 0 1 {}", 150 * MIB));
            driver.control(&format!("compute 0 {} {}", std::process::id(), 50 * MIB));
            figures(&GpuSession::on(pretended_gpu(), Some(driver), options()))
        },
    },
    Scenario {
        name: "probe: NVML, a neighbour growing",
        expected: "NVML: Used: 0.10 GB / Total: 0.78 GB (12.5%) NVML: Used: 0.20 GB / Total: 0.78 GB (25.0%)",
        run: || {
            let session = GpuSession::with_driver(options());
            let driver = session.nvml.as_ref().expect("it has one");
            driver.control(&format!("compute 0 1 {}", 100 * MIB));
            let before = figures(&session);
            driver.control(&format!("compute 0 1 {}", 100 * MIB));
            format!("{before} {}", figures(&session))
        },
    },
    Scenario {
        name: "probe: NVML, a MIG instance",
        expected: "NVML: Used: 0.00 GB / Total: 0.20 GB (0.0%)",
        run: || {
            let driver = FakeLibrary::nvml(&[
                &format!(
                    "gpu GPU-aaaaaaaa-0000-0000-0000-000000000001 00000000:01:00.0 {TOTAL} 0 Divided"
                ),
                "divide 0",
                &format!(
                    "mig 0 MIG-cccccccc-0000-0000-0000-000000000003 {} 0",
                    200 * MIB
                ),
            ]);
            figures(&GpuSession::on(pretended_gpu(), Some(driver), options()))
        },
    },
    Scenario {
        name: "probe: CUDA runtime",
        expected: "CUDA runtime: Used: 0.10 GB / Total: 0.78 GB (12.5%)",
        run: || figures(&with_runtime(None)),
    },
    Scenario {
        name: "probe: NVML does not go with the driver",
        expected: "CUDA runtime: Used: 0.10 GB / Total: 0.78 GB (12.5%)",
        run: || {
            let driver = pretended_driver();
            driver.control("fail init 18");
            figures(&with_runtime(Some(driver)))
        },
    },
    Scenario {
        name: "probe: NVML lost in mid-run, then back",
        expected: "NVML CUDA runtime NVML",
        run: || {
            let session = with_runtime(Some(pretended_driver()));
            let driver = session.nvml.as_ref().expect("it has one");
            let sources = ["gone 0 0", "gone 0 15", "gone 0 0"].map(|command| {
                driver.control(command);
                session.look().source.to_string()
            });
            sources.join(" ")
        },
    },
    Scenario {
        name: "probe: GPU removed while running",
        expected: "NVML CUDA runtime",
        run: || {
            let session = with_runtime(Some(pretended_driver()));
            let before = session.look().source;
            session
                .nvml
                .as_ref()
                .expect("it has one")
                .control("gone 0 6");
            format!("{before} {}", session.look().source)
        },
    },
    Scenario {
        name: "probe: backend",
        expected: "backend: Used: 0.04 GB / Total: 0.78 GB (5.0%)",
        run: || figures(&GpuSession::new(options())),
    },
    Scenario {
        name: "probe: none",
        expected: "none: GPU memory stats not available",
        run: || {
            let session = GpuSession::new(options());
            session.fake.control("fail device_mem_info 0 6");
            figures(&session)
        },
    },
    Scenario {
        name: "probe: a CPU",
        expected: "Running on CPU - memory stats not available",
        run: || {
            let fake = FakeBackend::new();
            let options = Options {
                backend_path: Some(fake.path().to_owned()),
                ..options()
            };
            let context =
                sam_mm::context::Context::new(options, None).expect("the options are right");
            context.runtime().expect("the fake backend can be loaded");
            context.memory_info().formatted()
        },
    },
];

/// With a CUDA runtime that says that 100 MB are in use.
fn with_runtime(driver: Option<FakeLibrary>) -> GpuSession {
    let runtime = FakeLibrary::cudart(&[&format!(
        "device 00000000:01:00.0 - {TOTAL} {} Pretended",
        TOTAL - 100 * MIB
    )]);
    let probes = probes(driver.as_ref(), Some(&runtime));
    GpuSession::on(
        pretended_gpu(),
        driver,
        Options {
            probes,
            ..options()
        },
    )
}

fn figures(session: &GpuSession) -> String {
    let info = session.look();
    let process = info.device.and_then(|device| device.process);
    let ours = process.map_or(String::new(), |bytes| format!(", {} MB ours", bytes / MIB));
    format!("{}: {}{ours}", info.source, info.formatted())
}
