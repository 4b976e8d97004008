//! Memory: figures, and giving it back.

use std::ffi::c_char;

use super::call::call;
use super::context::{CONTEXTS, sam_mm_context};
use super::error::sam_mm_error;
use super::strings;
use super::structs::{self, c_struct};
use crate::memory::info::{MemoryInfo, Source, used, utilization};

/// `sam_mm_memory_info.known`: `used`, `total`, `free` and `utilization` are filled.
pub const SAM_MM_MEMORY_DEVICE: u32 = 1;
/// `sam_mm_memory_info.known`: `allocated` and `reserved` are filled.
pub const SAM_MM_MEMORY_ALLOCATOR: u32 = 2;
/// `sam_mm_memory_info.known`: `host_total`, `host_available` and `host_process` are filled.
pub const SAM_MM_MEMORY_HOST: u32 = 4;

/// Nothing reports device memory: the device is a CPU, or no backend has been loaded yet.
pub const SAM_MM_SOURCE_NONE: u32 = 0;
/// The NVIDIA Management Library reports it. Not used by this version.
pub const SAM_MM_SOURCE_NVML: u32 = 1;
/// The CUDA runtime reports it. Not used by this version.
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
}

c_struct!(sam_mm_memory_info, |info| info.utilization = f64::NAN);

/// Tells what is known about memory. It needs no backend and loads none; figures that cannot be had are marked as such,
/// so it fails for bad arguments only. [any thread]
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
        Source::Backend => SAM_MM_SOURCE_BACKEND,
    };
    if let Some(device) = known.device {
        info.known |= SAM_MM_MEMORY_DEVICE;
        (info.used, info.total, info.free) = (used(&device), device.total, device.free);
        info.utilization = utilization(&device);
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
    info
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
    /// Bytes of embeddings dropped from the context's cache. Ones that a running prediction uses go when it ends.
    pub embedding_cache_bytes: u64,
    /// Bytes that the backend's allocator gave back to the device.
    pub allocator_bytes: u64,
}

c_struct!(sam_mm_optimize_report);

/// Gives memory back: drops the cached image embeddings, then has the backend's allocator return what it only keeps for
/// reuse. With `force` 0 this happens when device memory is at least 80 % used or host memory at least 90 %; with any
/// other value always. Dropped embeddings are made again when their image is next predicted on. `report` may be NULL.
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
            let done = entry.core.optimize(force != 0)?;
            if report.is_null() {
                return Ok(());
            }
            let mut answer: sam_mm_optimize_report = structs::zeroed();
            answer.performed = done.performed.into();
            answer.embedding_cache_bytes = done.embedding_cache_bytes;
            answer.allocator_bytes = done.allocator_bytes;
            structs::write(report, &answer)
        })
    }
}
