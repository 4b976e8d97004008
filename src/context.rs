//! A context: one device, its memory, what is cached on it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::backend::{
    Device, DeviceConfig, DeviceName, DeviceOptions, DeviceRequest, LogLevel, LogSink, MemInfo,
    Operation, OperationHooks, SearchOptions, Trail, open, subscribe_log,
};
use crate::cache::image::ImageCache;
use crate::cache::prediction::PredictionCache;
use crate::cache::weighted_lru::Limits;
use crate::callback::refuse_inside;
use crate::embeddings::disk::DiskOptions;
use crate::embeddings::{EmbeddingOptions, Embeddings};
use crate::error::Error;
use crate::jobs::Jobs;
use crate::jobs::orders::Oversight;
use crate::jobs::turnstile::Turnstile;
use crate::logging::{Level, Log, Sink};
use crate::memory::budget;
use crate::memory::config::{MemoryConfig, MemoryOptions};
use crate::memory::consumer::{Consumer, Rank};
use crate::memory::device::BackendMemory;
use crate::memory::events::EventKind;
use crate::memory::info::MemoryInfo;
use crate::memory::manager::{MemoryManager, OptimizeReport};
use crate::memory::probe::ProbeOptions;
use crate::memory::status::{self, Tier};
use crate::prediction::Decoded;
use crate::prefetch::Prefetcher;

/// Most threads that may be asked for: OpenMP ends the process when it cannot start one.
const MOST_THREADS: u32 = 1024;

/// How a context is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which device.
    pub device: DeviceRequest,
    /// File of the backend plugin; `None` searches for one.
    pub backend_path: Option<PathBuf>,
    /// Threads for work on the CPU; 0 leaves the backend's choice.
    pub num_threads: u32,
    /// Whether GPUs may use TF32 for matrix products.
    pub allow_tf32: bool,
    /// Most bytes of embeddings kept on the device; in host memory where there is no device with a memory of its own.
    pub embedding_cache_bytes: u64,
    /// Most embeddings kept on the device, and in host memory each.
    pub embedding_cache_entries: usize,
    /// Most bytes of embeddings kept in host memory beside a device: of those that left it.
    pub embedding_host_bytes: u64,
    /// Whether embeddings are kept on disk, where, and how much of them.
    pub embedding_disk: Option<DiskOptions>,
    /// Whether embeddings are kept in half precision, in host memory beside a device and on disk.
    pub embedding_compress: bool,
    /// Most predictions kept, and most bytes of them.
    pub prediction_cache: Limits,
    /// How many images resized for display are kept, and their bytes together.
    pub image_cache: Limits,
    /// Thresholds, budget and monitor.
    pub memory: MemoryOptions,
    /// How the memory of a GPU is read.
    pub probes: ProbeOptions,
    /// Whether a model may be brought to half precision when memory runs short.
    pub lower_precision: bool,
    /// Whether an operation may be run on the CPU when the GPU has no room for it.
    pub cpu_fallback: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            device: DeviceRequest::Auto,
            backend_path: None,
            num_threads: 0,
            allow_tf32: true,
            embedding_cache_bytes: 1 << 30,
            embedding_cache_entries: usize::MAX,
            embedding_host_bytes: 1 << 30,
            embedding_disk: None,
            embedding_compress: false,
            prediction_cache: Limits {
                entries: 50,
                bytes: 64 << 20,
            },
            // Ten of the largest that the default scaling makes, 2048 × 2048 RGB, are 126 MB.
            image_cache: Limits {
                entries: 10,
                bytes: 256 << 20,
            },
            memory: MemoryOptions::default(),
            probes: ProbeOptions::default(),
            lower_precision: true,
            cpu_fallback: true,
        }
    }
}

/// The backend a context runs on and the device it opened there.
pub struct Runtime {
    device: Device,
    device_name: String,
    trail: String,
    found_by: Trail,
}

/// One device, its memory, what is cached on it. Used from many threads at once.
pub struct Context {
    options: Options,
    log: Arc<ContextLog>,
    poisoned: AtomicBool,
    /// Opened by the first call that needs it, so that a context can be had on any machine.
    runtime: OnceLock<Arc<Runtime>>,
    /// Held while that happens; questions about memory do not wait for it.
    opening: Mutex<()>,
    /// The CPU beside a GPU, opened when something has to run there.
    cpu: Mutex<Option<Device>>,
    memory: Arc<MemoryManager>,
    embeddings: Embeddings,
    predictions: Arc<PredictionCache<Decoded>>,
    images: Arc<ImageCache>,
    turnstile: Turnstile,
    jobs: Jobs,
    prefetch: Prefetcher,
    next_id: AtomicU64,
}

impl Context {
    /// A context that has touched nothing yet.
    pub fn new(options: Options, sink: Option<(Level, Sink)>) -> Result<Self, Error> {
        if options.num_threads > MOST_THREADS {
            let reason = format!(
                "is {}; it must be at most {MOST_THREADS}, and is best the number of cores",
                options.num_threads
            );
            return Err(Error::invalid_argument("num_threads", reason));
        }
        let (config, warnings) = MemoryConfig::from_environment(&options.memory)?;
        let log = Arc::new(ContextLog::default());
        if sink.is_some() {
            log.0.set_sink(sink)?;
        }
        let backend_log: Arc<dyn LogSink> = log.clone();
        subscribe_log(&backend_log);
        let observer = Arc::clone(&log);
        let memory = MemoryManager::new(config, warnings, options.probes.clone(), move |event| {
            observer.write_event(event);
        });
        let memory = Arc::new(memory);
        let embeddings = Self::embeddings_of(&options, &memory, &log);
        embeddings.register(memory.consumers());
        let predictions = Arc::new(PredictionCache::new(options.prediction_cache));
        let consumer: Arc<dyn Consumer> = predictions.clone();
        memory.consumers().register(Rank::Predictions, &consumer);
        let images = Arc::new(ImageCache::new(options.image_cache));
        let consumer: Arc<dyn Consumer> = images.clone();
        memory
            .consumers()
            .register(Rank::ProcessedImages, &consumer);
        Ok(Self {
            embeddings,
            images,
            predictions,
            memory,
            cpu: Mutex::new(None),
            options,
            log,
            poisoned: AtomicBool::new(false),
            runtime: OnceLock::new(),
            opening: Mutex::new(()),
            turnstile: Turnstile::default(),
            jobs: Jobs::default(),
            prefetch: Prefetcher::default(),
            next_id: AtomicU64::new(1),
        })
    }

    fn embeddings_of(
        options: &Options,
        memory: &Arc<MemoryManager>,
        log: &Arc<ContextLog>,
    ) -> Embeddings {
        let limits = |bytes| Limits {
            entries: options.embedding_cache_entries,
            bytes,
        };
        let embedding_options = EmbeddingOptions {
            device: limits(options.embedding_cache_bytes),
            host: limits(options.embedding_host_bytes),
            disk: options.embedding_disk.clone(),
            compress: options.embedding_compress,
        };
        let (memory, log) = (Arc::downgrade(memory), Arc::clone(log));
        let host_has_room = move || {
            let memory = memory.upgrade();
            memory.is_some_and(|memory| memory.should_cache(Tier::Host).is_ok())
        };
        Embeddings::new(
            &embedding_options,
            Box::new(host_has_room),
            Box::new(move |line| log.0.write(Level::Warn, line)),
        )
    }

    /// Where this context writes what happens.
    pub fn log(&self) -> &Log {
        &self.log.0
    }

    /// How it was set up.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The memory manager.
    pub fn memory(&self) -> &Arc<MemoryManager> {
        &self.memory
    }

    /// What the backend can ask of this context while it works on one operation in the memory of `tier`.
    pub(crate) fn operation(&self, tier: Tier, oversight: Oversight) -> Operation {
        Operation::new(Arc::new(Hooks {
            log: Arc::clone(&self.log),
            memory: Arc::clone(&self.memory),
            tier,
            oversight,
        }))
    }

    /// The line of those who want to use its models.
    pub fn turnstile(&self) -> &Turnstile {
        &self.turnstile
    }

    /// Its jobs, and the progress of all work.
    pub fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    /// What is encoded before anybody waits for it.
    pub fn prefetch(&self) -> &Prefetcher {
        &self.prefetch
    }

    /// Cancels everything that goes on in the background and ends its threads. What was made from the context stays usable.
    pub fn shut_down(&self) {
        self.prefetch.close();
        self.jobs.close();
    }

    /// A panic happened while this context was in use: nothing is known about its state any more.
    pub fn poison(&self) {
        self.poisoned.store(true, Ordering::Relaxed);
    }

    /// Whether [`Context::poison`] was called.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Relaxed)
    }

    /// The embeddings kept.
    pub fn embeddings(&self) -> &Embeddings {
        &self.embeddings
    }

    /// The predictions kept.
    pub fn predictions(&self) -> &PredictionCache<Decoded> {
        &self.predictions
    }

    /// The images resized for display that are kept.
    pub fn images(&self) -> &ImageCache {
        &self.images
    }

    /// A number that nothing else in this context has.
    pub(crate) fn fresh_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// The backend and its device; finds, loads and opens them the first time. A failure is not remembered, so that a
    /// user who has installed what was missing can try again.
    pub fn runtime(&self) -> Result<Arc<Runtime>, Error> {
        if let Some(open) = self.runtime.get() {
            return Ok(Arc::clone(open));
        }
        refuse_inside("opening a backend")?;
        let turn = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = self.runtime.get() {
            return Ok(Arc::clone(open));
        }
        let opened = self.open_runtime().map(|opened| {
            let opened = Arc::new(opened);
            Arc::clone(self.runtime.get_or_init(|| opened))
        });
        // Who receives the line may ask on what it runs, on this thread or by way of another.
        drop(turn);
        match &opened {
            Ok(runtime) => self.tell_runtime(runtime),
            Err(Error::Backend(error)) => self.tell_search(error.trail()),
            Err(_) => {}
        }
        opened
    }

    fn tell_search(&self, trail: Option<&Trail>) {
        for line in trail.into_iter().flat_map(Trail::lines) {
            let told = || format!("search for a backend: {line}");
            self.log().debug(told);
        }
    }

    fn tell_runtime(&self, runtime: &Runtime) {
        self.tell_search(Some(&runtime.found_by));
        for attempt in runtime.found_by.named_in_vain() {
            let line = format!(
                "{attempt}; the {} backend at {} is used instead",
                runtime.backend_name(),
                runtime.backend_path().display()
            );
            self.log().write(Level::Warn, &line);
        }
        let line = format!(
            "running on {} with {} {}",
            runtime.device_name(),
            runtime.backend_name(),
            runtime.backend_version()
        );
        self.log().write(Level::Info, &line);
    }

    fn open_runtime(&self) -> Result<Runtime, Error> {
        let search = SearchOptions {
            explicit: self.options.backend_path.clone(),
        };
        let options = DeviceOptions {
            device: self.options.device,
            num_threads: Some(self.options.num_threads).filter(|&threads| threads > 0),
            memory_limit_bytes: None,
            allow_tf32: self.options.allow_tf32,
        };
        let opened = open(&search, &options)?;
        let device = self.within_budget(opened.device)?;
        self.memory.attach(Arc::new(WatchedDevice {
            device: device.clone(),
            log: Arc::clone(&self.log),
        }));
        if self.memory.has_device() {
            self.embeddings.has_device();
        }
        Ok(Runtime {
            device_name: device.name().to_string(),
            device,
            trail: opened.trail.to_string(),
            found_by: opened.trail,
        })
    }

    /// With memory growth disabled the limit is strict, and the allocator itself is told of it.
    fn within_budget(&self, device: Device) -> Result<Device, Error> {
        let config = self.memory.config();
        if config.growth || device.name() == DeviceName::Cpu {
            return Ok(device);
        }
        let Some(seen) = device.mem_info()?.device else {
            let line = "the memory limit cannot be set on the allocator: the backend does not tell what the device has";
            self.log().write(Level::Warn, line);
            return Ok(device);
        };
        let limit = budget::limit(seen.total, config.fraction);
        Ok(device.open_another(&self.device_config(device.name(), Some(limit)))?)
    }

    fn device_config(&self, device: DeviceName, memory_limit_bytes: Option<u64>) -> DeviceConfig {
        DeviceConfig {
            device,
            num_threads: Some(self.options.num_threads).filter(|&threads| threads > 0),
            memory_limit_bytes,
            allow_tf32: self.options.allow_tf32,
        }
    }

    /// The CPU beside the context's GPU, of the same backend.
    pub(crate) fn cpu_device(&self) -> Result<Device, Error> {
        let runtime = self.runtime()?;
        let mut cpu = self.cpu.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = &*cpu {
            return Ok(open.clone());
        }
        let config = self.device_config(DeviceName::Cpu, None);
        let opened = runtime.device().open_another(&config)?;
        *cpu = Some(opened.clone());
        Ok(opened)
    }

    /// What is known about memory now. Never opens a backend, never fails.
    pub fn memory_info(&self) -> MemoryInfo {
        self.memory.info()
    }

    /// Gives memory back when it runs short, or in any case with `force`.
    pub fn optimize(&self, force: bool) -> OptimizeReport {
        self.memory.optimize(force)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        self.shut_down();
        self.memory.stop_monitor();
    }
}

impl Runtime {
    /// The open device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Short name of the backend, such as `torch`.
    pub fn backend_name(&self) -> &str {
        self.device.plugin().name()
    }

    /// Version of the plugin and of what it stands on.
    pub fn backend_version(&self) -> &str {
        self.device.plugin().version()
    }

    /// File of the plugin.
    pub fn backend_path(&self) -> &Path {
        self.device.plugin().path()
    }

    /// `cpu` or `cuda:N`.
    pub fn device_name(&self) -> &str {
        &self.device_name
    }

    /// Every file that was tried, a line each, and what came of it.
    pub fn trail(&self) -> &str {
        &self.trail
    }
}

/// The log of a context, as backends see it.
#[derive(Default)]
struct ContextLog(Log);

impl ContextLog {
    fn write_event(&self, event: &EventKind) {
        let level = match event {
            EventKind::ConfigWarning(_)
            | EventKind::PlanDowngraded { .. }
            | EventKind::RecoveryRung { .. }
            | EventKind::Recovery(_)
            | EventKind::ProbeLost { .. } => Level::Warn,
            EventKind::StatusChanged { crossing, .. } if crossing.to > status::Level::Ok => {
                Level::Warn
            }
            _ => Level::Info,
        };
        self.0.write(level, &event.to_string());
    }

    fn write_from_backend(&self, level: LogLevel, message: &str) {
        let level = match level {
            LogLevel::Error => Level::Error,
            LogLevel::Warn => Level::Warn,
            LogLevel::Info => Level::Info,
            LogLevel::Debug => Level::Debug,
        };
        self.0.write(level, message);
    }
}

impl LogSink for ContextLog {
    fn write(&self, level: LogLevel, message: &str) {
        self.write_from_backend(level, message);
    }
}

/// What a backend can ask while it works.
struct Hooks {
    log: Arc<ContextLog>,
    memory: Arc<MemoryManager>,
    tier: Tier,
    oversight: Oversight,
}

impl OperationHooks for Hooks {
    fn is_cancelled(&self) -> bool {
        self.oversight.should_stop()
    }

    fn before_allocate(&self, bytes: u64) -> bool {
        match self.tier {
            Tier::Device if self.oversight.is_modest() => self.memory.has_room(bytes),
            Tier::Device => self.memory.admit(bytes),
            Tier::Host => true,
        }
    }

    fn log(&self, level: LogLevel, message: &str) {
        self.log.write_from_backend(level, message);
    }
}

/// The open device, as the memory manager sees it.
struct WatchedDevice {
    device: Device,
    log: Arc<ContextLog>,
}

impl WatchedDevice {
    fn told<T>(&self, result: Result<T, crate::backend::BackendError>) -> Result<T, String> {
        result.map_err(|error| {
            let error = error.to_string();
            let line = format!("the backend failed at its memory: {error}");
            self.log.0.write(Level::Warn, &line);
            error
        })
    }
}

impl BackendMemory for WatchedDevice {
    fn name(&self) -> DeviceName {
        self.device.name()
    }

    fn mem_info(&self) -> Result<MemInfo, String> {
        self.told(self.device.mem_info())
    }

    fn trim(&self) -> Result<u64, String> {
        self.told(self.device.trim())
    }
}
