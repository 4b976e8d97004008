//! The decisions about memory at work together, against a scripted GPU of 8 GB with a hungry neighbour.

use std::cell::RefCell;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use sam_mm::backend::{AllocatorMemory, Attention, Estimate, Precision};
use sam_mm::memory::analytics::Analytics;
use sam_mm::memory::budget::{self, Room};
use sam_mm::memory::config::MemoryConfig;
use sam_mm::memory::consumer::{Consumer, Consumers, Rank};
use sam_mm::memory::figures::{Figures, Reading};
use sam_mm::memory::monitor::{Action, MonitorPolicy};
use sam_mm::memory::optimize::{Shortage, optimize, optimize_unused};
use sam_mm::memory::plan::{Abilities, Candidate, Choice, Supply, Way, Work, choose, ways};
use sam_mm::memory::recovery::{self, Need, Rungs};
use sam_mm::memory::status::{Tier, should_cache};

const MB: u64 = 1 << 20;
const TOTAL: u64 = 8192 * MB;
const EMBEDDING: u64 = 4 * MB;

/// Bytes on the device, in use and kept by our allocator for reuse.
#[derive(Default)]
struct Gpu {
    neighbour: u64,
    weights: u64,
    cached: u64,
    idle: u64,
}

impl Gpu {
    fn ours(&self) -> u64 {
        self.weights + self.cached + self.idle
    }

    fn free(&self) -> u64 {
        TOTAL - self.neighbour - self.ours()
    }

    fn figures(&self) -> Figures {
        Figures {
            total: TOTAL,
            used: TOTAL - self.free(),
            free: self.free(),
            process: Some(self.ours()),
        }
    }

    fn allocator(&self) -> Option<AllocatorMemory> {
        Some(AllocatorMemory {
            allocated: self.weights + self.cached,
            reserved: self.ours(),
        })
    }

    fn room(&self, config: &MemoryConfig) -> Room {
        budget::room(&self.figures(), self.allocator(), config)
    }

    /// Allocates a workspace and gives it back: afterwards the allocator keeps it.
    fn compute(&mut self, bytes: u64) -> Result<(), OutOfMemory> {
        let wanted = bytes.saturating_sub(self.idle);
        if wanted > self.free() {
            return Err(OutOfMemory {
                requested: bytes,
                free: self.free() + self.idle,
            });
        }
        self.idle += wanted;
        Ok(())
    }

    fn keep(&mut self, bytes: u64) {
        self.idle -= bytes;
        self.cached += bytes;
    }
}

#[derive(Debug, thiserror::Error)]
#[error("out of memory: {requested} of {free}")]
struct OutOfMemory {
    requested: u64,
    free: u64,
}

/// Embeddings on the device.
struct Embeddings(Arc<Mutex<Gpu>>);

impl Consumer for Embeddings {
    fn name(&self) -> &str {
        "embedding cache"
    }

    fn tier(&self) -> Tier {
        Tier::Device
    }

    fn bytes(&self) -> u64 {
        self.0.lock().unwrap().cached
    }

    fn release(&self, want: u64) -> u64 {
        let mut gpu = self.0.lock().unwrap();
        let freed = want
            .div_ceil(EMBEDDING)
            .saturating_mul(EMBEDDING)
            .min(gpu.cached);
        gpu.cached -= freed;
        gpu.idle += freed;
        freed
    }
}

/// A session of one context.
struct Session {
    gpu: Arc<Mutex<Gpu>>,
    consumers: Consumers,
    _embeddings: Arc<dyn Consumer>,
    config: MemoryConfig,
    analytics: Analytics,
    monitor: MonitorPolicy,
    cpu: bool,
    now: Duration,
}

impl Session {
    fn new(fraction: f64, cpu: bool) -> Self {
        let gpu = Arc::new(Mutex::new(Gpu {
            weights: 400 * MB,
            ..Default::default()
        }));
        let embeddings: Arc<dyn Consumer> = Arc::new(Embeddings(Arc::clone(&gpu)));
        let consumers = Consumers::default();
        consumers.register(Rank::Embeddings, &embeddings);
        let config = MemoryConfig {
            fraction,
            ..Default::default()
        };
        Self {
            gpu,
            consumers,
            _embeddings: embeddings,
            analytics: Analytics::default(),
            monitor: MonitorPolicy::new(config.monitor.clone()),
            config,
            cpu,
            now: Duration::ZERO,
        }
    }

    fn room(&self) -> Room {
        self.gpu.lock().unwrap().room(&self.config)
    }

    fn reading(&self) -> Reading {
        Reading::Known(self.gpu.lock().unwrap().figures())
    }

    fn empty_allocator(&self) -> u64 {
        std::mem::take(&mut self.gpu.lock().unwrap().idle)
    }

    fn candidates(&self, precision: Precision) -> Vec<Candidate> {
        let abilities = Abilities {
            precision,
            lower: vec![Precision::Fp16],
            chunked: true,
            device: true,
            cpu: self.cpu,
        };
        ways(&abilities, 0)
            .into_iter()
            .map(|way| Candidate::new(way, Work::Encode, &estimate(way), 0))
            .collect()
    }

    fn plan(&self) -> Option<Choice> {
        let supply = Supply {
            device: Some(self.room()),
            device_releasable: self.consumers.releasable(Tier::Device),
            host: Some(64 << 30),
            host_releasable: 0,
        };
        choose(&self.candidates(Precision::Fp32), &supply).ok()
    }

    /// Encodes an image: plan, make room, run and recover, keep. The neighbour may take memory between the plan and the
    /// run. `None` when it failed.
    fn encode(&self, neighbour_takes: u64) -> Option<Way> {
        let choice = self.plan()?;
        if choice.release > 0 {
            self.consumers.release(choice.way.tier, choice.release);
            self.empty_allocator();
        }
        self.neighbour_grows(neighbour_takes);
        let mut ladder = Ladder {
            session: self,
            candidates: self.candidates(Precision::Fp32),
        };
        let run = recovery::run(
            "encode",
            choice.way,
            &mut ladder,
            &|| self.now,
            |error: &OutOfMemory| {
                Some(Need {
                    requested: Some(error.requested),
                    free: Some(error.free),
                })
            },
            |attempt| match attempt.plan.tier {
                Tier::Host => Ok(()),
                Tier::Device => self.gpu.lock().unwrap().compute(need(*attempt.plan)),
            },
        );
        self.analytics.operation(run.result.is_ok());
        if let Some(record) = run.recovery {
            self.analytics.recovery(record);
        }
        run.result.ok()?;
        let host = sam_mm::memory::host::HostMemory {
            total: 100,
            available: 50,
            process: 1,
        };
        if run.plan.tier == Tier::Device
            && should_cache(&self.reading(), Some(&host), &self.config).is_ok()
        {
            self.gpu.lock().unwrap().keep(EMBEDDING);
        }
        Some(run.plan)
    }

    fn neighbour_grows(&self, bytes: u64) {
        let mut gpu = self.gpu.lock().unwrap();
        gpu.neighbour += bytes.min(gpu.free());
    }

    fn tick(&mut self) -> usize {
        self.now += self.config.monitor.period;
        let reading = self.reading();
        self.analytics.read(&reading, None, None, &self.config);
        let releasable = self.consumers.releasable(Tier::Device) + self.gpu.lock().unwrap().idle;
        let actions = self
            .monitor
            .tick(self.now, reading.figures(), 0, releasable);
        for action in &actions {
            assert!(matches!(action, Action::OptimizeDevice { .. }));
            let freed = optimize_unused(&self.consumers, || self.empty_allocator()).freed();
            self.analytics.optimized(freed);
            self.monitor.done(self.now, action, freed, TOTAL);
        }
        actions.len()
    }
}

fn estimate(way: Way) -> Estimate {
    let full = match way.plan.attention {
        Attention::Full => 5000 * MB,
        Attention::Chunked => 1200 * MB,
    };
    let half = if way.plan.precision == Precision::Fp32 {
        1
    } else {
        2
    };
    Estimate {
        embedding_bytes: EMBEDDING,
        encode_workspace_bytes: full / half,
        decode_workspace_bytes: 0,
    }
}

fn need(way: Way) -> u64 {
    Candidate::new(way, Work::Encode, &estimate(way), 0).needed
}

struct Ladder<'a> {
    session: &'a Session,
    candidates: Vec<Candidate>,
}

impl Rungs for Ladder<'_> {
    type Plan = Way;

    fn release_caches(&mut self, want: u64) -> u64 {
        let released = self.session.consumers.release(Tier::Device, want);
        released.iter().map(|share| share.bytes).sum()
    }

    fn empty_allocator(&mut self) -> u64 {
        self.session.empty_allocator()
    }

    fn cheaper_plan(&mut self, plan: &Way) -> Option<Way> {
        let cheaper = self
            .candidates
            .iter()
            .find(|candidate| candidate.way.tier == Tier::Device && candidate.needed < need(*plan));
        cheaper.map(|candidate| candidate.way)
    }

    fn cpu_plan(&mut self, plan: &Way) -> Option<Way> {
        let cpu = self
            .candidates
            .iter()
            .find(|candidate| candidate.way.tier == Tier::Host);
        cpu.map(|candidate| candidate.way).filter(|way| way != plan)
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Encode { neighbour_takes: u64 },
    NeighbourTakes(u64),
    NeighbourGives(u64),
    Optimize { force: bool },
    Tick,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Encode { neighbour_takes: 0 }),
        2 => (0..4096_u64).prop_map(|mb| Step::Encode { neighbour_takes: mb * MB }),
        2 => (0..4096_u64).prop_map(|mb| Step::NeighbourTakes(mb * MB)),
        2 => (0..8192_u64).prop_map(|mb| Step::NeighbourGives(mb * MB)),
        1 => any::<bool>().prop_map(|force| Step::Optimize { force }),
        4 => Just(Step::Tick),
    ];
    proptest::collection::vec(step, 1..80)
}

proptest! {
    #[test]
    fn with_the_cpu_allowed_no_encode_fails_whatever_the_neighbour_does(steps in steps(), fraction in 0.0..=1.0_f64) {
        let mut session = Session::new(fraction, true);
        for step in steps {
            if let Step::Encode { neighbour_takes } = step {
                prop_assert!(session.encode(neighbour_takes).is_some());
            } else {
                apply(&mut session, step);
            }
        }
        let report = session.analytics.report(&session.reading(), None, session.consumers.shares(), &session.config);
        prop_assert_eq!(report.operations.failed, 0);
        prop_assert_eq!(report.recoveries.attempted, report.recoveries.recovered);
    }

    #[test]
    fn what_fails_on_the_device_alone_no_smaller_plan_could_have_served(steps in steps(), fraction in 0.5..=1.0_f64) {
        let mut session = Session::new(fraction, false);
        let smallest = session.candidates(Precision::Fp32).iter().map(|candidate| candidate.needed).min().unwrap();
        for step in steps {
            if let Step::Encode { neighbour_takes } = step {
                if session.encode(neighbour_takes).is_none() {
                    let room = session.room();
                    let all_of_it = room.available() + session.consumers.releasable(Tier::Device);
                    prop_assert!(all_of_it < smallest || room.deficit(smallest) > session.consumers.releasable(Tier::Device));
                }
            } else {
                apply(&mut session, step);
            }
        }
    }

    #[test]
    fn while_the_neighbour_holds_still_we_never_cross_the_budget(
        neighbour in 0..8192_u64, encodes in 1..60_usize, fraction in 0.05..=1.0_f64,
    ) {
        let session = Session::new(fraction, true);
        session.neighbour_grows(neighbour * MB);
        let before = session.room().excess();
        for _ in 0..encodes {
            session.encode(0);
            prop_assert!(session.room().excess() <= before, "the weights alone may be too much, nothing else");
        }
    }

    #[test]
    fn defect_15_a_gpu_held_full_by_the_neighbour_keeps_our_embeddings(ticks in 1..500_usize) {
        let mut session = Session::new(1.0, true);
        session.encode(0);
        session.empty_allocator();
        session.neighbour_grows(TOTAL);
        let cached = session.consumers.releasable(Tier::Device);
        let acted: usize = (0..ticks).map(|_| session.tick()).sum();
        prop_assert!(acted <= 8, "{} times in {} ticks", acted, ticks);
        prop_assert_eq!(session.consumers.releasable(Tier::Device), cached);
    }
}

fn apply(session: &mut Session, step: Step) {
    match step {
        Step::Encode { neighbour_takes } => {
            session.encode(neighbour_takes);
        }
        Step::NeighbourTakes(bytes) => session.neighbour_grows(bytes),
        Step::NeighbourGives(bytes) => {
            let mut gpu = session.gpu.lock().unwrap();
            gpu.neighbour = gpu.neighbour.saturating_sub(bytes);
        }
        Step::Optimize { force } => {
            let allocator = session.gpu.lock().unwrap().allocator();
            let wanted = if force {
                Some(Shortage::ALL)
            } else {
                Shortage::of(&session.reading(), allocator, None, &session.config)
            };
            if let Some(shortage) = wanted {
                let before = session.gpu.lock().unwrap().ours();
                let done = optimize(&shortage, &session.consumers, || session.empty_allocator());
                assert_eq!(before - session.gpu.lock().unwrap().ours(), done.allocator);
            }
        }
        Step::Tick => {
            session.tick();
        }
    }
}

#[test]
fn as_the_neighbour_grows_the_plan_gets_smaller_and_comes_back_when_it_goes() {
    let session = Session::new(1.0, true);
    let encoded = RefCell::new(Vec::new());
    let encode = |neighbour: u64| {
        session.empty_allocator();
        session.gpu.lock().unwrap().neighbour = neighbour * MB;
        let way = session.encode(0).unwrap().to_string();
        encoded.borrow_mut().push(way);
    };
    [0, 4000, 6800, 7600, 0].into_iter().for_each(encode);
    assert_eq!(
        encoded.into_inner(),
        [
            "full attention in fp32 on the GPU",
            "chunked attention in fp32 on the GPU",
            "chunked attention in fp16 on the GPU",
            "full attention in fp32 on the CPU",
            "full attention in fp32 on the GPU",
        ]
    );
}

#[test]
fn a_neighbour_that_takes_the_memory_between_plan_and_run_costs_a_rung_and_not_the_result() {
    let session = Session::new(1.0, true);
    let way = session.encode(5000 * MB).unwrap();
    assert_eq!(way.to_string(), "chunked attention in fp32 on the GPU");
    let report = session
        .analytics
        .report(&session.reading(), None, Vec::new(), &session.config);
    assert_eq!(
        (report.recoveries.attempted, report.recoveries.recovered),
        (1, 1)
    );
}
