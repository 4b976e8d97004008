//! A context: one device, its memory, what is cached on it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::backend::{
    Device, DeviceOptions, DeviceRequest, Embedding, LogLevel, LogSink, Operation, OperationHooks,
    SearchOptions, open, subscribe_log,
};
use crate::cache::embedding::EmbeddingCache;
use crate::error::Error;
use crate::logging::{Level, Log, Sink};
use crate::memory::host::HostMemory;
use crate::memory::info::{MemoryInfo, Source, utilization};

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
    /// Most bytes of embeddings kept.
    pub embedding_cache_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            device: DeviceRequest::Auto,
            backend_path: None,
            num_threads: 0,
            allow_tf32: true,
            embedding_cache_bytes: 1 << 30,
        }
    }
}

/// Shares of memory in use from which `optimize` acts without being forced.
const DEVICE_WARNING: f64 = 0.8;
const HOST_WARNING: f64 = 0.9;

/// What `optimize` did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OptimizeReport {
    /// Whether there was need, or force.
    pub performed: bool,
    /// Bytes of embeddings dropped from the cache.
    pub embedding_cache_bytes: u64,
    /// Bytes the backend's allocator gave back to the device.
    pub allocator_bytes: u64,
}

/// The backend a context runs on and the device it opened there.
pub struct Runtime {
    device: Device,
    device_name: String,
    trail: String,
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
    embeddings: EmbeddingCache<Embedding>,
    next_id: AtomicU64,
}

impl Context {
    /// A context that has touched nothing yet.
    pub fn new(options: Options, sink: Option<(Level, Sink)>) -> Result<Self, Error> {
        let log = Arc::new(ContextLog::default());
        log.0.set_sink(sink)?;
        let backend_log: Arc<dyn LogSink> = log.clone();
        subscribe_log(&backend_log);
        Ok(Self {
            embeddings: EmbeddingCache::new(options.embedding_cache_bytes),
            options,
            log,
            poisoned: AtomicBool::new(false),
            runtime: OnceLock::new(),
            opening: Mutex::new(()),
            next_id: AtomicU64::new(1),
        })
    }

    /// Where this context writes what happens.
    pub fn log(&self) -> &Log {
        &self.log.0
    }

    /// What the backend can ask of this context while it works on one operation.
    pub(crate) fn operation(&self) -> Operation {
        Operation::new(self.log.clone())
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
    pub fn embeddings(&self) -> &EmbeddingCache<Embedding> {
        &self.embeddings
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
        let _turn = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = self.runtime.get() {
            return Ok(Arc::clone(open));
        }
        let opened = Arc::new(self.open_runtime()?);
        Ok(Arc::clone(self.runtime.get_or_init(|| opened)))
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
        let plugin = opened.device.plugin();
        let line = format!(
            "running on {} with {} {}",
            opened.device.name(),
            plugin.name(),
            plugin.version()
        );
        self.log().write(Level::Info, &line);
        Ok(Runtime {
            device_name: opened.device.name().to_string(),
            device: opened.device,
            trail: opened.trail.to_string(),
        })
    }

    /// What is known about memory now. Never opens a backend, never fails.
    pub fn memory_info(&self) -> MemoryInfo {
        let figures = self
            .open_device()
            .and_then(|device| match device.mem_info() {
                Ok(figures) => Some(figures),
                Err(error) => {
                    self.log().write(
                        Level::Warn,
                        &format!("the backend did not tell its memory: {error}"),
                    );
                    None
                }
            });
        let device = figures.and_then(|figures| figures.device);
        MemoryInfo {
            source: if device.is_some() {
                Source::Backend
            } else {
                Source::None
            },
            device,
            allocator: figures.and_then(|figures| figures.allocator),
            host: HostMemory::read(),
            embedding_cache: self.embeddings.bytes(),
        }
    }

    /// Gives memory back when it runs short, or in any case with `force`.
    pub fn optimize(&self, force: bool) -> Result<OptimizeReport, Error> {
        if !force && !self.memory_runs_short() {
            return Ok(OptimizeReport::default());
        }
        let embedding_cache_bytes = self.embeddings.remove_where(|_| true);
        let allocator_bytes = match self.open_device() {
            Some(device) => device.trim()?,
            None => 0,
        };
        let report = OptimizeReport {
            performed: true,
            embedding_cache_bytes,
            allocator_bytes,
        };
        self.log().write(
            Level::Info,
            &format!(
                "memory optimization performed: {embedding_cache_bytes} bytes of embeddings dropped, {allocator_bytes} \
                 bytes given back by the allocator"
            ),
        );
        Ok(report)
    }

    fn memory_runs_short(&self) -> bool {
        let info = self.memory_info();
        info.device
            .is_some_and(|device| utilization(&device) >= DEVICE_WARNING)
            || info
                .host
                .is_some_and(|host| host.utilization() >= HOST_WARNING)
    }

    fn open_device(&self) -> Option<&Device> {
        self.runtime.get().map(|runtime| &runtime.device)
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

impl OperationHooks for ContextLog {
    fn log(&self, level: LogLevel, message: &str) {
        self.write_from_backend(level, message);
    }
}
