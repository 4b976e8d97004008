//! The memory manager of a context: what is known, what is decided, and who is asked to give memory back.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::analytics::{Analytics, MemoryProfile, Profiling, Report, Snapshot};
use super::budget::{Admission, Room, admit, crosses, room};
use super::config::{ConfigWarning, MemoryConfig};
use super::consumer::{Consumers, Share};
use super::device::{BackendMemory, ManagedDevice, Taken};
use super::events::{EventKind, Events};
use super::figures::Reading;
use super::host::HostMemory;
use super::info::MemoryInfo;
use super::monitor::{Action, Monitor, MonitorPolicy};
use super::optimize::{Optimized, Shortage, optimize, optimize_unused};
use super::plan::Supply;
use super::probe::{ProbeFailure, ProbeOptions, Source};
use super::status::{self, NotKept, Status, Tier};

/// How long the first question about a device waits for its probes; later ones are answered from the last reading.
const PATIENCE: Duration = Duration::from_millis(500);

/// What giving memory back came to.
#[derive(Clone, Debug, Default)]
pub struct OptimizeReport {
    /// Whether there was need, or force.
    pub performed: bool,
    /// Bytes, by who gave them.
    pub optimized: Optimized,
    /// Memory before.
    pub before: Snapshot,
    /// Memory after.
    pub after: Snapshot,
}

/// Knows the memory of one device and of the host, and decides what happens to it. Used from many threads at once.
pub struct MemoryManager {
    config: MemoryConfig,
    probes: ProbeOptions,
    started: Instant,
    consumers: Consumers,
    analytics: Analytics,
    events: Events,
    /// Known from the moment that a backend opened it.
    device: OnceLock<ManagedDevice>,
    /// When the last reading was taken that counted.
    observed: Mutex<Option<Instant>>,
    /// Sources that failed at the last reading, so that a change is noticed.
    failing: Mutex<Vec<Source>>,
    monitor: Mutex<Option<Monitor>>,
    /// Is told every event as well, for the log.
    observer: Box<dyn Fn(&EventKind) + Send + Sync>,
}

impl MemoryManager {
    /// A manager that knows of no device yet. `warnings` are what was wrong with the environment; `observer` is told every
    /// event, on the thread where it happens.
    pub fn new(
        config: MemoryConfig,
        warnings: Vec<ConfigWarning>,
        probes: ProbeOptions,
        observer: impl Fn(&EventKind) + Send + Sync + 'static,
    ) -> Self {
        let manager = Self {
            config,
            probes,
            started: Instant::now(),
            consumers: Consumers::default(),
            analytics: Analytics::default(),
            events: Events::default(),
            device: OnceLock::new(),
            observed: Mutex::default(),
            failing: Mutex::default(),
            monitor: Mutex::new(None),
            observer: Box::new(observer),
        };
        for warning in warnings {
            manager.emit(EventKind::ConfigWarning(warning));
        }
        manager
    }

    /// What is set.
    pub fn config(&self) -> &MemoryConfig {
        &self.config
    }

    /// Those who hold memory and can give it back.
    pub fn consumers(&self) -> &Consumers {
        &self.consumers
    }

    /// What is counted.
    pub fn analytics(&self) -> &Analytics {
        &self.analytics
    }

    /// What happened.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// Time since the manager was made: the clock of events and records.
    pub fn clock(&self) -> Duration {
        self.started.elapsed()
    }

    /// Something happened.
    pub(super) fn emit(&self, kind: EventKind) {
        (self.observer)(&kind);
        self.events.emit(self.clock(), kind);
    }

    /// A backend has opened the device; from now on it is watched.
    pub fn attach(self: &Arc<Self>, backend: Arc<dyn BackendMemory>) {
        let device = ManagedDevice::new(backend, self.probes.clone());
        if self.device.set(device).is_ok() {
            self.start_monitor();
        }
    }

    /// Whether the device has a memory of its own.
    pub fn has_device(&self) -> bool {
        self.device.get().is_some_and(ManagedDevice::has_memory)
    }

    /// What is known, no older than the snapshot's age allows. Never fails, and needs no device.
    pub fn info(&self) -> MemoryInfo {
        let taken = self.taken(self.config.snapshot_max_age);
        let (reading, source) = taken
            .as_ref()
            .map_or((Reading::NoDevice, Source::None), |taken| {
                (taken.reading, taken.source)
            });
        let device = reading.figures().copied();
        let host = match &taken {
            Some(taken) => taken.host,
            None => HostMemory::read(),
        };
        MemoryInfo {
            source,
            device,
            has_device: self.has_device(),
            allocator: taken.as_ref().and_then(|taken| taken.allocator),
            age: taken
                .as_ref()
                .map_or(Duration::ZERO, |taken| taken.at.elapsed()),
            stale: taken.as_ref().is_some_and(|taken| taken.stale),
            host,
            embedding_cache: self.held_by(EMBEDDING_CACHE),
            device_name: taken.as_ref().and_then(|taken| taken.name.clone()),
            device_uuid: taken.as_ref().and_then(|taken| taken.uuid.clone()),
            failures: taken.map(|taken| taken.failures).unwrap_or_default(),
        }
    }

    fn held_by(&self, name: &str) -> u64 {
        let shares = self.consumers.shares();
        shares
            .iter()
            .filter(|share| share.name == name)
            .fold(0, |sum, share| sum.saturating_add(share.bytes))
    }

    /// How full the device is, held against the thresholds.
    pub fn status(&self) -> Status {
        match self.taken(self.config.snapshot_max_age) {
            Some(taken) => status::check(&taken.reading, &self.config),
            None => status::check(&self.unread(), &self.config),
        }
    }

    /// Whether something may be cached: the device below the warning threshold and the host below its own; what lies in
    /// host memory asks the host alone.
    ///
    /// # Errors
    /// Why not.
    pub fn should_cache(&self, tier: Tier) -> Result<(), NotKept> {
        if tier == Tier::Host {
            // The host answers at once; a GPU's driver, which may not, has no say in this.
            let host = HostMemory::read();
            return status::should_cache_in(tier, &self.unread(), host.as_ref(), &self.config);
        }
        let taken = self.taken(self.config.snapshot_max_age);
        let (reading, host) = match &taken {
            Some(taken) => (taken.reading, taken.host),
            None => (self.unread(), HostMemory::read()),
        };
        status::should_cache(&reading, host.as_ref(), &self.config)
    }

    /// Gives memory back: what is short, or with `force` everything that can be had.
    pub fn optimize(&self, force: bool) -> OptimizeReport {
        let taken = self.read_anew();
        let before = snapshot(taken.as_ref());
        let shortage = if force {
            Some(Shortage::ALL)
        } else {
            self.shortage(taken.as_ref())
        };
        let Some(shortage) = shortage else {
            return OptimizeReport {
                before,
                after: before,
                ..Default::default()
            };
        };
        let optimized = optimize(&shortage, &self.consumers, || self.trim());
        self.note_optimized(&optimized, force);
        OptimizeReport {
            performed: true,
            optimized,
            before,
            after: snapshot(self.read_anew().as_ref()),
        }
    }

    fn shortage(&self, taken: Option<&Taken>) -> Option<Shortage> {
        let host = taken.and_then(|taken| taken.host).or_else(HostMemory::read);
        let (reading, allocator) = taken.map_or((self.unread(), None), |taken| {
            (taken.reading, taken.allocator)
        });
        Shortage::of(&reading, allocator, host.as_ref(), &self.config)
    }

    fn note_optimized(&self, optimized: &Optimized, forced: bool) {
        self.analytics.optimized(optimized.freed());
        self.emit(EventKind::Optimized {
            caches: optimized.by_caches(),
            allocator: optimized.allocator,
            forced,
        });
    }

    /// Has the backend's allocator give back what it holds unused, and tells how many bytes.
    pub fn trim(&self) -> u64 {
        // A backend that cannot is one that gave nothing back.
        self.device
            .get()
            .map_or(0, |device| device.trim().unwrap_or(0))
    }

    /// Everything that was counted, and what memory is like now.
    pub fn report(&self) -> Report {
        let taken = self.taken(self.config.snapshot_max_age);
        let host = taken
            .as_ref()
            .and_then(|taken| taken.host)
            .or_else(HostMemory::read);
        let reading = taken.map_or(self.unread(), |taken| taken.reading);
        let held = self.consumers.shares();
        self.analytics
            .report(&reading, host.as_ref(), held, &self.config)
    }

    /// What can be had for an operation that is about to run. Nothing is given back for it yet, however full the device
    /// is: who fills it may be a neighbour, and the plan tells what this operation is short of.
    pub(super) fn supply(&self) -> (Supply, Status) {
        let taken = self.taken_for_plan();
        let status = self.status_of(taken.as_ref());
        let room = taken.as_ref().and_then(|taken| self.room(taken));
        let host = match &taken {
            Some(taken) => taken.host,
            None => HostMemory::read(),
        };
        let supply = Supply {
            device: room,
            device_releasable: self.consumers.releasable(Tier::Device),
            host: host.map(|host| host.available),
            host_releasable: self.consumers.releasable(Tier::Host),
        };
        (supply, status)
    }

    /// The room on the device now; `None` when nobody knows, or there is no device.
    pub(super) fn room_now(&self) -> Option<Room> {
        self.room(self.taken_for_plan().as_ref()?)
    }

    fn room(&self, taken: &Taken) -> Option<Room> {
        let figures = taken.reading.figures()?;
        Some(room(figures, taken.allocator, &self.config))
    }

    fn status_of(&self, taken: Option<&Taken>) -> Status {
        match taken {
            Some(taken) => status::check(&taken.reading, &self.config),
            None => status::check(&self.unread(), &self.config),
        }
    }

    /// Before a backend takes `bytes` of the device: caches are shed where that would cross the budget. `false` when the
    /// limit is strict and they do not fit all the same.
    pub fn admit(&self, bytes: u64) -> bool {
        let Some(room) = self.room_now() else {
            return true;
        };
        let Admission::Shed { deficit } = admit(bytes, &room) else {
            return true;
        };
        self.consumers.release(Tier::Device, deficit);
        self.trim();
        crosses(&self.config) || self.has_room(bytes)
    }

    /// Whether `bytes` of the device can be had as things are, without anybody giving something back.
    pub fn has_room(&self, bytes: u64) -> bool {
        self.room_now().is_none_or(|room| room.deficit(bytes) == 0)
    }

    /// What memory is like before an operation.
    pub(super) fn profile(&self, operation: &str) -> Profile<'_> {
        let taken = self.taken_for_plan();
        Profile {
            manager: self,
            peak: self.peak_allocated(),
            profiling: Profiling::begin(operation, snapshot(taken.as_ref())),
        }
    }

    fn peak_allocated(&self) -> Option<u64> {
        self.device.get()?.allocator()?.peak_allocated
    }

    fn taken(&self, max_age: Duration) -> Option<Taken> {
        let taken = self.device.get()?.read(max_age, PATIENCE)?;
        self.observe(&taken);
        Some(taken)
    }

    /// From the last reading, without waiting for a driver; only the very first one is waited for.
    fn taken_for_plan(&self) -> Option<Taken> {
        let device = self.device.get()?;
        let max_age = self.config.snapshot_max_age;
        let taken = device
            .read_for_plan(max_age, Duration::ZERO)
            .or_else(|| device.read_for_plan(max_age, PATIENCE))?;
        self.observe(&taken);
        Some(taken)
    }

    fn read_anew(&self) -> Option<Taken> {
        let taken = self.device.get()?.read_anew(PATIENCE)?;
        self.observe(&taken);
        Some(taken)
    }

    /// What a device is before it was read: unknown if it has a memory, nothing otherwise.
    fn unread(&self) -> Reading {
        if self.has_device() {
            Reading::Unknown
        } else {
            Reading::NoDevice
        }
    }

    /// A reading counts once, and not after a younger one: what was told from memory is no fall below a threshold that
    /// a plan has seen crossed since.
    fn observe(&self, taken: &Taken) {
        let crossing = {
            let mut last = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
            if last.is_some_and(|last| taken.at <= last) {
                return;
            }
            *last = Some(taken.at);
            self.analytics.read(
                &taken.reading,
                taken.allocator,
                taken.host.as_ref(),
                &self.config,
            )
        };
        if let (Some(crossing), Some(figures)) = (crossing, taken.reading.figures()) {
            self.emit(EventKind::StatusChanged {
                crossing,
                utilization: figures.utilization(),
            });
        }
        self.observe_probes(&taken.failures);
    }

    /// A probe that fails is told once, and once more when it is back.
    fn observe_probes(&self, failures: &[ProbeFailure]) {
        let failed: Vec<Source> = failures.iter().map(|failure| failure.source).collect();
        let before = {
            let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
            if *failing == failed {
                return;
            }
            std::mem::replace(&mut *failing, failed.clone())
        };
        for failure in failures {
            if !before.contains(&failure.source) {
                self.emit(EventKind::ProbeLost {
                    source: failure.source.to_string(),
                    reason: failure.reason.clone(),
                });
            }
        }
        for source in before {
            if !failed.contains(&source) {
                self.emit(EventKind::ProbeBack {
                    source: source.to_string(),
                });
            }
        }
    }

    fn start_monitor(self: &Arc<Self>) {
        if !self.config.monitor.enabled {
            return;
        }
        let mut policy = MonitorPolicy::new(self.config.monitor.clone());
        let manager = Arc::downgrade(self);
        let monitor = Monitor::start(self.config.monitor.period, move |now| {
            tick(&manager, &mut policy, now)
        });
        // Without a thread memory is still looked after before every operation.
        *self.monitor.lock().unwrap_or_else(PoisonError::into_inner) = monitor.ok();
    }

    /// Ends the background thread; returns when it has ended.
    pub fn stop_monitor(&self) {
        let monitor = self
            .monitor
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(monitor);
    }

    fn look_after(&self, policy: &mut MonitorPolicy, now: Duration) {
        let taken = self.taken(self.config.monitor.period);
        let figures = taken
            .as_ref()
            .filter(|taken| !taken.stale)
            .and_then(|taken| taken.reading.figures().copied());
        let idle = taken
            .as_ref()
            .and_then(|taken| taken.allocator)
            .map_or(0, |allocator| {
                allocator.reserved.saturating_sub(allocator.allocated)
            });
        let ours = self.consumers.releasable(Tier::Device).saturating_add(idle);
        let images = self.held_by(IMAGE_CACHE);
        for action in policy.tick(now, figures.as_ref(), images, ours) {
            let freed = self.carry_out(&action);
            let total = figures.map_or(0, |figures| figures.total);
            policy.done(now, &action, freed, total);
            self.emit(EventKind::Monitor { action, freed });
        }
    }

    fn carry_out(&self, action: &Action) -> u64 {
        match action {
            Action::ClearImageCache { .. } => self.consumers.clear(IMAGE_CACHE),
            Action::OptimizeDevice { .. } => {
                let optimized = optimize_unused(&self.consumers, || self.trim());
                self.analytics.optimized(optimized.freed());
                optimized.freed()
            }
        }
    }
}

impl Drop for MemoryManager {
    fn drop(&mut self) {
        self.stop_monitor();
    }
}

/// Name of the consumers that hold image embeddings.
pub const EMBEDDING_CACHE: &str = "embedding cache";
/// Name of the consumer that holds predictions.
pub const PREDICTION_CACHE: &str = "prediction cache";
/// Name of the consumer that holds processed images.
pub const IMAGE_CACHE: &str = "image cache";

/// A panic of somebody's consumer or log must not end the watch. To the policy an action of which it is told nothing more
/// was in vain.
fn tick(
    manager: &Weak<MemoryManager>,
    policy: &mut MonitorPolicy,
    now: Duration,
) -> ControlFlow<()> {
    let Some(manager) = manager.upgrade() else {
        return ControlFlow::Break(());
    };
    let _ = catch_unwind(AssertUnwindSafe(|| manager.look_after(policy, now)));
    ControlFlow::Continue(())
}

fn snapshot(taken: Option<&Taken>) -> Snapshot {
    match taken {
        Some(taken) => Snapshot::new(&taken.reading, taken.allocator, taken.host.as_ref()),
        None => Snapshot::new(&Reading::NoDevice, None, HostMemory::read().as_ref()),
    }
}

/// An operation that is being profiled.
pub(super) struct Profile<'a> {
    manager: &'a MemoryManager,
    peak: Option<u64>,
    profiling: Profiling,
}

impl Profile<'_> {
    /// The operation has ended.
    pub fn end(mut self) -> MemoryProfile {
        let taken = self.manager.taken_for_plan();
        let peak = self.manager.peak_allocated();
        // The backend tells its peak since the device was opened: it is this operation's when it has grown.
        if peak > self.peak {
            self.profiling.observe(&Snapshot {
                allocated: peak,
                ..Default::default()
            });
        }
        self.profiling.end(snapshot(taken.as_ref()))
    }
}

impl MemoryManager {
    /// What each consumer holds, in the order of release.
    pub fn shares(&self) -> Vec<Share> {
        self.consumers.shares()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{DeviceName, MemInfo};
    use crate::memory::consumer::{Consumer, Rank};
    use std::sync::mpsc;

    struct Cpu;

    impl BackendMemory for Cpu {
        fn name(&self) -> DeviceName {
            DeviceName::Cpu
        }

        fn mem_info(&self) -> Result<MemInfo, String> {
            Err("nothing is told".to_owned())
        }

        fn trim(&self) -> Result<u64, String> {
            Ok(0)
        }
    }

    /// Tells of every question, and then panics.
    struct Broken(mpsc::SyncSender<()>);

    impl Consumer for Broken {
        fn name(&self) -> &str {
            IMAGE_CACHE
        }

        fn tier(&self) -> Tier {
            Tier::Host
        }

        fn bytes(&self) -> u64 {
            let _ = self.0.try_send(());
            panic!("a test of a consumer that panics");
        }

        fn release(&self, _want: u64) -> u64 {
            0
        }
    }

    #[test]
    fn a_consumer_that_panics_does_not_end_the_watch() {
        let mut config = MemoryConfig::default();
        config.monitor.period = Duration::from_millis(1);
        let manager = MemoryManager::new(config, Vec::new(), ProbeOptions::default(), |_| {});
        let manager = Arc::new(manager);
        let (asked, questions) = mpsc::sync_channel(1);
        let consumer: Arc<dyn Consumer> = Arc::new(Broken(asked));
        manager
            .consumers()
            .register(Rank::ProcessedImages, &consumer);
        manager.attach(Arc::new(Cpu));
        for _ in 0..3 {
            let patience = Duration::from_secs(60);
            questions.recv_timeout(patience).expect("it goes on");
        }
        manager.stop_monitor();
    }
}
