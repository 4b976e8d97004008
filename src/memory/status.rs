//! How full the device is, and whether something more may be kept.

use std::fmt;

use serde::Serialize;
use thiserror::Error;

use super::config::MemoryConfig;
use super::figures::Reading;
use super::host::HostMemory;

/// How full the device is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Status {
    /// Below the warning threshold, or there is no device with a memory of its own.
    Ok,
    /// From the warning threshold on.
    Warning {
        /// Share in use, 0 to 1.
        utilization: f64,
    },
    /// From the critical threshold on.
    Critical {
        /// Share in use, 0 to 1.
        utilization: f64,
    },
    /// The figures could not be had: neither good nor bad.
    Unknown,
}

/// A [`Status`] without its numbers, the graver the larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// See [`Status::Ok`].
    Ok,
    /// See [`Status::Warning`].
    Warning,
    /// See [`Status::Critical`].
    Critical,
}

/// How full the device is, held against the thresholds.
pub fn check(reading: &Reading, config: &MemoryConfig) -> Status {
    let utilization = match reading {
        Reading::NoDevice => return Status::Ok,
        Reading::Unknown => return Status::Unknown,
        Reading::Known(figures) => figures.utilization(),
    };
    if utilization >= config.critical_threshold {
        Status::Critical { utilization }
    } else if utilization >= config.warning_threshold {
        Status::Warning { utilization }
    } else {
        Status::Ok
    }
}

impl Status {
    /// The level; `None` when unknown.
    pub fn level(&self) -> Option<Level> {
        match self {
            Self::Ok => Some(Level::Ok),
            Self::Warning { .. } => Some(Level::Warning),
            Self::Critical { .. } => Some(Level::Critical),
            Self::Unknown => None,
        }
    }

    /// Whether it is critical. What is unknown is not: the operation itself will tell.
    pub fn is_critical(&self) -> bool {
        matches!(self, Self::Critical { .. })
    }

    /// What there is to say; `None` when all is well.
    pub fn message(&self) -> Option<String> {
        match self {
            Self::Ok => None,
            Self::Warning { utilization } => Some(format!(
                "High GPU memory usage: {:.1}%",
                utilization * 100.0
            )),
            Self::Critical { utilization } => Some(format!(
                "Critical GPU memory usage: {:.1}%",
                utilization * 100.0
            )),
            Self::Unknown => Some("GPU memory usage unknown: the probe failed".to_owned()),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
        })
    }
}

/// Notices when the level changes.
#[derive(Debug)]
pub struct Crossings {
    last: Level,
}

/// A change of level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// The level before.
    pub from: Level,
    /// The level now.
    pub to: Level,
}

impl Default for Crossings {
    fn default() -> Self {
        Self { last: Level::Ok }
    }
}

impl Crossings {
    /// The change that this status is, if it is one. While the status is unknown, the last known level stands.
    pub fn observe(&mut self, status: &Status) -> Option<Crossing> {
        let to = status.level()?;
        let from = std::mem::replace(&mut self.last, to);
        (from != to).then_some(Crossing { from, to })
    }
}

/// Where something is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Memory of the device.
    Device,
    /// Memory of the host.
    Host,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Device => "device",
            Self::Host => "host",
        })
    }
}

/// Why something is not kept.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
pub enum NotKept {
    /// The device is too full.
    #[error("the GPU is {:.1}% full; nothing is cached on it from {:.1}% on", utilization * 100.0, threshold * 100.0)]
    DeviceFull {
        /// Share in use, 0 to 1.
        utilization: f64,
        /// From where on nothing is kept.
        threshold: f64,
    },
    /// The host is too full.
    #[error("the host's memory is {:.1}% full; nothing is cached in it from {:.1}% on", utilization * 100.0, threshold * 100.0)]
    HostFull {
        /// Share in use, 0 to 1.
        utilization: f64,
        /// From where on nothing is kept.
        threshold: f64,
    },
    /// A gate whose figure is unknown stays closed.
    #[error("how full the {0}'s memory is could not be had")]
    Unknown(Tier),
}

/// Whether something may be cached on the device: the device is below the warning threshold and the host below its own.
///
/// # Errors
/// Why not. An unknown figure closes the gate.
pub fn should_cache(
    reading: &Reading,
    host: Option<&HostMemory>,
    config: &MemoryConfig,
) -> Result<(), NotKept> {
    let threshold = config.warning_threshold;
    match reading {
        Reading::NoDevice => {}
        Reading::Unknown => return Err(NotKept::Unknown(Tier::Device)),
        Reading::Known(figures) => {
            let utilization = figures.utilization();
            if utilization >= threshold {
                return Err(NotKept::DeviceFull {
                    utilization,
                    threshold,
                });
            }
        }
    }
    should_cache_in(Tier::Host, reading, host, config)
}

/// [`should_cache`] by where the item lives: what is held in host memory does not depend on how full a GPU is, which may
/// be other processes' doing. The byte budget of the cache itself comes on top.
///
/// # Errors
/// Why not.
pub fn should_cache_in(
    tier: Tier,
    reading: &Reading,
    host: Option<&HostMemory>,
    config: &MemoryConfig,
) -> Result<(), NotKept> {
    if tier == Tier::Device {
        return should_cache(reading, host, config);
    }
    let utilization = host.ok_or(NotKept::Unknown(Tier::Host))?.utilization();
    let threshold = config.host_threshold;
    if utilization >= threshold {
        return Err(NotKept::HostFull {
            utilization,
            threshold,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::figures::Figures;

    fn used(permille: u64) -> Reading {
        Reading::Known(Figures {
            total: 1000,
            used: permille,
            free: 1000 - permille,
            process: None,
        })
    }

    fn host(percent: u64) -> HostMemory {
        HostMemory {
            total: 100,
            available: 100 - percent,
            process: 1,
        }
    }

    #[test]
    fn the_texts_are_those_of_sam_annotator() {
        let message = |reading| check(&reading, &MemoryConfig::default()).message();
        assert_eq!(
            message(used(960)).unwrap(),
            "Critical GPU memory usage: 96.0%"
        );
        assert_eq!(message(used(831)).unwrap(), "High GPU memory usage: 83.1%");
        assert_eq!(message(used(306)), None);
    }

    #[test]
    fn a_threshold_belongs_to_the_graver_side() {
        let level = |permille| check(&used(permille), &MemoryConfig::default()).level();
        assert_eq!(
            [799, 800, 949, 950].map(level),
            [
                Some(Level::Ok),
                Some(Level::Warning),
                Some(Level::Warning),
                Some(Level::Critical)
            ]
        );
    }

    #[test]
    fn defect_11_a_failed_probe_is_unknown_and_opens_no_gate_on_the_device() {
        let config = MemoryConfig::default();
        let status = check(&Reading::Unknown, &config);
        assert_eq!((status, status.level()), (Status::Unknown, None));
        assert!(status.message().unwrap().contains("unknown"));
        assert_eq!(
            should_cache(&Reading::Unknown, Some(&host(10)), &config),
            Err(NotKept::Unknown(Tier::Device))
        );
        assert_eq!(
            should_cache_in(Tier::Host, &used(100), None, &config),
            Err(NotKept::Unknown(Tier::Host))
        );
    }

    #[test]
    fn defect_11_what_lives_in_host_memory_does_not_care_how_full_the_gpu_is() {
        let config = MemoryConfig::default();
        for reading in [used(990), Reading::Unknown, Reading::NoDevice] {
            assert_eq!(
                should_cache_in(Tier::Host, &reading, Some(&host(89)), &config),
                Ok(())
            );
            assert!(should_cache_in(Tier::Host, &reading, Some(&host(90)), &config).is_err());
        }
    }

    #[test]
    fn the_device_caches_below_its_warning_threshold_with_the_host_below_90_percent() {
        let config = MemoryConfig::default();
        let may = |permille, percent| {
            should_cache(&used(permille), Some(&host(percent)), &config).is_ok()
        };
        assert_eq!(
            [may(799, 89), may(800, 89), may(799, 90)],
            [true, false, false]
        );
        assert!(should_cache(&Reading::NoDevice, Some(&host(10)), &config).is_ok());
    }

    #[test]
    fn a_refusal_says_how_full_and_from_where_on() {
        let refusal = should_cache(&used(831), Some(&host(10)), &MemoryConfig::default());
        assert_eq!(
            refusal.unwrap_err().to_string(),
            "the GPU is 83.1% full; nothing is cached on it from 80.0% on"
        );
    }

    #[test]
    fn a_crossing_is_noticed_once_and_an_unknown_status_is_none() {
        let config = MemoryConfig::default();
        let mut crossings = Crossings::default();
        let mut seen = Vec::new();
        for reading in [
            used(100),
            used(850),
            used(860),
            Reading::Unknown,
            used(870),
            used(960),
            used(100),
        ] {
            seen.extend(
                crossings
                    .observe(&check(&reading, &config))
                    .map(|crossing| (crossing.from, crossing.to)),
            );
        }
        assert_eq!(
            seen,
            [
                (Level::Ok, Level::Warning),
                (Level::Warning, Level::Critical),
                (Level::Critical, Level::Ok)
            ]
        );
    }
}
