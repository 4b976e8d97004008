//! What policies are told about a device's memory, whoever read it.

use crate::backend::DeviceMemory;

/// Bytes of a device at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Bytes the device has.
    pub total: u64,
    /// Bytes in use, by all processes.
    pub used: u64,
    /// Bytes free for any process. What the driver keeps for itself is neither used nor free.
    pub free: u64,
    /// Bytes of `used` that this process holds; `None` where the source cannot tell processes apart.
    pub process: Option<u64>,
}

impl Figures {
    /// Share of the total that is used, 0 to 1. A device without memory counts as full.
    pub fn utilization(&self) -> f64 {
        if self.total == 0 {
            1.0
        } else {
            (self.used as f64 / self.total as f64).min(1.0)
        }
    }
}

impl From<DeviceMemory> for Figures {
    fn from(device: DeviceMemory) -> Self {
        Self {
            total: device.total,
            used: device.total.saturating_sub(device.free),
            free: device.free,
            process: None,
        }
    }
}

/// What came of asking for a device's figures. A failure is its own answer: it never reads as an empty device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// There is no device with a memory of its own: everything runs on the CPU.
    NoDevice,
    /// There is a device, and nothing could tell its figures.
    Unknown,
    /// The figures.
    Known(Figures),
}

impl Reading {
    /// The figures, where there are any.
    pub fn figures(&self) -> Option<&Figures> {
        match self {
            Self::Known(figures) => Some(figures),
            Self::NoDevice | Self::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_never_above_one_and_a_device_without_memory_is_full() {
        let figures = |total, used| Figures {
            total,
            used,
            free: 0,
            process: None,
        };
        assert_eq!(figures(0, 0).utilization(), 1.0);
        assert_eq!(figures(8, 9).utilization(), 1.0);
        assert_eq!(figures(8, 2).utilization(), 0.25);
    }

    #[test]
    fn what_a_backend_tells_becomes_figures_without_a_process() {
        let figures = Figures::from(DeviceMemory { total: 8, free: 3 });
        assert_eq!((figures.used, figures.process), (5, None));
    }
}
