//! The answer of `sam_mem_info`: figures, where they come from, and one line for people.

use crate::backend::{AllocatorMemory, DeviceMemory};

use super::host::HostMemory;

/// What reported the device's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nothing did: the device is a CPU, or no backend is loaded yet.
    None,
    /// The backend, which asked the device's runtime.
    Backend,
}

/// Everything known about memory at one moment. A figure that could not be had is `None`, never 0.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryInfo {
    /// What reported `device`.
    pub source: Source,
    /// The device; `None` on a CPU.
    pub device: Option<DeviceMemory>,
    /// The backend's allocator.
    pub allocator: Option<AllocatorMemory>,
    /// The host.
    pub host: Option<HostMemory>,
    /// Bytes of image embeddings kept by the context.
    pub embedding_cache: u64,
}

/// Bytes of device memory that are not free.
pub fn used(device: &DeviceMemory) -> u64 {
    device.total.saturating_sub(device.free)
}

/// Share of device memory that is used, 0 to 1. A device without memory counts as full.
pub fn utilization(device: &DeviceMemory) -> f64 {
    if device.total == 0 {
        1.0
    } else {
        used(device) as f64 / device.total as f64
    }
}

impl MemoryInfo {
    /// `Used: 2.45 GB / Total: 8.00 GB (30.6%)`, or that there are no figures. A GB is 2³⁰ bytes, as `nvidia-smi` and
    /// the boxes of cards count.
    pub fn formatted(&self) -> String {
        let Some(device) = self.device else {
            return "Running on CPU - memory stats not available".to_owned();
        };
        let gigabytes = |bytes: u64| bytes as f64 / f64::from(1 << 30);
        format!(
            "Used: {:.2} GB / Total: {:.2} GB ({:.1}%)",
            gigabytes(used(&device)),
            gigabytes(device.total),
            utilization(&device) * 100.0
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_device(device: Option<DeviceMemory>) -> MemoryInfo {
        MemoryInfo {
            source: Source::None,
            device,
            allocator: None,
            host: None,
            embedding_cache: 0,
        }
    }

    #[test]
    fn the_line_for_people_reads_as_it_always_did() {
        let gib = f64::from(1 << 30);
        let device = DeviceMemory {
            total: 8 << 30,
            free: (8.0 * gib - 2.45 * gib) as u64,
        };
        assert_eq!(
            with_device(Some(device)).formatted(),
            "Used: 2.45 GB / Total: 8.00 GB (30.6%)"
        );
        assert_eq!(
            with_device(None).formatted(),
            "Running on CPU - memory stats not available"
        );
    }

    #[test]
    fn a_device_without_memory_counts_as_full_not_as_empty() {
        assert_eq!(utilization(&DeviceMemory { total: 0, free: 0 }), 1.0);
    }
}
