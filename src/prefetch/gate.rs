//! Whether memory is such that something may be made before anybody wants it.

use std::fmt;

use crate::memory::config::MemoryConfig;
use crate::memory::info::MemoryInfo;
use crate::memory::status::Tier;

/// Why nothing is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Closed {
    /// A memory is too full.
    Full {
        /// Which.
        tier: Tier,
        /// Share in use, 0 to 1.
        utilization: f64,
        /// It goes on at this share.
        resumes_at: f64,
    },
    /// How full a memory is could not be had.
    Unknown(Tier),
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |tier: &Tier| match tier {
            Tier::Device => "GPU memory",
            Tier::Host => "host memory",
        };
        match self {
            Self::Full {
                tier,
                utilization,
                resumes_at,
            } => write!(
                f,
                "{} is {:.1}% full; prefetching goes on at {:.1}%",
                name(tier),
                utilization * 100.0,
                resumes_at * 100.0
            ),
            Self::Unknown(tier) => write!(f, "how full {} is could not be had", name(tier)),
        }
    }
}

/// How full the memories are, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fullness {
    /// Of the device; `None` where there is none, and inside that when it could not be had.
    pub device: Option<Option<f64>>,
    /// Of the host; `None` when it could not be had.
    pub host: Option<f64>,
}

impl Fullness {
    /// As memory is now.
    pub fn of(info: &MemoryInfo) -> Self {
        let device = info.device.map(|figures| figures.utilization());
        Self {
            device: info.has_device.then_some(device),
            host: info.host.map(|host| host.utilization()),
        }
    }
}

/// Closes at the thresholds that hold for caches, and opens again only a margin below.
#[derive(Debug)]
pub struct Gate {
    device: Side,
    host: Side,
}

#[derive(Debug)]
struct Side {
    tier: Tier,
    threshold: f64,
    margin: f64,
    closed: bool,
}

impl Gate {
    /// An open gate.
    pub fn new(config: &MemoryConfig) -> Self {
        let side = |tier, threshold| Side {
            tier,
            threshold,
            margin: config.monitor.margin,
            closed: false,
        };
        Self {
            device: side(Tier::Device, config.warning_threshold),
            host: side(Tier::Host, config.host_threshold),
        }
    }

    /// Whether something may be made now.
    ///
    /// # Errors
    /// Why not.
    pub fn look(&mut self, fullness: Fullness) -> Result<(), Closed> {
        if let Some(device) = fullness.device {
            self.device.look(device)?;
        }
        self.host.look(fullness.host)
    }
}

impl Side {
    fn look(&mut self, utilization: Option<f64>) -> Result<(), Closed> {
        let utilization = utilization.ok_or(Closed::Unknown(self.tier))?;
        let resumes_at = self.threshold - self.margin;
        self.closed = utilization >= self.threshold || (self.closed && utilization > resumes_at);
        if self.closed {
            return Err(Closed::Full {
                tier: self.tier,
                utilization,
                resumes_at,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> Gate {
        Gate::new(&MemoryConfig::default())
    }

    fn on_gpu(device: f64) -> Fullness {
        Fullness {
            device: Some(Some(device)),
            host: Some(0.1),
        }
    }

    #[test]
    fn it_closes_at_the_warning_threshold_and_opens_a_margin_below() {
        let mut gate = gate();
        let open: Vec<bool> = [0.79, 0.8, 0.79, 0.76, 0.75, 0.79, 0.95, 0.751, 0.2]
            .map(|device| gate.look(on_gpu(device)).is_ok())
            .into();
        let wanted = [true, false, false, false, true, true, false, false, true];
        assert_eq!(open, wanted);
    }

    #[test]
    fn a_full_host_closes_it_with_and_without_a_gpu() {
        for device in [None, Some(Some(0.1))] {
            let mut gate = gate();
            let mut look = |host| {
                gate.look(Fullness {
                    device,
                    host: Some(host),
                })
            };
            assert!(look(0.89).is_ok());
            let said = look(0.9).unwrap_err().to_string();
            assert_eq!(
                said,
                "host memory is 90.0% full; prefetching goes on at 85.0%"
            );
            assert!(look(0.86).is_err() && look(0.85).is_ok());
        }
    }

    #[test]
    fn what_is_not_known_closes_it_and_is_forgotten_when_it_is() {
        let mut gate = gate();
        let unknown = Fullness {
            device: Some(None),
            host: Some(0.1),
        };
        assert_eq!(gate.look(unknown), Err(Closed::Unknown(Tier::Device)));
        assert_eq!(gate.look(on_gpu(0.79)), Ok(()));
        let no_host = Fullness {
            device: None,
            host: None,
        };
        assert_eq!(gate.look(no_host), Err(Closed::Unknown(Tier::Host)));
    }
}
