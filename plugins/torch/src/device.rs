//! Devices: whether they can be used, their memory, and loading models onto them.

use sam_mm_backend_abi::sdk::{
    AllocatorMemory, Backend, BackendError, Checkpoint, Device, DeviceConfig, DeviceMemory,
    DeviceName, LogLevel, MemInfo, Operation, Probe, Result, log,
};

use crate::error::Error;
use crate::model::TorchModel;
use crate::shim::{self, MemoryOf, Scope};

/// The backend.
pub struct Torch;

impl Backend for Torch {
    type Device = TorchDevice;
    const NAME: &'static str = "torch";
    const VERSION: &'static str = concat!(env!("CARGO_PKG_VERSION"), " (libtorch 2.11.0)");

    fn probe(device: DeviceName) -> Result<Probe> {
        Ok(match device {
            DeviceName::Cpu => Probe {
                score: 50,
                reason: format!(
                    "libtorch {} on {} threads",
                    shim::version(),
                    shim::num_threads()
                ),
            },
            DeviceName::Cuda(ordinal) => match usable_cuda(ordinal) {
                Ok(()) => Probe {
                    score: 100,
                    reason: format!("libtorch {} on {device}", shim::version()),
                },
                Err(error) => Probe {
                    score: 0,
                    reason: error.message,
                },
            },
        })
    }

    fn open(config: &DeviceConfig) -> Result<TorchDevice> {
        let device = TorchDevice {
            name: config.device,
        };
        match config.device {
            DeviceName::Cpu => {
                set_threads(config.num_threads)?;
                shim::limit_cpu(config.memory_limit_bytes);
            }
            DeviceName::Cuda(ordinal) => {
                usable_cuda(ordinal)?;
                shim::allow_tf32(config.allow_tf32).map_err(Error::from)?;
                device.limit_cuda(config.memory_limit_bytes)?;
            }
        }
        shim::reset_peak(device.memory()).map_err(Error::from)?;
        Ok(device)
    }
}

/// A device that was opened.
pub struct TorchDevice {
    name: DeviceName,
}

impl TorchDevice {
    fn memory(&self) -> MemoryOf {
        match self.name {
            DeviceName::Cpu => MemoryOf::Cpu,
            DeviceName::Cuda(ordinal) => MemoryOf::Cuda(ordinal),
        }
    }

    /// The device as `tch` has it.
    pub fn torch(&self) -> tch::Device {
        match self.name {
            DeviceName::Cpu => tch::Device::Cpu,
            DeviceName::Cuda(ordinal) => tch::Device::Cuda(ordinal as usize),
        }
    }

    /// Sets libtorch's allocator up, for the whole process: with a limit, which it takes as a fraction of what the device
    /// has, it is strict, and blocks long unused are given back before it is met; without one memory grows as needed, in
    /// segments that expand instead of leaving gaps.
    fn limit_cuda(&self, bytes: Option<u64>) -> Result<()> {
        let figures = shim::figures(self.memory()).map_err(Error::from)?;
        let Some((_, total)) = figures.device.filter(|(_, total)| *total > 0) else {
            return Ok(());
        };
        let setting = match bytes {
            Some(bytes) => strict(bytes, total),
            None => "per_process_memory_fraction:1.0".to_owned(),
        };
        shim::allocator_settings(&setting).map_err(Error::from)?;
        // Whoever set libtorch's allocator up by its own variables knows better.
        let set_by_user = ["PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"]
            .iter()
            .any(|variable| std::env::var_os(variable).is_some());
        if bytes.is_none()
            && !set_by_user
            && let Err(failure) = shim::allocator_settings("expandable_segments:True")
        {
            log(
                LogLevel::Info,
                &format!("libtorch cannot expand segments here: {failure}"),
            );
        }
        Ok(())
    }
}

/// Share of the limit in use from which the allocator gives blocks back that were not used for long.
const COLLECT_FROM: f64 = 0.8;

/// The settings for a limit of so many bytes of `total`.
fn strict(bytes: u64, total: u64) -> String {
    let fraction = (bytes as f64 / total as f64).clamp(0.0, 1.0);
    format!("per_process_memory_fraction:{fraction:.6},garbage_collection_threshold:{COLLECT_FROM}")
}

impl Device for TorchDevice {
    type Model = TorchModel;

    fn mem_info(&self) -> Result<MemInfo> {
        let figures = shim::figures(self.memory()).map_err(Error::from)?;
        Ok(MemInfo {
            device: figures
                .device
                .map(|(free, total)| DeviceMemory { total, free }),
            allocator: Some(AllocatorMemory {
                allocated: figures.allocated,
                reserved: figures.reserved,
            }),
            peak_allocated: Some(figures.peak_allocated),
        })
    }

    fn trim(&self) -> Result<u64> {
        Ok(shim::trim(self.memory()).map_err(Error::from)?)
    }

    fn load_model(
        &self,
        checkpoint: &Checkpoint<'_>,
        operation: &Operation<'_>,
    ) -> Result<TorchModel> {
        let _scope = Scope::enter().map_err(Error::from)?;
        TorchModel::load(self.torch(), checkpoint, operation)
    }
}

/// Whether a CUDA device can be used; if not, why, and what to do.
fn usable_cuda(ordinal: u32) -> Result<()> {
    shim::load_cuda().map_err(|failure| {
        BackendError::device_unavailable(format!(
            "{failure}; install libtorch with its CUDA parts, or use \"cpu\""
        ))
    })?;
    let count = shim::cuda_device_count()
        .map_err(|failure| BackendError::device_unavailable(format!("{failure}; use \"cpu\"")))?;
    if ordinal < count {
        return Ok(());
    }
    let found = match count {
        0 => "libtorch finds no CUDA device: is there an NVIDIA driver, and does CUDA_VISIBLE_DEVICES hide the GPU? Use \"cpu\" without one".to_owned(),
        1 => "libtorch finds one CUDA device, cuda:0".to_owned(),
        _ => format!("libtorch finds {count} CUDA devices, cuda:0 to cuda:{}", count - 1),
    };
    Err(BackendError::device_unavailable(format!(
        "there is no cuda:{ordinal}: {found}"
    )))
}

/// The number of threads is one for the whole process.
fn set_threads(wanted: Option<u32>) -> Result<()> {
    let Some(wanted) = wanted.filter(|&wanted| wanted != shim::num_threads()) else {
        return Ok(());
    };
    log(
        LogLevel::Info,
        &format!(
            "libtorch now uses {wanted} threads on the CPU instead of {}, in the whole process",
            shim::num_threads()
        ),
    );
    Ok(shim::set_num_threads(wanted).map_err(Error::from)?)
}

#[cfg(test)]
mod tests {
    use super::strict;

    #[test]
    fn a_limit_becomes_a_fraction_of_the_device() {
        assert_eq!(
            strict(3 << 30, 8 << 30),
            "per_process_memory_fraction:0.375000,garbage_collection_threshold:0.8"
        );
        assert!(strict(9 << 30, 8 << 30).starts_with("per_process_memory_fraction:1.000000,"));
    }
}
