//! The NVIDIA Management Library: what all processes hold of a device, and what this one does.
//!
//! Opened at run time through `nvml-wrapper`. It asks the driver and touches no CUDA context.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process;

use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;
use nvml_wrapper::{Device, Nvml};

use super::figures::DeviceFigures;
use super::visible_devices::{Gpu, PciBusId};

/// NVML and one device of it.
pub(super) struct NvmlDevice {
    nvml: Nvml,
    /// A GPU's UUID or a MIG instance's. Looked up anew at every reading: a handle may outlive the device.
    uuid: String,
    name: Option<String>,
}

/// What NVML says of a device.
pub(super) struct NvmlReading {
    pub(super) device: DeviceFigures,
    /// Bytes of this process, or why they are not known.
    pub(super) process: Result<u64, String>,
}

impl NvmlDevice {
    /// Loads NVML (from `library`, or from where drivers put it) and takes the device that `choose` names by its UUID.
    pub(super) fn open(
        library: Option<&Path>,
        choose: impl FnOnce(&[Gpu]) -> Result<String, String>,
    ) -> Result<Self, String> {
        let nvml = load(library)?;
        let uuid = choose(&list(&nvml)?)?;
        let name = device(&nvml, &uuid)?.name().ok();
        Ok(Self { nvml, uuid, name })
    }

    /// UUID of the GPU or MIG instance.
    pub(super) fn uuid(&self) -> &str {
        &self.uuid
    }

    /// Name of the product.
    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The figures now.
    pub(super) fn read(&self) -> Result<NvmlReading, String> {
        let device = device(&self.nvml, &self.uuid)?;
        Ok(NvmlReading {
            device: memory(&self.nvml, &device)?,
            process: own_bytes(&device),
        })
    }
}

/// Where NVML is, the best first. The name without a version belongs to development files, and may be a stub.
fn candidates(library: Option<&Path>) -> Vec<PathBuf> {
    if let Some(library) = library {
        return vec![library.to_owned()];
    }
    if cfg!(windows) {
        // Full paths: a bare name would be looked for in the working directory too.
        let folder = |variable, inside: &str| {
            std::env::var_os(variable).map(|root| Path::new(&root).join(inside).join("nvml.dll"))
        };
        return [
            folder("SystemRoot", "System32"),
            folder("ProgramW6432", r"NVIDIA Corporation\NVSMI"),
        ]
        .into_iter()
        .flatten()
        .collect();
    }
    vec!["libnvidia-ml.so.1".into(), "libnvidia-ml.so".into()]
}

fn load(library: Option<&Path>) -> Result<Nvml, String> {
    let mut reasons = Vec::new();
    for candidate in candidates(library) {
        match Nvml::builder().lib_path(candidate.as_os_str()).init() {
            Ok(nvml) => return Ok(nvml),
            Err(error @ NvmlError::LibloadingError(_)) => reasons.push(describe(&error)),
            // NVML is there and cannot run; another file of it would say the same.
            Err(error) => {
                return Err(format!(
                    "{} cannot start: {}",
                    candidate.display(),
                    describe(&error)
                ));
            }
        }
    }
    Err(format!("NVML cannot be loaded: {}", reasons.join("; ")))
}

/// Every GPU that this process may ask about.
fn list(nvml: &Nvml) -> Result<Vec<Gpu>, String> {
    let count = nvml.device_count().map_err(|error| describe(&error))?;
    let mut gpus = Vec::new();
    for index in 0..count {
        // One that fell off the bus, or belongs to somebody else, is not a reason to know nothing of the others.
        if let Ok(Some(gpu)) = nvml.device_by_index(index).map(|device| gpu(&device)) {
            gpus.push(gpu);
        }
    }
    if gpus.is_empty() {
        return Err(format!("NVML lists {count} GPUs and lets none be used"));
    }
    Ok(gpus)
}

fn gpu(device: &Device<'_>) -> Option<Gpu> {
    Some(Gpu {
        uuid: device.uuid().ok()?,
        bus_id: PciBusId::parse(&device.pci_info().ok()?.bus_id)?,
        instances: instances(device),
    })
}

/// UUIDs of the MIG instances; `None` where the GPU is not divided.
fn instances(device: &Device<'_>) -> Option<Vec<String>> {
    const ENABLED: u32 = 1;
    device
        .mig_mode()
        .ok()
        .filter(|mode| mode.current == ENABLED)?;
    let most = device.mig_device_count().unwrap_or(0);
    let uuid = |index| device.mig_device_by_index(index).ok()?.uuid().ok();
    Some((0..most).filter_map(uuid).collect())
}

fn device<'nvml>(nvml: &'nvml Nvml, uuid: &str) -> Result<Device<'nvml>, String> {
    nvml.device_by_uuid(uuid)
        .map_err(|error| format!("{uuid}: {}", describe(&error)))
}

fn memory(nvml: &Nvml, device: &Device<'_>) -> Result<DeviceFigures, String> {
    let figures = match device.memory_info() {
        Ok(memory) => DeviceFigures {
            total: memory.total,
            used: memory.used,
            free: memory.free,
        },
        // Drivers before 510 lack the function that tells what is reserved; the older one counts it as used.
        Err(NvmlError::FailedToLoadSymbol(_)) => memory_v1(nvml, device)?,
        Err(error) => return Err(format!("memory: {}", describe(&error))),
    };
    figures.checked()
}

fn memory_v1(nvml: &Nvml, device: &Device<'_>) -> Result<DeviceFigures, String> {
    let function = nvml
        .lib()
        .nvmlDeviceGetMemoryInfo
        .as_ref()
        .map_err(|error| format!("memory: {error}"))?;
    let mut memory = std::mem::MaybeUninit::zeroed();
    // SAFETY: the function of the loaded NVML with a live handle of it and a place for its answer.
    let status = unsafe { function(device.handle(), memory.as_mut_ptr()) };
    if status != 0 {
        return Err(format!("memory: NVML error {status}"));
    }
    // SAFETY: integers, zeroed above; NVML has filled them.
    let memory = unsafe { memory.assume_init() };
    Ok(DeviceFigures {
        total: memory.total,
        used: memory.used,
        free: memory.free,
    })
}

/// What this process holds of the device. NVML has a list of processes that compute and one of those that draw; one
/// that does both is in both with the same bytes.
fn own_bytes(device: &Device<'_>) -> Result<u64, String> {
    let told = |list: Result<Vec<ProcessInfo>, NvmlError>| {
        list.map_err(|error| format!("list of processes: {}", describe(&error)))
    };
    let compute = own_in(&told(device.running_compute_processes())?)?;
    // MIG instances do not draw, and the list of those that do may be missing: what computes is told all the same.
    let graphics = match told(device.running_graphics_processes()) {
        Ok(list) => own_in(&list)?,
        Err(_) if compute.is_some() => None,
        Err(reason) => return Err(reason),
    };
    compute.max(graphics).ok_or_else(|| {
        "this process is not in the list of processes: it has not used the device yet, or runs in a container whose \
         process numbers are its own"
            .to_owned()
    })
}

/// Bytes of this process in a list; `None` when it is not there.
fn own_in(list: &[ProcessInfo]) -> Result<Option<u64>, String> {
    let mut own = list.iter().filter(|entry| entry.pid == process::id());
    own.try_fold(None, |sum: Option<u64>, entry| {
        match entry.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => Ok(Some(sum.unwrap_or(0).saturating_add(bytes))),
            UsedGpuMemory::Unavailable => {
                Err("the driver does not tell the bytes of a process on this system".to_owned())
            }
        }
    })
}

/// The error with its causes, and what to do where that is known.
fn describe(error: &NvmlError) -> String {
    let hint = match error {
        NvmlError::LibRmVersionMismatch => {
            "; the driver was updated while its old kernel module is loaded: restart the computer"
        }
        NvmlError::DriverNotLoaded => "; load the NVIDIA kernel module, or restart the computer",
        _ => "",
    };
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = inner.source();
    }
    text + hint
}
