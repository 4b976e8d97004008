//! What is known at one moment, as a struct and as JSON.

use std::time::Duration;

use serde::Serialize;

use super::health::{Health, HealthState};
use super::profile::{MemoryProfile, Snapshot};
use super::recommendation::Recommendation;
use crate::memory::consumer::Share;
use crate::memory::figures::Figures;
use crate::memory::recovery::{RecoveryRecord, Rung};
use crate::memory::status::Level;

/// Everything that was counted, and what memory is like now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// How full the device is; `None` when that is not known.
    pub status: Option<Level>,
    /// The device; `None` on a CPU, or when its figures could not be had.
    pub device: Option<DeviceReport>,
    /// Share of the host's memory in use, 0 to 1.
    pub host_utilization: Option<f64>,
    /// Operations of the user.
    pub operations: Outcomes,
    /// Look-ups in the caches.
    pub caches: CacheReports,
    /// What each consumer holds, in the order in which they are asked to give it back.
    pub held: Vec<Share>,
    /// Largest readings, each for itself.
    pub peaks: Snapshot,
    /// Thresholds crossed upwards.
    pub warnings: Warnings,
    /// How often memory was given back.
    pub optimizations: Optimizations,
    /// How well recovery does.
    pub health: Health,
    /// Recoveries in all.
    pub recoveries: RecoveryReport,
    /// The last 100 recoveries, the latest last.
    pub recovery_history: Vec<RecoveryRecord>,
    /// The last 100 profiles, the latest last.
    pub profiles: Vec<MemoryProfile>,
    /// What a person could do.
    pub recommendations: Vec<Recommendation>,
}

impl Report {
    /// As JSON. What is not known is `null`; times end in `_ms`, all other amounts are bytes.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a report has no map whose keys are not texts")
    }
}

impl Default for Report {
    fn default() -> Self {
        Self {
            status: None,
            device: None,
            host_utilization: None,
            operations: Outcomes::default(),
            caches: CacheReports::default(),
            held: Vec::new(),
            peaks: Snapshot::default(),
            warnings: Warnings::default(),
            optimizations: Optimizations::default(),
            health: Health {
                state: HealthState::Healthy,
                failure_rate: None,
                recoveries: 0,
            },
            recoveries: RecoveryReport::default(),
            recovery_history: Vec::new(),
            profiles: Vec::new(),
            recommendations: Vec::new(),
        }
    }
}

/// The device now.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct DeviceReport {
    /// Bytes it has.
    pub total: u64,
    /// Bytes in use, by all processes.
    pub used: u64,
    /// Share in use, 0 to 1.
    pub utilization: f64,
}

impl From<&Figures> for DeviceReport {
    fn from(figures: &Figures) -> Self {
        Self {
            total: figures.total,
            used: figures.used,
            utilization: figures.utilization(),
        }
    }
}

/// How operations ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outcomes {
    /// With a result.
    pub succeeded: u64,
    /// Without.
    pub failed: u64,
}

/// Look-ups, by cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct CacheReports {
    /// Processed images.
    pub image: CacheReport,
    /// Image embeddings, in whichever tier: a miss is an encoding.
    pub embedding: CacheReport,
    /// Image embeddings on the device, which is asked first.
    pub embedding_device: CacheReport,
    /// Image embeddings in host memory, which is asked when the device has none.
    pub embedding_host: CacheReport,
    /// Image embeddings on disk, which is asked last.
    pub embedding_disk: CacheReport,
    /// Predictions.
    pub prediction: CacheReport,
}

/// Look-ups in a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct CacheReport {
    /// Found.
    pub hits: u64,
    /// Not found.
    pub misses: u64,
    /// `hits` over all; `None` without any.
    pub hit_rate: Option<f64>,
}

impl CacheReport {
    pub(super) fn rate(&self) -> Option<f64> {
        let all = self.hits + self.misses;
        (all > 0).then(|| self.hits as f64 / all as f64)
    }
}

impl CacheReports {
    pub(super) fn with_rates(self) -> Self {
        let with_rate = |cache: CacheReport| CacheReport {
            hit_rate: cache.rate(),
            ..cache
        };
        Self {
            image: with_rate(self.image),
            embedding: with_rate(self.embedding),
            embedding_device: with_rate(self.embedding_device),
            embedding_host: with_rate(self.embedding_host),
            embedding_disk: with_rate(self.embedding_disk),
            prediction: with_rate(self.prediction),
        }
    }
}

/// Thresholds crossed upwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Warnings {
    /// The warning threshold, and not the critical one at once.
    pub warning: u64,
    /// The critical threshold.
    pub critical: u64,
}

/// How often memory was given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Optimizations {
    /// Times.
    pub count: u64,
    /// Bytes in all.
    pub freed: u64,
}

/// Recoveries in all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecoveryReport {
    /// Operations that ran out of memory.
    pub attempted: u64,
    /// Of these, the ones whose retry succeeded.
    pub recovered: u64,
    /// Of these, the ones that no rung helped.
    pub out_of_memory: u64,
    /// Of these, the ones whose retry failed for another reason.
    pub other_failure: u64,
    /// By rung, from the first.
    pub rungs: [RungReport; 4],
}

impl Default for RecoveryReport {
    fn default() -> Self {
        Self {
            attempted: 0,
            recovered: 0,
            out_of_memory: 0,
            other_failure: 0,
            rungs: Rung::ALL.map(|rung| RungReport {
                rung,
                climbed: 0,
                retried: 0,
                recovered: 0,
                freed: 0,
                took: Duration::ZERO,
            }),
        }
    }
}

/// A rung in all recoveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RungReport {
    /// Which.
    pub rung: Rung,
    /// Times it was climbed.
    pub climbed: u64,
    /// Times it changed something, so that the operation was run again.
    pub retried: u64,
    /// Times that run succeeded.
    pub recovered: u64,
    /// Bytes it gave back in all.
    pub freed: u64,
    /// Time it took in all, without the operation.
    #[serde(
        rename = "took_ms",
        serialize_with = "crate::memory::units::milliseconds"
    )]
    pub took: Duration,
}
