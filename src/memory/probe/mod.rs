//! Probes: what is known about the memory of a device, from the best source that answers.
//!
//! [`DeviceProbes`] asks NVML, then the CUDA runtime, then takes what the backend said, and names in the [`Reading`]
//! which of them answered and why those before it did not. It never fails: at the worst it answers [`Source::None`]
//! without figures, never with zeros. A source that failed is left alone for a while and then tried again, so that one
//! that comes back is used again.
//!
//! A reading takes as long as the driver takes, which can be long. [`Snapshot`] keeps the last one for those who must
//! not wait.
//!
//! Neither library is linked: both are opened at run time, by the paths in [`ProbeOptions`] or by the names that drivers
//! and toolkits give them.

mod cuda_runtime;
mod figures;
mod nvml;
mod retried;
pub mod snapshot;
pub mod visible_devices;

use std::path::PathBuf;
use std::time::Instant;

pub use figures::DeviceFigures;
pub use retried::Backoff;
pub use snapshot::{Answer, Snapshot};
pub use visible_devices::CudaEnvironment;

use cuda_runtime::CudaRuntime;
use nvml::{NvmlDevice, NvmlReading};
use retried::Retried;
use visible_devices::{CudaIdentity, Gpu, resolve};

/// What reported the memory of a device, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The NVIDIA Management Library, which also knows what this process holds.
    Nvml,
    /// The CUDA runtime (`cudaMemGetInfo`).
    CudaRuntime,
    /// The backend.
    Backend,
    /// Nothing did.
    None,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nvml => "NVML",
            Self::CudaRuntime => "CUDA runtime",
            Self::Backend => "backend",
            Self::None => "none",
        })
    }
}

/// Why a source told nothing, or less than it could.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeFailure {
    /// The source.
    pub source: Source,
    /// What it said, and what to do where that is known.
    pub reason: String,
}

/// What is known about a device at one moment. What is not known is `None`, never 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// What reported `device`.
    pub source: Source,
    /// The memory of the device, by all processes.
    pub device: Option<DeviceFigures>,
    /// Bytes of it that this process holds; only NVML knows.
    pub process: Option<u64>,
    /// Name of the product.
    pub name: Option<String>,
    /// NVML's UUID of the GPU or MIG instance.
    pub uuid: Option<String>,
    /// What better sources said, and why `process` is not known.
    pub failures: Vec<ProbeFailure>,
    /// When it was asked.
    pub taken: Instant,
}

/// How probes are opened.
#[derive(Clone, Debug)]
pub struct ProbeOptions {
    /// File of NVML; `None`: `libnvidia-ml.so.1`, or `nvml.dll` where drivers put it.
    pub nvml_library: Option<PathBuf>,
    /// File of the CUDA runtime; `None`: the one in the process, else the newest that the system knows.
    pub cudart_library: Option<PathBuf>,
    /// How long a source that failed is left alone.
    pub backoff: Backoff,
    /// The variables by which CUDA chooses its devices.
    pub environment: CudaEnvironment,
}

impl Default for ProbeOptions {
    /// The libraries of the system and the environment of this process.
    fn default() -> Self {
        Self {
            nvml_library: None,
            cudart_library: None,
            backoff: Backoff::default(),
            environment: CudaEnvironment::of_this_process(),
        }
    }
}

/// The sources of figures for one CUDA device. May be used from many threads; readings take turns.
pub struct DeviceProbes {
    options: ProbeOptions,
    ordinal: u32,
    nvml: Retried<NvmlDevice>,
    cuda_runtime: Retried<CudaRuntime>,
}

impl DeviceProbes {
    /// Probes for the CUDA device `ordinal` of this process; nothing is loaded before the first reading.
    ///
    /// Only for a device that the backend has opened: where NVML fails, asking the CUDA runtime for figures makes this
    /// process's context on the device if there is none.
    pub fn open(options: ProbeOptions, ordinal: u32) -> Self {
        Self {
            nvml: Retried::new(options.backoff),
            cuda_runtime: Retried::new(options.backoff),
            options,
            ordinal,
        }
    }

    /// Asks the sources in turn. `backend` is what the backend says of its device, if it says anything. Takes as long
    /// as the libraries take.
    pub fn read(&self, backend: Option<DeviceFigures>) -> Reading {
        let mut reading = Reading {
            source: Source::None,
            device: None,
            process: None,
            name: None,
            uuid: None,
            failures: Vec::new(),
            taken: Instant::now(),
        };
        self.ask_nvml(&mut reading);
        if reading.device.is_none() {
            self.ask_cuda_runtime(&mut reading);
        }
        if reading.device.is_none() {
            let told =
                backend.ok_or_else(|| "it does not tell the memory of its device".to_owned());
            reading.settle(Source::Backend, told.and_then(DeviceFigures::checked));
        }
        reading
    }

    fn ask_nvml(&self, reading: &mut Reading) {
        let answer = self.nvml.read(
            || {
                NvmlDevice::open(self.options.nvml_library.as_deref(), |gpus| {
                    self.choose(gpus)
                })
            },
            |nvml| {
                let told = nvml.read()?;
                Ok((told, nvml.name().map(str::to_owned), nvml.uuid().to_owned()))
            },
        );
        match answer {
            Ok((NvmlReading { device, process }, name, uuid)) => {
                reading.settle(Source::Nvml, Ok(device));
                (reading.name, reading.uuid) = (name, Some(uuid));
                match process {
                    Ok(bytes) => reading.process = Some(bytes),
                    Err(reason) => reading.fail(Source::Nvml, reason),
                }
            }
            Err(reason) => reading.fail(Source::Nvml, reason),
        }
    }

    fn ask_cuda_runtime(&self, reading: &mut Reading) {
        let answer = self.with_cuda_runtime(|runtime| runtime.figures(self.ordinal));
        reading.settle(Source::CudaRuntime, answer);
    }

    /// Which of NVML's devices is ours. The CUDA runtime knows it best; asking it makes no context.
    fn choose(&self, gpus: &[Gpu]) -> Result<String, String> {
        let told = self.with_cuda_runtime(|runtime| runtime.identity(self.ordinal));
        let identity: Option<&CudaIdentity> = told.as_ref().ok();
        resolve(self.ordinal, &self.options.environment, identity, gpus)
            .map(str::to_owned)
            .map_err(|unmapped| match &told {
                Ok(_) => unmapped.to_string(),
                Err(reason) => format!("{unmapped} ({reason})"),
            })
    }

    fn with_cuda_runtime<T>(
        &self,
        ask: impl FnOnce(&CudaRuntime) -> Result<T, String>,
    ) -> Result<T, String> {
        self.cuda_runtime.read(
            || CudaRuntime::open(self.options.cudart_library.as_deref()),
            ask,
        )
    }
}

impl Reading {
    /// Takes the figures of a source, or notes why it has none.
    fn settle(&mut self, source: Source, figures: Result<DeviceFigures, String>) {
        match figures {
            Ok(figures) => {
                self.source = source;
                self.device = Some(figures);
            }
            Err(reason) => self.fail(source, reason),
        }
    }

    fn fail(&mut self, source: Source, reason: String) {
        self.failures.push(ProbeFailure { source, reason });
    }
}
