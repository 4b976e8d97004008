//! Memory: figures, and giving it back.

use std::ffi::c_char;

use super::call::{call, clear};
use super::context::{CONTEXTS, sam_mm_context};
use super::error::sam_mm_error;
use super::strings;
use super::structs::{self, c_struct};
use crate::error::Error;
use crate::memory::info::MemoryInfo;
use crate::memory::manager::{EMBEDDING_CACHE, IMAGE_CACHE, OptimizeReport, PREDICTION_CACHE};
use crate::memory::probe::Source;
use crate::memory::status::{Status, Tier};

/// `sam_mm_memory_info.known`: `used`, `total`, `free` and `utilization` are filled.
pub const SAM_MM_MEMORY_DEVICE: u32 = 1;
/// `sam_mm_memory_info.known`: `allocated` and `reserved` are filled.
pub const SAM_MM_MEMORY_ALLOCATOR: u32 = 2;
/// `sam_mm_memory_info.known`: `host_total`, `host_available` and `host_process` are filled.
pub const SAM_MM_MEMORY_HOST: u32 = 4;
/// `sam_mm_memory_info.known`: `process` is filled.
pub const SAM_MM_MEMORY_PROCESS: u32 = 8;

/// Nothing reports device memory: the device is a CPU, no backend has been loaded yet, or every probe failed.
pub const SAM_MM_SOURCE_NONE: u32 = 0;
/// The NVIDIA Management Library (NVML) reports it.
pub const SAM_MM_SOURCE_NVML: u32 = 1;
/// The CUDA runtime reports it (`cudaMemGetInfo`).
pub const SAM_MM_SOURCE_CUDA: u32 = 2;
/// The backend reports it.
pub const SAM_MM_SOURCE_BACKEND: u32 = 3;

/// Memory at one moment. A figure whose bit in `known` is not set could not be had; it then is 0 (`utilization`: NaN)
/// and means nothing.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam_mm_memory_info {
    /// `sizeof(sam_mm_memory_info)`.
    pub struct_size: u32,
    /// Which figures are filled: bits `SAM_MM_MEMORY_…`.
    pub known: u32,
    /// What reports device memory: `SAM_MM_SOURCE_…`.
    pub source: u32,
    /// Zero; keeps the next field aligned.
    pub reserved_zero: u32,
    /// Bytes of device memory in use, by all processes.
    pub used: u64,
    /// Bytes of device memory.
    pub total: u64,
    /// Bytes of device memory that are free.
    pub free: u64,
    /// `used / total`, 0 to 1.
    pub utilization: f64,
    /// Bytes in live tensors of the backend's allocator.
    pub allocated: u64,
    /// Bytes the backend's allocator holds, live or kept for reuse.
    pub reserved: u64,
    /// Bytes of image embeddings kept by this context.
    pub embedding_cache: u64,
    /// Bytes of host memory this process could use; inside a container those of its limit.
    pub host_total: u64,
    /// Bytes of host memory that can still be had without swapping.
    pub host_available: u64,
    /// Bytes of host memory this process holds (resident set).
    pub host_process: u64,
    /// One line for people: `Used: 2.45 GB / Total: 8.00 GB (30.6%)`, or
    /// `Running on CPU - memory stats not available`.
    pub formatted: [c_char; 128],
    /// Bytes of device memory that this process holds.
    pub process: u64,
    /// Milliseconds that the figures are old.
    pub age_ms: u64,
    /// 1 when they are older than the context's `max_age_ms`, because a driver takes long to answer; else 0.
    pub stale: u32,
    /// Zero; for later use.
    pub reserved_zero_2: u32,
    /// Name of the device's product; empty when not known.
    pub device_name: [c_char; 96],
    /// NVML's UUID of the GPU or MIG instance; empty when not known.
    pub device_uuid: [c_char; 96],
    /// Why better sources told nothing, or less than they could; empty when there is nothing to say.
    pub failures: [c_char; 512],
}

c_struct!(sam_mm_memory_info, |info| info.utilization = f64::NAN);

/// Tells what is known about memory. It needs no backend and loads none; figures that cannot be had are marked as such,
/// so it fails for bad arguments only. Before a backend is loaded the device is not known, and `formatted` is what it is on
/// the CPU. [any thread]
///
/// # Safety
/// `info` points to a struct whose `struct_size` is set; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mem_info(
    context: *mut sam_mm_context,
    info: *mut sam_mm_memory_info,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            structs::write(info, &structs::CStruct::defaults())?;
            let entry = CONTEXTS.get(context)?;
            structs::write(info, &answer(&entry.core.memory_info()))
        })
    }
}

fn answer(known: &MemoryInfo) -> sam_mm_memory_info {
    let mut info: sam_mm_memory_info = structs::CStruct::defaults();
    info.source = match known.source {
        Source::None => SAM_MM_SOURCE_NONE,
        Source::Nvml => SAM_MM_SOURCE_NVML,
        Source::CudaRuntime => SAM_MM_SOURCE_CUDA,
        Source::Backend => SAM_MM_SOURCE_BACKEND,
    };
    if let Some(device) = known.device {
        info.known |= SAM_MM_MEMORY_DEVICE;
        (info.used, info.total, info.free) = (device.used, device.total, device.free);
        info.utilization = device.utilization();
        if let Some(process) = device.process {
            info.known |= SAM_MM_MEMORY_PROCESS;
            info.process = process;
        }
    }
    if let Some(allocator) = known.allocator {
        info.known |= SAM_MM_MEMORY_ALLOCATOR;
        (info.allocated, info.reserved) = (allocator.allocated, allocator.reserved);
    }
    if let Some(host) = known.host {
        info.known |= SAM_MM_MEMORY_HOST;
        (info.host_total, info.host_available, info.host_process) =
            (host.total, host.available, host.process);
    }
    info.embedding_cache = known.embedding_cache;
    info.formatted = strings::fill(&known.formatted());
    info.age_ms = known.age.as_millis() as u64;
    info.stale = known.stale.into();
    info.device_name = strings::fill(known.device_name.as_deref().unwrap_or(""));
    info.device_uuid = strings::fill(known.device_uuid.as_deref().unwrap_or(""));
    let failures: Vec<String> = known
        .failures
        .iter()
        .map(|failure| format!("{}: {}", failure.source, failure.reason))
        .collect();
    info.failures = strings::fill(&failures.join("; "));
    info
}

/// Below the warning threshold, or no GPU.
pub const SAM_MM_STATUS_OK: u32 = 0;
/// From the warning threshold on.
pub const SAM_MM_STATUS_WARNING: u32 = 1;
/// From the critical threshold on.
pub const SAM_MM_STATUS_CRITICAL: u32 = 2;
/// There is a GPU, and nothing could tell how full it is.
pub const SAM_MM_STATUS_UNKNOWN: u32 = 3;

/// How full device memory is.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam_mm_memory_status {
    /// `sizeof(sam_mm_memory_status)`.
    pub struct_size: u32,
    /// `SAM_MM_STATUS_…`.
    pub level: u32,
    /// Share in use, 0 to 1; NaN when not known or below the warning threshold.
    pub utilization: f64,
    /// `Critical GPU memory usage: 96.0%`, `High GPU memory usage: 83.1%`, or empty when there is nothing to say.
    pub message: [c_char; 128],
}

c_struct!(sam_mm_memory_status, |status| status.utilization = f64::NAN);

/// Holds device memory against the thresholds. [any thread]
///
/// # Safety
/// `status` points to a struct whose `struct_size` is set; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_memory_check(
    context: *mut sam_mm_context,
    status: *mut sam_mm_memory_status,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            structs::write(status, &structs::CStruct::defaults())?;
            let entry = CONTEXTS.get(context)?;
            let known = entry.core.memory().status();
            let mut answer: sam_mm_memory_status = structs::CStruct::defaults();
            (answer.level, answer.utilization) = match known {
                Status::Ok => (SAM_MM_STATUS_OK, f64::NAN),
                Status::Warning { utilization } => (SAM_MM_STATUS_WARNING, utilization),
                Status::Critical { utilization } => (SAM_MM_STATUS_CRITICAL, utilization),
                Status::Unknown => (SAM_MM_STATUS_UNKNOWN, f64::NAN),
            };
            answer.message = strings::fill(known.message().as_deref().unwrap_or(""));
            structs::write(status, &answer)
        })
    }
}

/// Memory of the device.
pub const SAM_MM_TIER_DEVICE: u32 = 0;
/// Memory of the host.
pub const SAM_MM_TIER_HOST: u32 = 1;

/// Tells whether a cache may keep something more: `may_cache` becomes 1 when device memory is below the warning threshold
/// and host memory below its own (for `SAM_MM_TIER_HOST`: when host memory is), else 0. A figure that is not known counts
/// as no. [any thread]
///
/// # Safety
/// `may_cache` and `error` are NULL or valid places.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_memory_should_cache(
    context: *mut sam_mm_context,
    tier: u32,
    may_cache: *mut u32,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            clear("may_cache", may_cache, 0)?;
            let tier = match tier {
                SAM_MM_TIER_DEVICE => Tier::Device,
                SAM_MM_TIER_HOST => Tier::Host,
                other => {
                    let reason = format!(
                        "is {other}, which is neither SAM_MM_TIER_DEVICE (0) nor SAM_MM_TIER_HOST (1)"
                    );
                    return Err(Error::invalid_argument("tier", reason));
                }
            };
            let entry = CONTEXTS.get(context)?;
            may_cache.write(entry.core.memory().should_cache(tier).is_ok().into());
            Ok(())
        })
    }
}

/// What `sam_optimize` did.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam_mm_optimize_report {
    /// `sizeof(sam_mm_optimize_report)`.
    pub struct_size: u32,
    /// 1 when memory was given back, 0 when there was no need.
    pub performed: u32,
    /// Bytes of embeddings dropped from the context's cache. What a running prediction uses stays.
    pub embedding_cache_bytes: u64,
    /// Bytes that the backend's allocator gave back to the device.
    pub allocator_bytes: u64,
    /// Bytes of processed images dropped.
    pub image_cache_bytes: u64,
    /// Which of the following are filled: bits `SAM_MM_MEMORY_…`.
    pub known: u32,
    /// Zero; for later use.
    pub reserved: u32,
    /// Bytes of device memory in use before, by all processes.
    pub used_before: u64,
    /// The same after.
    pub used_after: u64,
    /// Bytes in live tensors of the backend's allocator before.
    pub allocated_before: u64,
    /// The same after.
    pub allocated_after: u64,
    /// Bytes of host memory this process held before.
    pub host_process_before: u64,
    /// The same after.
    pub host_process_after: u64,
    /// Bytes of predictions dropped from the context's cache. What results of the caller's hold stays.
    pub prediction_cache_bytes: u64,
}

c_struct!(sam_mm_optimize_report);

/// Gives memory back: processed images, then predictions, then image embeddings, the least recently used first, then what
/// the backend's allocator only keeps for reuse. With `force` 0 only what is short: so much that device memory falls below its warning
/// threshold and into the budget, and host memory below its own; nothing when neither is reached. With any other value
/// all that can be had. Dropped embeddings are made again when their image is next predicted on, predictions when they are asked for. `report` may be NULL.
/// [any thread]
///
/// # Safety
/// `report` is NULL or points to a struct whose `struct_size` is set; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_optimize(
    context: *mut sam_mm_context,
    force: i32,
    report: *mut sam_mm_optimize_report,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |call| {
            if !report.is_null() {
                structs::write(report, &structs::zeroed())?;
            }
            let entry = CONTEXTS.get(context)?;
            call.enter(&entry.core)?;
            let done = entry.core.optimize(force != 0);
            if report.is_null() {
                return Ok(());
            }
            structs::write(report, &report_of(&done))
        })
    }
}

fn report_of(done: &OptimizeReport) -> sam_mm_optimize_report {
    let by = |name: &str| {
        let shares = done.optimized.released.iter();
        shares
            .filter(|share| share.name == name)
            .map(|share| share.bytes)
            .sum()
    };
    let mut to: sam_mm_optimize_report = structs::zeroed();
    to.performed = done.performed.into();
    to.embedding_cache_bytes = by(EMBEDDING_CACHE);
    to.image_cache_bytes = by(IMAGE_CACHE);
    to.prediction_cache_bytes = by(PREDICTION_CACHE);
    to.allocator_bytes = done.optimized.allocator;
    let (before, after) = (&done.before, &done.after);
    let mut known = |bit, before: Option<u64>, after: Option<u64>| match (before, after) {
        (Some(before), Some(after)) => {
            to.known |= bit;
            (before, after)
        }
        _ => (0, 0),
    };
    let used = known(SAM_MM_MEMORY_DEVICE, before.device_used, after.device_used);
    let allocated = known(SAM_MM_MEMORY_ALLOCATOR, before.allocated, after.allocated);
    let host = known(SAM_MM_MEMORY_HOST, before.host_process, after.host_process);
    (to.used_before, to.used_after) = used;
    (to.allocated_before, to.allocated_after) = allocated;
    (to.host_process_before, to.host_process_after) = host;
    to
}
