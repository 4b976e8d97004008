//! Which backend, and which device.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sam_mm_backend_abi::error::BackendError as PluginError;
use sam_mm_backend_abi::types::{DeviceConfig, DeviceName, Probe};

use super::device::Device;
use super::error::BackendError;
use super::libtorch::{Conflict, Settings};
use super::loader::{LoadError, Plugin};
use super::search::{self, Candidate, SearchOptions, Surroundings};
use super::trail::{Outcome, Trail};

/// With `auto`, CUDA devices of a number below this are asked about.
const MOST_CUDA_DEVICES: u32 = 16;

/// The device a caller wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceRequest {
    /// The best CUDA device that a backend can run on, else the CPU.
    #[default]
    Auto,
    /// This one and no other.
    Named(DeviceName),
}

impl FromStr for DeviceRequest {
    type Err = BackendError;

    /// # Errors
    /// `SAM_MM_ERR_INVALID_ARGUMENT` for anything but `auto`, `cpu`, `cuda` and `cuda:N`.
    fn from_str(name: &str) -> Result<Self, BackendError> {
        if name == "auto" {
            return Ok(Self::Auto);
        }
        name.parse().map(Self::Named).map_err(|_| {
            let message = format!(
                "device is {name:?}; it must be \"auto\", \"cpu\", \"cuda\" or \"cuda:N\" with N a number"
            );
            PluginError::invalid_argument(message).into()
        })
    }
}

impl fmt::Display for DeviceRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Named(name) => name.fmt(f),
        }
    }
}

/// The device wanted, and how it is to be opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceOptions {
    /// Which.
    pub device: DeviceRequest,
    /// Threads for work on the CPU; `None` leaves the backend's default.
    pub num_threads: Option<u32>,
    /// Most bytes of device memory that the backend's allocator may hold; `None` for no limit.
    pub memory_limit_bytes: Option<u64>,
    /// TF32 matrix products are allowed where the device has them.
    pub allow_tf32: bool,
}

/// An open device, and how it was come by.
pub struct Opened {
    /// The device.
    pub device: Device,
    /// Every path tried, and what the loaded backends said about devices.
    pub trail: Trail,
}

/// Finds the backends, and opens the device asked for with the one that runs best on it.
///
/// # Errors
/// [`BackendError::NotFound`] or [`BackendError::Conflict`] when no plugin could be loaded,
/// [`BackendError::DeviceUnavailable`] when none of them can run on the device, or what the plugin says when it fails
/// to open a device that was named.
pub fn open(search: &SearchOptions, options: &DeviceOptions) -> Result<Opened, BackendError> {
    Backends::find(search)?.open(options)
}

/// The backends at hand.
#[derive(Debug)]
pub struct Backends {
    plugins: Vec<Arc<Plugin>>,
    trail: Trail,
}

impl Backends {
    /// Searches for plugins and loads the first usable one of each name.
    ///
    /// # Errors
    /// [`BackendError::NotFound`] or [`BackendError::Conflict`] when none could be loaded.
    pub fn find(options: &SearchOptions) -> Result<Self, BackendError> {
        Self::find_around(
            options,
            &Surroundings::of_this_process(),
            &Settings::of_this_process(),
        )
    }

    /// [`find`](Self::find) with other surroundings than those of this process.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn find_around(
        options: &SearchOptions,
        around: &Surroundings,
        settings: &Settings,
    ) -> Result<Self, BackendError> {
        let mut trail = Trail::default();
        let candidates = search::candidates(options, around, &mut trail);
        let mut loading = Loading {
            trail,
            settings,
            plugins: Vec::new(),
            names: HashSet::new(),
            conflict: None,
        };
        candidates
            .into_iter()
            .for_each(|candidate| loading.attempt(candidate));
        loading.finish()
    }

    /// A backend that is linked into the program.
    pub fn of(plugin: Arc<Plugin>) -> Self {
        Self {
            plugins: vec![plugin],
            trail: Trail::default(),
        }
    }

    /// The loaded plugins, in the order they were found.
    pub fn plugins(&self) -> &[Arc<Plugin>] {
        &self.plugins
    }

    /// Every path tried.
    pub fn trail(&self) -> &Trail {
        &self.trail
    }

    /// Opens the device asked for with the backend that runs best on it.
    ///
    /// # Errors
    /// As [`open`].
    pub fn open(mut self, options: &DeviceOptions) -> Result<Opened, BackendError> {
        let mut choices = match options.device {
            DeviceRequest::Named(device) => self.rank(&[device]),
            DeviceRequest::Auto => {
                let cuda: Vec<_> = (0..MOST_CUDA_DEVICES).map(DeviceName::Cuda).collect();
                let mut choices = self.rank(&cuda);
                choices.extend(self.rank(&[DeviceName::Cpu]));
                choices
            }
        };
        let last = choices.len().saturating_sub(1);
        for (index, choice) in choices.drain(..).enumerate() {
            let config = DeviceConfig {
                device: choice.device,
                num_threads: options.num_threads,
                memory_limit_bytes: options.memory_limit_bytes,
                allow_tf32: options.allow_tf32,
            };
            match Device::open(&choice.plugin, &config) {
                Ok(device) => {
                    return Ok(Opened {
                        device,
                        trail: self.trail,
                    });
                }
                Err(error) if index == last => return Err(error),
                Err(error) => {
                    self.trail.note(format!(
                        "{} could not open {}: {error}",
                        choice.plugin.name(),
                        choice.device
                    ));
                }
            }
        }
        Err(BackendError::DeviceUnavailable {
            device: options.device.to_string(),
            trail: self.trail,
        })
    }

    /// The usable pairs of backend and device, best first; among equals the order found.
    fn rank(&mut self, devices: &[DeviceName]) -> Vec<Choice> {
        let mut choices = Vec::new();
        for &device in devices {
            for plugin in &self.plugins {
                let probe = plugin.probe(device).unwrap_or_else(|error| Probe {
                    score: 0,
                    reason: error.to_string(),
                });
                if probe.score > 0 {
                    choices.push(Choice {
                        score: probe.score,
                        plugin: Arc::clone(plugin),
                        device,
                    });
                } else if !matches!(device, DeviceName::Cuda(number) if number > 0 && devices.len() > 1)
                {
                    // Of the CUDA devices that `auto` asks about the first says it all.
                    self.trail.note(format!(
                        "{} cannot run on {device}: {}",
                        plugin.name(),
                        probe.reason
                    ));
                }
            }
        }
        choices.sort_by_key(|choice| std::cmp::Reverse(choice.score));
        choices
    }
}

struct Choice {
    score: u32,
    plugin: Arc<Plugin>,
    device: DeviceName,
}

struct Loading<'a> {
    trail: Trail,
    settings: &'a Settings,
    plugins: Vec<Arc<Plugin>>,
    /// Names of files and backends that are settled.
    names: HashSet<String>,
    conflict: Option<Box<Conflict>>,
}

impl Loading<'_> {
    fn attempt(&mut self, candidate: Candidate) {
        let short_name = candidate.short_name();
        let outcome = match &short_name {
            // Loading a second libtorch only to leave it unused would be worse than useless.
            Some(name) if self.names.contains(name) => {
                Outcome::Skipped(format!("a backend named {name} was found before"))
            }
            _ => match Plugin::load(&candidate.path, self.settings) {
                Ok(plugin) => self.accept(plugin, short_name),
                Err(LoadError::Conflict(conflict)) => {
                    let brief = conflict.brief();
                    self.conflict.get_or_insert(conflict);
                    Outcome::Failed(brief)
                }
                Err(error) => Outcome::Failed(error.to_string()),
            },
        };
        self.trail.record(candidate.path, candidate.origin, outcome);
    }

    fn accept(&mut self, plugin: Arc<Plugin>, short_name: Option<String>) -> Outcome {
        if self
            .plugins
            .iter()
            .any(|known| known.name() == plugin.name())
        {
            return Outcome::Skipped(format!(
                "a backend named {} was found before",
                plugin.name()
            ));
        }
        let outcome = Outcome::Loaded {
            backend: format!("{} {}", plugin.name(), plugin.version()),
        };
        self.names.extend(short_name);
        self.names.insert(plugin.name().to_owned());
        self.plugins.push(plugin);
        outcome
    }

    fn finish(self) -> Result<Backends, BackendError> {
        match (self.plugins.is_empty(), self.conflict) {
            (false, _) => Ok(Backends {
                plugins: self.plugins,
                trail: self.trail,
            }),
            (true, Some(conflict)) => Err(BackendError::Conflict {
                conflict,
                trail: self.trail,
            }),
            (true, None) => Err(BackendError::NotFound { trail: self.trail }),
        }
    }
}
