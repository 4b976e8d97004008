//! What an operation did to memory.

use serde::Serialize;

use crate::backend::AllocatorMemory;
use crate::memory::figures::Reading;
use crate::memory::host::HostMemory;

/// Bytes in use at one moment. What could not be had is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Of the device, by all processes.
    pub device_used: Option<u64>,
    /// Of the device, by this process.
    pub device_process: Option<u64>,
    /// In live tensors of the backend's allocator.
    pub allocated: Option<u64>,
    /// Of the host, by this process.
    pub host_process: Option<u64>,
}

impl Snapshot {
    /// From what was read.
    pub fn new(
        reading: &Reading,
        allocator: Option<AllocatorMemory>,
        host: Option<&HostMemory>,
    ) -> Self {
        let figures = reading.figures();
        Self {
            device_used: figures.map(|figures| figures.used),
            device_process: figures.and_then(|figures| figures.process),
            allocated: allocator.map(|allocator| allocator.allocated),
            host_process: host.map(|host| host.process),
        }
    }

    /// Each figure combined with that of another snapshot.
    pub(super) fn zip<T>(&self, other: &Self, f: impl Fn(Option<u64>, Option<u64>) -> T) -> [T; 4] {
        [
            f(self.device_used, other.device_used),
            f(self.device_process, other.device_process),
            f(self.allocated, other.allocated),
            f(self.host_process, other.host_process),
        ]
    }

    pub(super) fn maximum(&self, other: &Self) -> Self {
        // `None` is below every number.
        let [device_used, device_process, allocated, host_process] = self.zip(other, Option::max);
        Self {
            device_used,
            device_process,
            allocated,
            host_process,
        }
    }
}

/// Bytes gained (or lost) between two snapshots. What is missing in one of them is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Delta {
    /// See [`Snapshot::device_used`].
    pub device_used: Option<i64>,
    /// See [`Snapshot::device_process`].
    pub device_process: Option<i64>,
    /// See [`Snapshot::allocated`].
    pub allocated: Option<i64>,
    /// See [`Snapshot::host_process`].
    pub host_process: Option<i64>,
}

/// What an operation did to memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryProfile {
    /// The operation.
    pub operation: String,
    /// Memory before.
    pub before: Snapshot,
    /// Memory after.
    pub after: Snapshot,
    /// The largest of the readings before, between and after.
    pub peak: Snapshot,
    /// `after` − `before`.
    pub delta: Delta,
}

/// A profile that is being made.
#[derive(Clone, Debug)]
pub struct Profiling {
    operation: String,
    before: Snapshot,
    peak: Snapshot,
}

impl Profiling {
    /// The operation is about to begin.
    pub fn begin(operation: impl Into<String>, before: Snapshot) -> Self {
        Self {
            operation: operation.into(),
            before,
            peak: before,
        }
    }

    /// A reading while it runs.
    pub fn observe(&mut self, between: &Snapshot) {
        self.peak = self.peak.maximum(between);
    }

    /// The operation has ended.
    pub fn end(self, after: Snapshot) -> MemoryProfile {
        let difference = |after: Option<u64>, before: Option<u64>| {
            let difference = i128::from(after?) - i128::from(before?);
            i64::try_from(difference).ok()
        };
        let [device_used, device_process, allocated, host_process] =
            after.zip(&self.before, difference);
        MemoryProfile {
            operation: self.operation,
            before: self.before,
            after,
            peak: self.peak.maximum(&after),
            delta: Delta {
                device_used,
                device_process,
                allocated,
                host_process,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(used: u64) -> Snapshot {
        Snapshot {
            device_used: Some(used),
            ..Default::default()
        }
    }

    #[test]
    fn a_profile_tells_the_difference_and_the_peak_between() {
        let mut profiling = Profiling::begin("encode", device(100));
        profiling.observe(&device(900));
        profiling.observe(&device(700));
        let profile = profiling.end(device(60));
        assert_eq!(profile.delta.device_used, Some(-40));
        assert_eq!(profile.peak, device(900));
    }

    #[test]
    fn a_figure_that_was_not_had_both_times_has_no_difference() {
        let profile = Profiling::begin("encode", Snapshot::default()).end(device(60));
        assert_eq!(profile.delta, Delta::default());
        assert_eq!(profile.peak, device(60));
    }
}
