//! Random sessions on a pretended GPU of 8 GB with a hungry neighbour. What the library did is judged by the figures of
//! the fake backend, not by the library's.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use sam_mm::backend::{DeviceName, DeviceRequest, Precision};
use sam_mm::context::{Context, Options};
use sam_mm::error::Error;
use sam_mm::memory::config::MemoryOptions;
use sam_mm::model::{Model, Source};
use sam_mm::registered_image::RegisteredImage;
use sam_mm_backend_abi::abi;

use crate::scenario::Outcome;
use crate::support::fake_backend::FakeBackend;
use crate::support::gpu_session::{click, image, memory, probes};

const MIB: u64 = 1 << 20;
const TOTAL: u64 = 8192 * MIB;
const WEIGHTS: u64 = 400 * MIB;
/// Half the weights are no multiple of it, so that the bytes held tell how many there are.
const EMBEDDING: u64 = 60 * MIB;
const ENCODE: u64 = 2048 * MIB;
const DECODE: u64 = 128 * MIB;
const IMAGES: usize = 6;

/// What a sequence is played under.
#[derive(Debug)]
struct Rules {
    fraction: f64,
    growth: bool,
    half: bool,
    cpu: bool,
}

#[derive(Debug)]
enum Step {
    Click(usize),
    /// The neighbour takes so much once the operation has begun: of the function named.
    ClickWhile(usize, &'static str, u64),
    Neighbour(u64),
    Pieces(u64),
    Optimize(bool),
    Forget(usize),
    Ask,
}

#[derive(Default)]
struct Counts {
    clicks: AtomicU64,
    refused: AtomicU64,
    needless: AtomicU64,
    violations: AtomicU64,
    unclean: AtomicU64,
}

/// Plays the sequences, on all processors.
pub fn run(seed: u64, sequences: u64) -> [Outcome; 3] {
    let counts = Counts::default();
    let next = AtomicU64::new(0);
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("model.fake");
    fs::write(&file, checkpoint()).expect("the folder can be written to");
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let fake = FakeBackend::variant(&["FAKE_CUDA_DEVICES=1"]);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= sequences {
                        break;
                    }
                    Sequence::new(seed.wrapping_add(number), &fake, &file, &counts).play();
                }
            });
        }
    });
    let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
    println!(
        "{} predictions in {sequences} sequences, {} refused because nothing could have served them",
        get(&counts.clicks),
        get(&counts.refused) - get(&counts.needless)
    );
    [
        (
            "random: failed predictions that a smaller plan could have served",
            &counts.needless,
        ),
        (
            "random: times that we took more than the budget",
            &counts.violations,
        ),
        (
            "random: sequences that left something behind",
            &counts.unclean,
        ),
    ]
    .map(|(scenario, count)| Outcome {
        scenario: scenario.to_owned(),
        expected: "0".to_owned(),
        got: get(count).to_string(),
    })
}

fn checkpoint() -> String {
    format!(
        "fake-model\ninput_size=16\nmask_size=4\nparameters={}\nembedding_bytes={EMBEDDING}\n\
         encode_workspace={ENCODE}\ndecode_workspace={DECODE}\n",
        WEIGHTS / 4
    )
}

struct Sequence<'a> {
    seed: u64,
    random: fastrand::Rng,
    rules: Rules,
    fake: &'a FakeBackend,
    file: &'a Path,
    counts: &'a Counts,
    history: String,
}

/// The GPU as the fake backend tells it.
#[derive(Clone, Copy, Debug)]
struct Gpu {
    other: u64,
    allocated: u64,
    reserved: u64,
    peak_reserved: u64,
}

impl<'a> Sequence<'a> {
    fn new(seed: u64, fake: &'a FakeBackend, file: &'a Path, counts: &'a Counts) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let fractions = [0.5, 0.7, 0.9, 1.0];
        let rules = Rules {
            fraction: fractions[random.usize(..fractions.len())],
            growth: random.bool(),
            half: random.bool(),
            cpu: random.bool(),
        };
        Self {
            seed,
            random,
            rules,
            fake,
            file,
            counts,
            history: String::new(),
        }
    }

    fn play(mut self) {
        self.fake.control("reset");
        self.neighbour(0);
        let (context, model) = self.open();
        let mut images: Vec<Arc<RegisteredImage>> =
            (0..IMAGES).map(|i| image(&context, 40 * i as u8)).collect();
        for _ in 0..self.random.usize(4..24) {
            let step = self.step();
            let _ = write!(self.history, "\n  {step:?}");
            match step {
                Step::Click(at) => self.click(&model, &images[at]),
                Step::ClickWhile(at, function, bytes) => {
                    self.fake.control(&format!("neighbour {function} {bytes}"));
                    self.click(&model, &images[at]);
                    self.fake.control(&format!("neighbour {function} 0"));
                }
                Step::Neighbour(bytes) => self.neighbour(bytes),
                Step::Pieces(bytes) => self.fake.control(&format!("memory pieces={bytes}")),
                Step::Optimize(force) => drop(context.optimize(force)),
                Step::Forget(at) => images[at] = image(&context, 40 * at as u8),
                Step::Ask => drop(context.memory().report()),
            }
        }
        drop((images, model, context));
        let left = [
            "live.devices",
            "live.models",
            "live.embeddings",
            "memory.allocated",
            "memory.host",
            "violations",
        ];
        if left.iter().any(|name| self.fake.value(name) != 0) {
            self.found(&self.counts.unclean, "something was left behind");
        }
    }

    fn open(&self) -> (Arc<Context>, Arc<Model>) {
        let options = Options {
            device: DeviceRequest::Named(DeviceName::Cuda(0)),
            backend_path: Some(self.fake.path().to_owned()),
            probes: probes(None, None),
            memory: MemoryOptions {
                fraction: Some(self.rules.fraction),
                growth: Some(self.rules.growth),
                ..memory()
            },
            lower_precision: self.rules.half,
            cpu_fallback: self.rules.cpu,
            ..Options::default()
        };
        let context = Arc::new(Context::new(options, None).expect("the options are right"));
        let model = Model::load(
            &context,
            Source::File(self.file.to_owned()),
            Precision::Fp32,
        );
        (
            context,
            Arc::new(model.expect("an empty GPU has room for the model")),
        )
    }

    fn step(&mut self) -> Step {
        let random = &mut self.random;
        let at = random.usize(..IMAGES);
        let bytes = random.u64(..TOTAL / MIB) * MIB;
        match random.u32(..20) {
            0..8 => Step::Click(at),
            8..11 => Step::ClickWhile(at, "encode", bytes),
            11 => Step::ClickWhile(at, "decode", bytes),
            12..16 => Step::Neighbour(bytes),
            16 => Step::Pieces(bytes / 4),
            17 => Step::Optimize(random.bool()),
            18 => Step::Forget(at),
            _ => Step::Ask,
        }
    }

    fn neighbour(&self, bytes: u64) {
        self.fake
            .control(&format!("memory total={TOTAL} other={bytes}"));
    }

    fn gpu(&self) -> Gpu {
        let value = |name: &str| self.fake.value(&format!("memory.{name}")) as u64;
        Gpu {
            other: value("other"),
            allocated: value("allocated"),
            reserved: value("reserved"),
            peak_reserved: value("peak_reserved"),
        }
    }

    fn click(&mut self, model: &Model, image: &RegisteredImage) {
        // The peak is counted from here.
        self.neighbour(self.gpu().other);
        let before = self.gpu();
        let result = click(model, image);
        let after = self.gpu();
        self.counts.clicks.fetch_add(1, Ordering::Relaxed);
        // What we may hold while the neighbour holds what it held when we began.
        let ceiling = self.limit().saturating_sub(before.other);
        if after.peak_reserved > before.reserved.max(ceiling) {
            let what = format!("{before:?} became {after:?}, with {ceiling} allowed");
            self.found(&self.counts.violations, &what);
        }
        if let Err(error) = result {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            if self.could_have_been_served(after) || !is_out_of_memory(&error) {
                let what = format!("{before:?} became {after:?}: {error}");
                self.found(&self.counts.needless, &what);
            }
        }
    }

    fn limit(&self) -> u64 {
        (TOTAL as f64 * self.rules.fraction) as u64
    }

    /// Whether some plan would have fitted into the budget, had we given back everything that can be given back. The
    /// neighbour may have grown meanwhile, which no plan can know: what it and our weights held in the end counts.
    fn could_have_been_served(&self, after: Gpu) -> bool {
        if self.rules.cpu {
            return true;
        }
        let room = self.limit().saturating_sub(after.other);
        let held = weights(after);
        let precisions: &[u64] = if self.rules.half { &[1, 2] } else { &[1] };
        precisions.iter().any(|divisor| {
            let then = WEIGHTS / divisor;
            // The new weights are made beside the old.
            let converting = if then == held { 0 } else { held + then };
            let encoding = then + EMBEDDING + ENCODE / 4 / divisor;
            let decoding = then + EMBEDDING + DECODE / divisor;
            converting.max(encoding).max(decoding) <= room
        })
    }

    fn found(&self, count: &AtomicU64, what: &str) {
        // The first few tell enough.
        if count.fetch_add(1, Ordering::Relaxed) < 3 {
            eprintln!(
                "--seed {} --sequences 1, {:?}: {what}{}",
                self.seed, self.rules, self.history
            );
        }
    }
}

/// Bytes of the weights, in full precision or half: the rest are whole embeddings.
fn weights(gpu: Gpu) -> u64 {
    let full = gpu.allocated >= WEIGHTS && (gpu.allocated - WEIGHTS).is_multiple_of(EMBEDDING);
    if full { WEIGHTS } else { WEIGHTS / 2 }
}

fn is_out_of_memory(error: &Error) -> bool {
    error.code() == abi::SAM_MM_ERR_OUT_OF_MEMORY
}
