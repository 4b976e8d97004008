//! The answer of `sam_mem_info`: figures, where they come from, and one line for people.

use std::time::Duration;

use crate::backend::AllocatorMemory;

use super::figures::Figures;
use super::host::HostMemory;
use super::probe::{ProbeFailure, Source};

/// Everything known about memory at one moment. A figure that could not be had is `None`, never 0.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryInfo {
    /// What reported `device`.
    pub source: Source,
    /// The device; `None` on a CPU, before a backend is loaded, and when every probe failed.
    pub device: Option<Figures>,
    /// Name of the device's product.
    pub device_name: Option<String>,
    /// NVML's UUID of the GPU or MIG instance.
    pub device_uuid: Option<String>,
    /// The backend's allocator.
    pub allocator: Option<AllocatorMemory>,
    /// The host.
    pub host: Option<HostMemory>,
    /// Bytes of image embeddings kept by the context.
    pub embedding_cache: u64,
    /// Why better sources told nothing, or less than they could.
    pub failures: Vec<ProbeFailure>,
    /// How old the figures are.
    pub age: Duration,
    /// They are older than the context's limit, because a probe takes long.
    pub stale: bool,
    /// There is a device with a memory of its own.
    pub has_device: bool,
}

impl MemoryInfo {
    /// `Used: 2.45 GB / Total: 8.00 GB (30.6%)`, or that there are no figures. A GB is 2³⁰ bytes, as `nvidia-smi` and
    /// the boxes of cards count.
    pub fn formatted(&self) -> String {
        let Some(device) = self.device else {
            return if self.has_device {
                "GPU memory stats not available".to_owned()
            } else {
                "Running on CPU - memory stats not available".to_owned()
            };
        };
        let gigabytes = |bytes: u64| bytes as f64 / f64::from(1 << 30);
        format!(
            "Used: {:.2} GB / Total: {:.2} GB ({:.1}%)",
            gigabytes(device.used),
            gigabytes(device.total),
            device.utilization() * 100.0
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_device(device: Option<Figures>, has_device: bool) -> MemoryInfo {
        MemoryInfo {
            source: Source::None,
            device,
            device_name: None,
            device_uuid: None,
            allocator: None,
            host: None,
            embedding_cache: 0,
            failures: Vec::new(),
            age: Duration::ZERO,
            stale: false,
            has_device,
        }
    }

    #[test]
    fn the_line_for_people_reads_as_it_always_did() {
        let used = (2.45 * f64::from(1 << 30)) as u64;
        let device = Figures {
            total: 8 << 30,
            used,
            free: (8 << 30) - used,
            process: None,
        };
        assert_eq!(
            with_device(Some(device), true).formatted(),
            "Used: 2.45 GB / Total: 8.00 GB (30.6%)"
        );
        assert_eq!(
            with_device(None, false).formatted(),
            "Running on CPU - memory stats not available"
        );
    }

    #[test]
    fn a_gpu_whose_probes_all_failed_is_not_told_as_a_cpu() {
        assert_eq!(
            with_device(None, true).formatted(),
            "GPU memory stats not available"
        );
    }
}
