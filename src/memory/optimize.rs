//! Giving memory back: how much, and from whom.

use crate::backend::AllocatorMemory;

use super::budget;
use super::config::MemoryConfig;
use super::consumer::{Consumers, Share, total};
use super::figures::Reading;
use super::host::HostMemory;
use super::status::Tier;

/// Bytes to be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// By caches on the device, over and above what the allocator holds unused.
    pub device: u64,
    /// By caches in host memory.
    pub host: u64,
    /// Whether the allocator is to be emptied.
    pub allocator: bool,
}

impl Shortage {
    /// Everything that can be had.
    pub const ALL: Self = Self {
        device: u64::MAX,
        host: u64::MAX,
        allocator: true,
    };

    /// What brings the device below its warning threshold and into the budget, and the host below its own threshold;
    /// `None` when all of that is so. A figure that could not be had asks for nothing.
    pub fn of(
        reading: &Reading,
        allocator: Option<AllocatorMemory>,
        host: Option<&HostMemory>,
        config: &MemoryConfig,
    ) -> Option<Self> {
        let device = reading.figures().map_or(0, |figures| {
            let room = budget::room(figures, allocator, config);
            over(figures.used, figures.total, config.warning_threshold).max(room.excess())
        });
        let host = host.map_or(0, |host| {
            over(
                host.total - host.available,
                host.total,
                config.host_threshold,
            )
        });
        let idle = allocator.map_or(0, |allocator| {
            allocator.reserved.saturating_sub(allocator.allocated)
        });
        (device > 0 || host > 0).then_some(Self {
            // What nobody uses goes before what somebody may ask for again.
            device: device.saturating_sub(idle),
            host,
            allocator: device > 0,
        })
    }
}

/// Bytes to give back until `used` is below `threshold`, which itself counts as reached.
fn over(used: u64, total: u64, threshold: f64) -> u64 {
    let first_reached = (total as f64 * threshold).ceil() as u64;
    used.saturating_sub(first_reached.saturating_sub(1))
}

/// What was given back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Optimized {
    /// By each consumer that was asked, in order.
    pub released: Vec<Share>,
    /// By the allocator.
    pub allocator: u64,
}

impl Optimized {
    /// By caches and the allocator. What caches on the device give back passes through the allocator, so that its bytes
    /// count once.
    pub fn freed(&self) -> u64 {
        let by_tier = |tier| {
            let of_tier = self.released.iter().filter(|share| share.tier == tier);
            of_tier.fold(0_u64, |sum, share| sum.saturating_add(share.bytes))
        };
        let device = by_tier(Tier::Device).max(self.allocator);
        device.saturating_add(by_tier(Tier::Host))
    }

    /// By caches alone.
    pub fn by_caches(&self) -> u64 {
        total(&self.released)
    }
}

/// Gives back what is short: caches on the device, caches in host memory, each in their order, then the allocator.
pub fn optimize(
    shortage: &Shortage,
    consumers: &Consumers,
    empty_allocator: impl FnOnce() -> u64,
) -> Optimized {
    let mut released = match shortage.host {
        0 => consumers.release(Tier::Device, shortage.device),
        _ => consumers.release_sparing_host(Tier::Device, shortage.device),
    };
    released.extend(consumers.release(Tier::Host, shortage.host));
    Optimized {
        released,
        allocator: if shortage.allocator {
            empty_allocator()
        } else {
            0
        },
    }
}

/// Gives back what nobody is likely to ask for again, then empties the allocator: what the monitor does to a full device.
pub fn optimize_unused(consumers: &Consumers, empty_allocator: impl FnOnce() -> u64) -> Optimized {
    Optimized {
        released: consumers.release_unused(),
        allocator: empty_allocator(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::figures::Figures;
    use proptest::prelude::*;

    fn device(used: u64) -> Reading {
        Reading::Known(Figures {
            total: 1000,
            used,
            free: 1000 - used,
            process: Some(used),
        })
    }

    fn host(used: u64) -> HostMemory {
        HostMemory {
            total: 1000,
            available: 1000 - used,
            process: 1,
        }
    }

    fn shortage(reading: Reading, idle: u64, host_used: u64) -> Option<Shortage> {
        let allocator = AllocatorMemory {
            allocated: 0,
            reserved: idle,
        };
        let config = MemoryConfig::default();
        Shortage::of(&reading, Some(allocator), Some(&host(host_used)), &config)
    }

    #[test]
    fn below_the_thresholds_nothing_is_short() {
        assert_eq!(shortage(device(799), 0, 899), None);
        assert_eq!(shortage(Reading::Unknown, 0, 100), None);
        assert_eq!(shortage(Reading::NoDevice, 0, 100), None);
    }

    #[test]
    fn a_full_device_is_short_of_what_leads_below_its_warning_threshold() {
        let short = shortage(device(850), 0, 100).unwrap();
        assert_eq!((short.device, short.host, short.allocator), (51, 0, true));
    }

    #[test]
    fn what_the_allocator_holds_unused_is_given_back_before_any_cache() {
        let short = shortage(device(850), 80, 100).unwrap();
        assert_eq!((short.device, short.allocator), (0, true));
    }

    #[test]
    fn a_full_host_is_short_in_host_memory_and_the_allocator_is_left_alone() {
        let short = shortage(device(100), 80, 950).unwrap();
        assert_eq!((short.device, short.host, short.allocator), (0, 51, false));
    }

    #[test]
    fn what_was_asked_of_each_is_told_and_device_bytes_count_once() {
        let share = |tier, bytes| Share {
            name: "cache".to_owned(),
            tier,
            bytes,
        };
        let optimized = Optimized {
            released: vec![share(Tier::Device, 30), share(Tier::Host, 5)],
            allocator: 40,
        };
        assert_eq!((optimized.by_caches(), optimized.freed()), (35, 45));
    }

    #[test]
    fn the_allocator_is_emptied_only_when_the_device_is_short() {
        let consumers = Consumers::default();
        let short_host = Shortage {
            device: 0,
            host: 1,
            allocator: false,
        };
        assert_eq!(optimize(&short_host, &consumers, || 7).allocator, 0);
        assert_eq!(optimize(&Shortage::ALL, &consumers, || 7).allocator, 7);
        assert_eq!(optimize_unused(&consumers, || 7).allocator, 7);
    }

    proptest! {
        #[test]
        fn giving_back_what_is_over_leads_below_the_threshold(
            total in 1..1_u64 << 24, share in 0.0..=1.0_f64, threshold in 0.01..=1.0_f64,
        ) {
            let used = budget::limit(total, share);
            let left = used - over(used, total, threshold);
            prop_assert!(left == 0 || (left as f64 / total as f64) < threshold);
            // And no further than that.
            prop_assert!(left == used || (left + 1) as f64 / total as f64 >= threshold);
        }
    }
}
