//! Where a session is played: a backend with a model, budgets, and pictures.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sam_mm::backend::{DeviceName, DeviceRequest, Precision};
use sam_mm::cache::weighted_lru::Limits;
use sam_mm::context::{Context, Options};
use sam_mm::embeddings::disk::DiskOptions;
use sam_mm::memory::config::MemoryOptions;
use sam_mm::model::{Model, Source};
use sam_mm::prediction::Prediction;
use sam_mm::predictor::predict;
use sam_mm::prompt::Prompt;
use sam_mm::registered_image::RegisteredImage;
use tempfile::TempDir;

use crate::album::{Album, Picture};
use crate::report::PATIENCE;
use crate::support::fake_backend::FakeBackend;
use crate::watch::{self, Held, Lookups};

const MIB: u64 = 1 << 20;
const NOTHING: Limits = Limits {
    entries: 0,
    bytes: 0,
};

/// A backend with a model, budgets, and pictures.
pub struct House {
    /// What it is called in the report.
    pub name: &'static str,
    pub album: Album,
    /// Every so many clicks, an answer is compared with that of a context that keeps nothing.
    pub check_every: usize,
    /// Largest difference of logits that is rounding.
    pub tolerance: f32,
    options: Options,
    source: Source<'static>,
    think: Duration,
    running: Mutex<Running>,
    /// The fake backend that `options` names.
    fake: Option<FakeBackend>,
    /// Another copy of it, for answers to compare with.
    reference: Options,
    _reference_fake: Option<FakeBackend>,
    _folder: TempDir,
}

/// What runs now, and what was seen of it.
#[derive(Default)]
struct Running {
    day: Option<Arc<Day>>,
    /// Of the days before, and of this one until it was looked at last.
    seen: Seen,
}

/// What was seen of a session.
#[derive(Clone, Default)]
pub struct Seen {
    pub peaks: Vec<Held>,
    pub lookups: Lookups,
    /// Images that were encoded ahead of a click.
    pub encoded_ahead: u64,
}

/// A running program: a context with its model.
pub struct Day {
    pub context: Arc<Context>,
    pub model: Arc<Model>,
}

/// A context that keeps nothing and so can mix nothing up.
pub struct Reference {
    day: Day,
}

impl House {
    /// On a pretended GPU: device memory for a few embeddings, host memory for some more.
    pub fn fake() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("model.fake");
        let model =
            "fake-model\ninput_size=32\nmask_size=16\nembedding_bytes=65536\nparameters=1000000\n";
        fs::write(&file, model)?;
        let start = || {
            let fake = FakeBackend::variant(&["FAKE_CUDA_DEVICES=1"]);
            fake.control(&format!("memory total={} other=0", 256 * MIB));
            fake.control("slow encode 4");
            fake
        };
        let (fake, reference) = (start(), start());
        reference.control("slow encode 0");
        let on = |fake: &FakeBackend| Options {
            device: DeviceRequest::Named(DeviceName::Cuda(0)),
            backend_path: Some(fake.path().to_owned()),
            memory: MemoryOptions::default(),
            ..Options::default()
        };
        Ok(Self {
            name: "fake backend on a pretended GPU",
            album: Album::Colors,
            check_every: 5,
            tolerance: 0.0,
            options: Options {
                embedding_cache_bytes: 8 * 65536,
                // The fake backend exports a few bytes for each.
                embedding_cache_entries: 12,
                embedding_disk: Some(on_disk(&folder)),
                ..on(&fake)
            },
            source: Source::File(file),
            think: Duration::from_millis(2),
            running: Mutex::default(),
            reference: keeping_nothing(on(&reference)),
            fake: Some(fake),
            _reference_fake: Some(reference),
            _folder: folder,
        })
    }

    /// The demo model on libtorch, on the CPU.
    pub fn torch(plugin: PathBuf, seed: u64, threads: u32) -> Result<Self> {
        let options = Options {
            device: DeviceRequest::Named(DeviceName::Cpu),
            backend_path: Some(plugin),
            num_threads: threads,
            ..Options::default()
        };
        let folder = tempfile::tempdir()?;
        Ok(Self {
            name: "demo model on libtorch",
            album: Album::Scenes { seed },
            check_every: 25,
            tolerance: 1e-3,
            options: Options {
                embedding_cache_bytes: MIB,
                embedding_disk: Some(on_disk(&folder)),
                ..options.clone()
            },
            source: Source::Demo,
            think: Duration::from_millis(30),
            running: Mutex::default(),
            reference: keeping_nothing(options),
            fake: None,
            _reference_fake: None,
            _folder: folder,
        })
    }

    /// Starts the program.
    pub fn open(&self) -> Result<()> {
        self.running().day = Some(Arc::new(Day::open(&self.options, &self.source)?));
        Ok(())
    }

    /// The running program.
    pub fn day(&self) -> Result<Arc<Day>> {
        let day = self.running().day.clone();
        day.context("no program is running")
    }

    /// Ends the program, as soon as nobody is at work in it, and tells what was seen of it and of those before it.
    pub fn close(&self) -> Result<Seen> {
        self.look();
        let mut running = self.running();
        let day = running.day.take().context("no program is running")?;
        running.seen.lookups.add(&day.context);
        running.seen.encoded_ahead += day.context.prefetch().overview().done;
        let seen = running.seen.clone();
        drop(running);
        let mut day = day;
        let started = Instant::now();
        loop {
            day = match Arc::try_unwrap(day) {
                Ok(_last) => return Ok(seen),
                Err(shared) => shared,
            };
            ensure!(started.elapsed() < PATIENCE, "somebody is still at work");
            thread::yield_now();
        }
    }

    /// Ends the program, and starts it again.
    pub fn next_day(&self) -> Result<()> {
        self.close()?;
        self.open()
    }

    /// Looks at what the caches of the running program hold.
    pub fn look(&self) {
        let mut running = self.running();
        let running = &mut *running;
        if let Some(day) = &running.day {
            watch::look(&day.context, &mut running.seen.peaks);
        }
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A program to compare answers with.
    pub fn reference(&self) -> Result<Reference> {
        Ok(Reference {
            day: Day::open(&self.reference, &self.source)?,
        })
    }

    /// The annotator looks at the screen.
    pub fn think(&self) {
        thread::sleep(self.think);
    }

    /// How often the encoder ran, as the fake backend counted it.
    pub fn encodes_counted_by_backend(&self) -> Option<u64> {
        let fake = self.fake.as_ref()?;
        u64::try_from(fake.value("calls.encode")).ok()
    }
}

fn on_disk(folder: &TempDir) -> DiskOptions {
    DiskOptions {
        folder: folder.path().join("embeddings"),
        limits: Limits {
            entries: usize::MAX,
            bytes: 64 * MIB,
        },
    }
}

fn keeping_nothing(options: Options) -> Options {
    Options {
        embedding_cache_bytes: 0,
        prediction_cache: NOTHING,
        image_cache: NOTHING,
        ..options
    }
}

impl Day {
    fn open(options: &Options, source: &Source<'static>) -> Result<Self> {
        let context = Arc::new(Context::new(options.clone(), None)?);
        let model = Model::load(&context, source.clone(), Precision::Fp32)?;
        Ok(Self {
            context,
            model: Arc::new(model),
        })
    }

    pub fn predict(
        &self,
        image: &RegisteredImage,
        prompt: &Prompt<'_>,
        multimask: bool,
    ) -> Result<Prediction> {
        Ok(predict(&self.model, image, &[*prompt], multimask)?)
    }

    /// Tells that an image comes next.
    pub fn announce(&self, image: &RegisteredImage) -> Result<()> {
        Ok(self.context.prefetch().add(&self.model, image, 0)?)
    }
}

impl Reference {
    pub fn predict(
        &self,
        picture: &Picture,
        prompt: &Prompt<'_>,
        multimask: bool,
    ) -> Result<Prediction> {
        let image = picture.register(&self.day.context)?;
        self.day.predict(&image, prompt, multimask)
    }
}
