//! The device of a context as memory knows it: read by the probes, emptied by the backend.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backend::{AllocatorMemory, DeviceMemory, DeviceName, MemInfo};

use super::figures::{Figures, Reading};
use super::host::HostMemory;
use super::probe::{
    Answer, DeviceFigures, DeviceProbes, ProbeFailure, ProbeOptions, Snapshot, Source,
};

/// What the backend can say and do about the memory of its device.
pub trait BackendMemory: Send + Sync {
    /// Which device.
    fn name(&self) -> DeviceName;

    /// Figures of its allocator, and of the device as it sees it. Quick.
    ///
    /// # Errors
    /// Why not.
    fn mem_info(&self) -> Result<MemInfo, String>;

    /// Gives back what the allocator holds unused, and tells how many bytes.
    ///
    /// # Errors
    /// Why not.
    fn trim(&self) -> Result<u64, String>;
}

/// Everything that was read at one moment.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The device.
    pub reading: Reading,
    /// What reported it.
    pub source: Source,
    /// Name of the product.
    pub name: Option<String>,
    /// NVML's UUID.
    pub uuid: Option<String>,
    /// What better sources said.
    pub failures: Vec<ProbeFailure>,
    /// The backend's allocator.
    pub allocator: Option<AllocatorMemory>,
    /// The device as the backend saw it at the same time.
    backend: Option<DeviceMemory>,
    /// The host.
    pub host: Option<HostMemory>,
    /// When.
    pub at: Instant,
    /// Older than was asked for.
    pub stale: bool,
}

/// A device, the last reading of it, and the way to empty its allocator.
pub struct ManagedDevice {
    backend: Arc<dyn BackendMemory>,
    snapshot: Snapshot<Taken>,
}

impl ManagedDevice {
    /// A device that the backend has opened.
    pub fn new(backend: Arc<dyn BackendMemory>, probes: ProbeOptions) -> Self {
        let probes = match backend.name() {
            DeviceName::Cuda(ordinal) => Some(DeviceProbes::open(probes, ordinal)),
            DeviceName::Cpu => None,
        };
        let asked = Arc::clone(&backend);
        Self {
            backend,
            snapshot: Snapshot::new(move || take(&*asked, probes.as_ref())),
        }
    }

    /// Whether it has a memory of its own.
    pub fn has_memory(&self) -> bool {
        matches!(self.backend.name(), DeviceName::Cuda(_))
    }

    /// Figures no older than `max_age` where they can be had within `patience`.
    pub fn read(&self, max_age: Duration, patience: Duration) -> Option<Taken> {
        self.snapshot.get(max_age, patience).map(taken)
    }

    /// Figures that were taken after this call, where they can be had within `patience`.
    pub fn read_anew(&self, patience: Duration) -> Option<Taken> {
        self.snapshot.get_new(patience).map(taken)
    }

    /// The last figures, brought up to date by what the backend says now: no driver's management library is waited for.
    pub fn read_for_plan(&self, max_age: Duration, patience: Duration) -> Option<Taken> {
        let mut taken = self.read(max_age, patience)?;
        if let Ok(now) = self.backend.mem_info() {
            taken.bring_up_to_date(&now);
        }
        Some(taken)
    }

    /// Figures of the allocator now.
    pub fn allocator(&self) -> Option<MemInfo> {
        self.backend.mem_info().ok()
    }

    /// Has the allocator give back what it holds unused.
    ///
    /// # Errors
    /// What the backend says.
    pub fn trim(&self) -> Result<u64, String> {
        self.backend.trim()
    }
}

fn taken(answer: Answer<Taken>) -> Taken {
    Taken {
        stale: answer.stale,
        ..(*answer.value).clone()
    }
}

fn take(backend: &dyn BackendMemory, probes: Option<&DeviceProbes>) -> Taken {
    let told = backend.mem_info();
    let mem_info = told.as_ref().ok();
    let device = mem_info.and_then(|info| info.device);
    let mut taken = Taken {
        reading: Reading::NoDevice,
        source: Source::None,
        name: None,
        uuid: None,
        failures: Vec::new(),
        allocator: mem_info.and_then(|info| info.allocator),
        backend: device,
        host: HostMemory::read(),
        at: Instant::now(),
        stale: false,
    };
    if let Some(probes) = probes {
        let seen =
            device.and_then(|device| DeviceFigures::from_free(device.total, device.free).ok());
        let probed = probes.read(seen);
        taken.reading = match probed.device {
            Some(device) => Reading::Known(Figures {
                total: device.total,
                used: device.used,
                free: device.free,
                process: probed.process,
            }),
            None => Reading::Unknown,
        };
        taken.source = probed.source;
        (taken.name, taken.uuid, taken.failures) = (probed.name, probed.uuid, probed.failures);
    }
    taken
}

impl Taken {
    /// Moves the figures by what has changed since, as the backend sees it: its allocator always tells what it holds, and
    /// where it also tells what is free on the device, neighbours are seen as well.
    fn bring_up_to_date(&mut self, now: &MemInfo) {
        let reserved = |allocator: Option<AllocatorMemory>| {
            allocator.map_or(0, |allocator| allocator.reserved as i128)
        };
        let ours = reserved(now.allocator) - reserved(self.allocator);
        let taken = match (self.backend, now.device) {
            (Some(before), Some(after)) => i128::from(before.free) - i128::from(after.free),
            _ => ours,
        };
        if let Reading::Known(figures) = &mut self.reading {
            let moved = |bytes: u64, by: i128, most: u64| {
                (i128::from(bytes) + by).clamp(0, i128::from(most)) as u64
            };
            figures.used = moved(figures.used, taken, figures.total);
            figures.free = moved(figures.free, -taken, figures.total - figures.used);
            figures.process = figures
                .process
                .map(|bytes| moved(bytes, ours, figures.used));
        }
        self.allocator = now.allocator;
        self.backend = now.device;
        self.at = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(free: u64, reserved: u64) -> MemInfo {
        MemInfo {
            device: Some(DeviceMemory { total: 1000, free }),
            allocator: Some(AllocatorMemory {
                allocated: 0,
                reserved,
            }),
            peak_allocated: None,
        }
    }

    fn taken(before: MemInfo) -> Taken {
        Taken {
            reading: Reading::Known(Figures {
                total: 1000,
                used: 400,
                free: 580,
                process: Some(150),
            }),
            source: Source::Nvml,
            name: None,
            uuid: None,
            failures: Vec::new(),
            allocator: before.allocator,
            backend: before.device,
            host: None,
            at: Instant::now(),
            stale: false,
        }
    }

    #[test]
    fn what_we_and_a_neighbour_took_since_is_counted_and_the_drivers_part_stays() {
        let mut taken = taken(seen(580, 100));
        taken.bring_up_to_date(&seen(480, 130));
        let figures = *taken.reading.figures().unwrap();
        assert_eq!(
            (figures.used, figures.free, figures.process),
            (500, 480, Some(180))
        );
    }

    #[test]
    fn a_backend_that_tells_its_allocator_alone_still_tells_what_is_ours() {
        let alone = |reserved| MemInfo {
            device: None,
            ..seen(0, reserved)
        };
        let mut taken = taken(alone(100));
        taken.bring_up_to_date(&alone(60));
        let figures = *taken.reading.figures().unwrap();
        assert_eq!(
            (figures.used, figures.free, figures.process),
            (360, 620, Some(110))
        );
    }

    #[test]
    fn figures_stay_possible_whatever_the_backend_says() {
        let mut taken = taken(seen(1000, 0));
        taken.bring_up_to_date(&seen(0, 5000));
        let figures = *taken.reading.figures().unwrap();
        assert!(figures.used <= figures.total && figures.free <= figures.total - figures.used);
        assert!(figures.process.unwrap() <= figures.used);
    }
}
