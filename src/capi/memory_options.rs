//! Settings of memory: budget, thresholds, what may be done when it runs short, the monitor, the probes.

use std::ffi::c_char;
use std::path::PathBuf;
use std::time::Duration;

use super::call::call_init;
use super::strings;
use super::structs::{self, c_struct};
use crate::context::Options;
use crate::error::Error;
use crate::memory::config::{MemoryConfig, MemoryOptions};
use crate::memory::probe::ProbeOptions;

/// `sam_mm_memory_options.growth`: what `SAM_ENABLE_MEMORY_GROWTH` says, else enabled.
pub const SAM_MM_GROWTH_FROM_ENVIRONMENT: u32 = 0;
/// Memory grows as needed; crossing the budget sheds caches first.
pub const SAM_MM_GROWTH_ENABLED: u32 = 1;
/// The budget is a strict limit, set on the backend's allocator as well.
pub const SAM_MM_GROWTH_DISABLED: u32 = 2;

/// How a context handles memory. Fill it with `sam_mm_memory_options_init`, then change what should differ. Shares are
/// 0 to 1; NaN (default) leaves them to the environment variable named, and then to its default.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam_mm_memory_options {
    /// `sizeof(sam_mm_memory_options)`.
    pub struct_size: u32,
    /// `SAM_MM_GROWTH_…`; default `SAM_MM_GROWTH_FROM_ENVIRONMENT`.
    pub growth: u32,
    /// Share of the device's memory to use at most, what other processes hold included; `SAM_GPU_MEMORY_FRACTION`, 0.9.
    pub fraction: f64,
    /// Share of device memory in use from which there are warnings, and should_cache says no;
    /// `SAM_MEMORY_WARNING_THRESHOLD`, 0.8.
    pub warning_threshold: f64,
    /// Share of device memory in use that is critical; `SAM_MEMORY_CRITICAL_THRESHOLD`, 0.95.
    pub critical_threshold: f64,
    /// Share of host memory in use from which nothing more is cached in it; 0.9, no variable.
    pub host_threshold: f64,
    /// Non-zero (default): a model may be brought to half precision when memory runs short.
    pub lower_precision: u32,
    /// Non-zero (default): an operation may run on the CPU when the GPU has no room for it. Needs a model that was loaded
    /// from a file, or the demo model; it is loaded a second time, into host memory, when that happens first.
    pub cpu_fallback: u32,
    /// Non-zero (default): a background thread looks after memory once a backend is loaded.
    pub monitor: u32,
    /// Milliseconds from one look of that thread to the next; default 1000.
    pub monitor_period_ms: u32,
    /// Bytes of processed images above which those not in use are dropped; default 1000000000.
    pub monitor_image_cache_bytes: u64,
    /// Share of device memory in use above which unused memory is given back; default 0.8.
    pub monitor_device_threshold: f64,
    /// Most milliseconds that figures of `sam_mem_info` are old; default 1000.
    pub max_age_ms: u32,
    /// Zero; for later use.
    pub reserved: u32,
    /// File of NVML; NULL (default) finds `libnvidia-ml.so.1` or `nvml.dll`.
    pub nvml_library: *const c_char,
    /// File of the CUDA runtime; NULL (default) takes the one in the process, or the newest that is found.
    pub cudart_library: *const c_char,
}

c_struct!(sam_mm_memory_options, |options| {
    let defaults = MemoryConfig::default();
    let milliseconds = |time: Duration| time.as_millis() as u32;
    options.fraction = f64::NAN;
    options.warning_threshold = f64::NAN;
    options.critical_threshold = f64::NAN;
    options.host_threshold = f64::NAN;
    options.lower_precision = 1;
    options.cpu_fallback = 1;
    options.monitor = 1;
    options.monitor_period_ms = milliseconds(defaults.monitor.period);
    options.monitor_image_cache_bytes = defaults.monitor.image_cache_bytes;
    options.monitor_device_threshold = defaults.monitor.device_threshold;
    options.max_age_ms = milliseconds(defaults.snapshot_max_age);
});

/// Fills options with their defaults; `struct_size` is `sizeof(sam_mm_memory_options)`. [any thread]
///
/// # Safety
/// `options` points to `struct_size` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_memory_options_init(
    options: *mut sam_mm_memory_options,
    struct_size: u32,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe { call_init(options, struct_size) }
}

/// Puts a caller's memory options into those of a context.
///
/// # Safety
/// `memory` is NULL or valid for its `struct_size`, and its texts are NUL-terminated.
pub(super) unsafe fn apply(
    memory: *const sam_mm_memory_options,
    options: &mut Options,
) -> Result<(), Error> {
    if memory.is_null() {
        return Ok(());
    }
    // SAFETY: as promised by the caller.
    let given = unsafe { structs::read(memory)? };
    structs::reserved("memory.reserved", given.reserved)?;
    let milliseconds = |time: u32| Some(Duration::from_millis(time.into()));
    // SAFETY: as promised by the caller.
    let library =
        |name, text| unsafe { Ok::<_, Error>(strings::optional(name, text)?.map(PathBuf::from)) };
    options.memory = MemoryOptions {
        fraction: share(given.fraction),
        warning_threshold: share(given.warning_threshold),
        critical_threshold: share(given.critical_threshold),
        host_threshold: share(given.host_threshold),
        growth: growth(given.growth)?,
        snapshot_max_age: milliseconds(given.max_age_ms),
        monitor_enabled: Some(given.monitor != 0),
        monitor_period: milliseconds(given.monitor_period_ms),
        monitor_image_cache_bytes: Some(given.monitor_image_cache_bytes),
        monitor_device_threshold: share(given.monitor_device_threshold),
    };
    options.probes = ProbeOptions {
        nvml_library: library("nvml_library", given.nvml_library)?,
        cudart_library: library("cudart_library", given.cudart_library)?,
        ..ProbeOptions::default()
    };
    options.lower_precision = given.lower_precision != 0;
    options.cpu_fallback = given.cpu_fallback != 0;
    Ok(())
}

fn share(value: f64) -> Option<f64> {
    (!value.is_nan()).then_some(value)
}

fn growth(number: u32) -> Result<Option<bool>, Error> {
    match number {
        SAM_MM_GROWTH_FROM_ENVIRONMENT => Ok(None),
        SAM_MM_GROWTH_ENABLED => Ok(Some(true)),
        SAM_MM_GROWTH_DISABLED => Ok(Some(false)),
        other => {
            let reason = format!(
                "is {other}, which is none of SAM_MM_GROWTH_FROM_ENVIRONMENT (0) to SAM_MM_GROWTH_DISABLED (2)"
            );
            Err(Error::invalid_argument("growth", reason))
        }
    }
}
