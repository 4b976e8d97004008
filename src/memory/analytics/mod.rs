//! What happened, counted: operations, caches, peaks, warnings, optimisations, recoveries.
//!
//! [`Analytics`] collects; [`Report`] is what it knows at one moment, as a struct and as JSON.

mod health;
mod profile;
mod recommendation;
mod report;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::backend::AllocatorMemory;

pub use health::{Health, HealthState};
pub use profile::{Delta, MemoryProfile, Profiling, Snapshot};
pub use recommendation::{Recommendation, Topic, recommend};
pub use report::{
    CacheReport, CacheReports, DeviceReport, Optimizations, Outcomes, RecoveryReport, Report,
    RungReport, Warnings,
};

use super::config::MemoryConfig;
use super::consumer::Share;
use super::figures::Reading;
use super::host::HostMemory;
use super::recovery::{RecoveryOutcome, RecoveryRecord, RungOutcome};
use super::status::{self, Crossing, Crossings, Level};

/// Recoveries and profiles remembered one by one.
pub const HISTORY: usize = 100;

/// A cache whose look-ups are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cache {
    /// Processed images.
    Image,
    /// Image embeddings, in whichever tier.
    Embedding,
    /// Image embeddings on the device.
    EmbeddingDevice,
    /// Image embeddings in host memory.
    EmbeddingHost,
    /// Image embeddings on disk.
    EmbeddingDisk,
    /// Predictions.
    Prediction,
}

impl fmt::Display for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Image => "image",
            Self::Embedding => "embedding",
            Self::EmbeddingDevice => "embedding (device)",
            Self::EmbeddingHost => "embedding (host)",
            Self::EmbeddingDisk => "embedding (disk)",
            Self::Prediction => "prediction",
        })
    }
}

/// Collects what happened in a context. From any thread; nothing here waits for a device.
#[derive(Default)]
pub struct Analytics {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    operations: Outcomes,
    caches: CacheReports,
    peaks: Snapshot,
    warnings: Warnings,
    crossings: Crossings,
    optimizations: Optimizations,
    recoveries: RecoveryReport,
    history: VecDeque<RecoveryRecord>,
    profiles: VecDeque<MemoryProfile>,
}

impl Analytics {
    /// An operation of the user ended.
    pub fn operation(&self, succeeded: bool) {
        let operations = &mut self.lock().operations;
        if succeeded {
            operations.succeeded += 1;
        } else {
            operations.failed += 1;
        }
    }

    /// A cache was asked.
    pub fn looked_up(&self, cache: Cache, hit: bool) {
        let caches = &mut self.lock().caches;
        let counts = match cache {
            Cache::Image => &mut caches.image,
            Cache::Embedding => &mut caches.embedding,
            Cache::EmbeddingDevice => &mut caches.embedding_device,
            Cache::EmbeddingHost => &mut caches.embedding_host,
            Cache::EmbeddingDisk => &mut caches.embedding_disk,
            Cache::Prediction => &mut caches.prediction,
        };
        if hit {
            counts.hits += 1;
        } else {
            counts.misses += 1;
        }
    }

    /// Look-ups in a cache so far.
    pub fn lookups(&self, cache: Cache) -> CacheReport {
        let caches = self.lock().caches.with_rates();
        match cache {
            Cache::Image => caches.image,
            Cache::Embedding => caches.embedding,
            Cache::EmbeddingDevice => caches.embedding_device,
            Cache::EmbeddingHost => caches.embedding_host,
            Cache::EmbeddingDisk => caches.embedding_disk,
            Cache::Prediction => caches.prediction,
        }
    }

    /// Memory was read. Raises the peaks, counts a warning when a threshold is crossed upwards, and gives the crossing.
    pub fn read(
        &self,
        reading: &Reading,
        allocator: Option<AllocatorMemory>,
        host: Option<&HostMemory>,
        config: &MemoryConfig,
    ) -> Option<Crossing> {
        let mut state = self.lock();
        let seen = Snapshot::new(reading, allocator, host);
        state.peaks = state.peaks.maximum(&seen);
        let crossing = state.crossings.observe(&status::check(reading, config))?;
        if crossing.to > crossing.from {
            match crossing.to {
                Level::Ok => {}
                Level::Warning => state.warnings.warning += 1,
                Level::Critical => state.warnings.critical += 1,
            }
        }
        Some(crossing)
    }

    /// Memory was given back, by whomever asked for it.
    pub fn optimized(&self, freed: u64) {
        let optimizations = &mut self.lock().optimizations;
        optimizations.count += 1;
        optimizations.freed = optimizations.freed.saturating_add(freed);
    }

    /// An operation went through recovery.
    pub fn recovery(&self, record: RecoveryRecord) {
        let mut state = self.lock();
        state.recoveries.add(&record);
        push(&mut state.history, record);
    }

    /// An operation was profiled.
    pub fn profile(&self, profile: MemoryProfile) {
        let mut state = self.lock();
        state.peaks = state.peaks.maximum(&profile.peak);
        push(&mut state.profiles, profile);
    }

    /// Everything, with what memory and the consumers are like now.
    pub fn report(
        &self,
        reading: &Reading,
        host: Option<&HostMemory>,
        held: Vec<Share>,
        config: &MemoryConfig,
    ) -> Report {
        let state = self.lock();
        let mut report = Report {
            status: status::check(reading, config).level(),
            device: reading.figures().map(DeviceReport::from),
            host_utilization: host.map(HostMemory::utilization),
            operations: state.operations,
            caches: state.caches.with_rates(),
            held,
            peaks: state.peaks,
            warnings: state.warnings,
            optimizations: state.optimizations,
            health: Health::of(&state.history),
            recoveries: state.recoveries.clone(),
            recovery_history: state.history.iter().cloned().collect(),
            profiles: state.profiles.iter().cloned().collect(),
            recommendations: Vec::new(),
        };
        report.recommendations = recommend(&report);
        report
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds to a history, which forgets its oldest.
fn push<T>(history: &mut VecDeque<T>, item: T) {
    if history.len() == HISTORY {
        history.pop_front();
    }
    history.push_back(item);
}

impl RecoveryReport {
    fn add(&mut self, record: &RecoveryRecord) {
        self.attempted += 1;
        match record.outcome {
            RecoveryOutcome::Recovered => self.recovered += 1,
            RecoveryOutcome::OutOfMemory => self.out_of_memory += 1,
            RecoveryOutcome::OtherFailure => self.other_failure += 1,
        }
        for climbed in &record.rungs {
            let Some(rung) = self.rungs.iter_mut().find(|rung| rung.rung == climbed.rung) else {
                continue;
            };
            rung.climbed += 1;
            rung.retried += u64::from(climbed.retried());
            rung.recovered += u64::from(climbed.outcome == RungOutcome::Recovered);
            rung.freed = rung.freed.saturating_add(climbed.freed);
            rung.took += climbed.took;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::figures::Figures;
    use crate::memory::recovery::{Rung, RungRecord};
    use crate::memory::status::Tier;
    use proptest::prelude::*;
    use std::time::Duration;

    fn used(used: u64) -> Reading {
        Reading::Known(Figures {
            total: 1000,
            used,
            free: 1000 - used,
            process: Some(used / 2),
        })
    }

    fn read(analytics: &Analytics, reading: Reading) {
        analytics.read(&reading, None, None, &MemoryConfig::default());
    }

    fn report(analytics: &Analytics) -> Report {
        analytics.report(&used(100), None, Vec::new(), &MemoryConfig::default())
    }

    fn record(rungs: &[(Rung, u64, RungOutcome)], outcome: RecoveryOutcome) -> RecoveryRecord {
        RecoveryRecord {
            operation: "encode".to_owned(),
            at: Duration::from_millis(1500),
            requested: Some(700),
            free: Some(100),
            rungs: rungs
                .iter()
                .map(|&(rung, freed, outcome)| RungRecord {
                    rung,
                    freed,
                    took: Duration::from_millis(2),
                    retry_took: Duration::from_millis(30),
                    outcome,
                })
                .collect(),
            outcome,
        }
    }

    #[test]
    fn defect_14_a_peak_is_the_largest_reading_and_not_the_number_of_them() {
        let analytics = Analytics::default();
        for reading in [used(300), used(900), Reading::Unknown, used(500)] {
            read(&analytics, reading);
        }
        let peaks = report(&analytics).peaks;
        assert_eq!(
            (peaks.device_used, peaks.device_process),
            (Some(900), Some(450))
        );
        assert_eq!(peaks.host_process, None);
    }

    #[test]
    fn defect_14_warnings_are_counted_when_a_threshold_is_crossed() {
        let analytics = Analytics::default();
        for permille in [700, 850, 870, 960, 970, 870, 700, 990, 100] {
            read(&analytics, used(permille));
        }
        let warnings = report(&analytics).warnings;
        assert_eq!((warnings.warning, warnings.critical), (1, 2));
    }

    #[test]
    fn defect_2_an_operation_that_always_fails_is_told_as_failures_and_critical() {
        let analytics = Analytics::default();
        let rungs = [
            (Rung::ReleaseCaches, 50, RungOutcome::StillOutOfMemory),
            (Rung::EmptyAllocator, 0, RungOutcome::NothingChanged),
            (Rung::Cpu, 0, RungOutcome::StillOutOfMemory),
        ];
        for _ in 0..3 {
            analytics.recovery(record(&rungs, RecoveryOutcome::OutOfMemory));
        }
        let report = report(&analytics);
        let totals = &report.recoveries;
        assert_eq!(
            (totals.attempted, totals.recovered, totals.out_of_memory),
            (3, 0, 3)
        );
        let first = &totals.rungs[0];
        assert_eq!(
            (first.climbed, first.retried, first.recovered, first.freed),
            (3, 3, 0, 150)
        );
        assert_eq!((totals.rungs[1].climbed, totals.rungs[1].retried), (3, 0));
        assert_eq!(report.health.state, HealthState::Critical);
    }

    #[test]
    fn a_success_counts_for_the_rung_whose_retry_succeeded() {
        let analytics = Analytics::default();
        let rungs = [
            (Rung::ReleaseCaches, 50, RungOutcome::StillOutOfMemory),
            (Rung::LowerPrecision, 0, RungOutcome::Recovered),
        ];
        analytics.recovery(record(&rungs, RecoveryOutcome::Recovered));
        let totals = report(&analytics).recoveries;
        let recovered: Vec<_> = totals.rungs.iter().map(|rung| rung.recovered).collect();
        assert_eq!((totals.recovered, recovered), (1, vec![0, 0, 1, 0]));
    }

    #[test]
    fn the_last_hundred_recoveries_are_remembered_and_all_are_counted() {
        let analytics = Analytics::default();
        for number in 0..105 {
            let mut record = record(&[], RecoveryOutcome::Recovered);
            record.requested = Some(number);
            analytics.recovery(record);
        }
        let report = report(&analytics);
        assert_eq!(report.recoveries.attempted, 105);
        assert_eq!(report.recovery_history.len(), 100);
        assert_eq!(report.recovery_history[0].requested, Some(5));
    }

    #[test]
    fn a_hit_rate_is_hits_over_lookups_and_unknown_without_any() {
        let analytics = Analytics::default();
        for hit in [true, true, true, false] {
            analytics.looked_up(Cache::Embedding, hit);
        }
        let caches = report(&analytics).caches;
        assert_eq!(
            (caches.embedding.hit_rate, caches.image.hit_rate),
            (Some(0.75), None)
        );
    }

    #[test]
    fn the_json_tells_what_the_struct_does() {
        let analytics = Analytics::default();
        analytics.operation(true);
        analytics.operation(false);
        analytics.looked_up(Cache::Prediction, true);
        analytics.optimized(77);
        read(&analytics, used(850));
        let rungs = [(Rung::EmptyAllocator, 5, RungOutcome::Recovered)];
        analytics.recovery(record(&rungs, RecoveryOutcome::Recovered));
        let held = Share {
            name: "prediction cache".to_owned(),
            tier: Tier::Host,
            bytes: 12,
        };
        let config = MemoryConfig::default();
        let report = analytics.report(&used(850), None, vec![held], &config);
        let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
        for (pointer, value) in [
            ("/status", serde_json::json!("warning")),
            ("/device/utilization", serde_json::json!(0.85)),
            ("/host_utilization", serde_json::Value::Null),
            ("/operations/failed", serde_json::json!(1)),
            ("/caches/prediction/hit_rate", serde_json::json!(1.0)),
            ("/caches/image/hit_rate", serde_json::Value::Null),
            (
                "/held/0",
                serde_json::json!({"name": "prediction cache", "tier": "host", "bytes": 12}),
            ),
            ("/peaks/device_used", serde_json::json!(850)),
            ("/warnings/warning", serde_json::json!(1)),
            ("/optimizations/freed", serde_json::json!(77)),
            (
                "/recoveries/rungs/1/rung",
                serde_json::json!("empty_allocator"),
            ),
            ("/recoveries/rungs/1/took_ms", serde_json::json!(2.0)),
            ("/recovery_history/0/at_ms", serde_json::json!(1500.0)),
            (
                "/recovery_history/0/rungs/0/outcome",
                serde_json::json!("recovered"),
            ),
            ("/health/state", serde_json::json!("healthy")),
            (
                "/recommendations/0/topic",
                serde_json::json!("gpu_memory_high"),
            ),
        ] {
            assert_eq!(json.pointer(pointer), Some(&value), "{pointer} in {json}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_read_a_peak_is_its_maximum(readings in proptest::collection::vec(0..1000_u64, 1..50)) {
            let analytics = Analytics::default();
            readings.iter().for_each(|&reading| read(&analytics, used(reading)));
            prop_assert_eq!(report(&analytics).peaks.device_used, readings.iter().copied().max());
        }
    }
}
