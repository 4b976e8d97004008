//! What was counted, and what a person could do about it.

use std::ffi::c_char;

use super::call::{call, clear};
use super::context::{CONTEXTS, sam_mm_context};
use super::error::sam_mm_error;
use super::structs::{self, c_struct};
use crate::error::Error;
use crate::memory::analytics::{HealthState, Report};

/// Recoveries, if any, mostly succeed.
pub const SAM_MM_HEALTH_HEALTHY: u32 = 0;
/// At least one in ten of the last ten recoveries failed.
pub const SAM_MM_HEALTH_MONITORING: u32 = 1;
/// At least three in ten failed.
pub const SAM_MM_HEALTH_DEGRADED: u32 = 2;
/// At least six in ten failed.
pub const SAM_MM_HEALTH_CRITICAL: u32 = 3;

/// What was counted in a context since it was made. Peaks that could not be had are 0.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam_mm_memory_report {
    /// `sizeof(sam_mm_memory_report)`.
    pub struct_size: u32,
    /// `SAM_MM_HEALTH_…`.
    pub health: u32,
    /// Encodings and decodings that gave a result.
    pub operations_succeeded: u64,
    /// Encodings and decodings that did not.
    pub operations_failed: u64,
    /// Embeddings that were found in the cache.
    pub embedding_hits: u64,
    /// Embeddings that had to be made.
    pub embedding_misses: u64,
    /// Times that memory was given back by `sam_optimize` or the monitor.
    pub optimizations: u64,
    /// Bytes that were given back so.
    pub optimized_bytes: u64,
    /// Operations that ran out of memory.
    pub recoveries_attempted: u64,
    /// Of those, the ones whose retry gave a result.
    pub recoveries_succeeded: u64,
    /// Times that device memory crossed the warning threshold.
    pub warnings: u64,
    /// Times that device memory crossed the critical threshold.
    pub criticals: u64,
    /// Most bytes of device memory seen in use, by all processes.
    pub peak_device_used: u64,
    /// Most bytes of device memory seen in use by this process.
    pub peak_device_process: u64,
    /// Most bytes in live tensors of the backend's allocator.
    pub peak_allocated: u64,
    /// Most bytes of host memory seen held by this process.
    pub peak_host_process: u64,
    /// Predictions that were found in the cache.
    pub prediction_hits: u64,
    /// Predictions that had to be made.
    pub prediction_misses: u64,
}

c_struct!(sam_mm_memory_report);

/// Tells what was counted. [any thread]
///
/// # Safety
/// `report` points to a struct whose `struct_size` is set; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_memory_describe(
    context: *mut sam_mm_context,
    report: *mut sam_mm_memory_report,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            structs::write(report, &structs::zeroed())?;
            let entry = CONTEXTS.get(context)?;
            structs::write(report, &to_c(&entry.core.memory().report()))
        })
    }
}

fn to_c(report: &Report) -> sam_mm_memory_report {
    let mut to: sam_mm_memory_report = structs::zeroed();
    to.health = match report.health.state {
        HealthState::Healthy => SAM_MM_HEALTH_HEALTHY,
        HealthState::Monitoring => SAM_MM_HEALTH_MONITORING,
        HealthState::Degraded => SAM_MM_HEALTH_DEGRADED,
        HealthState::Critical => SAM_MM_HEALTH_CRITICAL,
    };
    to.operations_succeeded = report.operations.succeeded;
    to.operations_failed = report.operations.failed;
    to.embedding_hits = report.caches.embedding.hits;
    to.embedding_misses = report.caches.embedding.misses;
    to.prediction_hits = report.caches.prediction.hits;
    to.prediction_misses = report.caches.prediction.misses;
    to.optimizations = report.optimizations.count;
    to.optimized_bytes = report.optimizations.freed;
    to.recoveries_attempted = report.recoveries.attempted;
    to.recoveries_succeeded = report.recoveries.recovered;
    to.warnings = report.warnings.warning;
    to.criticals = report.warnings.critical;
    to.peak_device_used = report.peaks.device_used.unwrap_or(0);
    to.peak_device_process = report.peaks.device_process.unwrap_or(0);
    to.peak_allocated = report.peaks.allocated.unwrap_or(0);
    to.peak_host_process = report.peaks.host_process.unwrap_or(0);
    to
}

/// Writes everything that is known as JSON: the figures of `sam_mm_memory_describe` and more, the last 100 recoveries rung
/// by rung, the last 100 operations with what they did to memory, who holds how much, health and recommendations. UTF-8,
/// NUL-terminated. `required` becomes the bytes needed, the NUL included; with a `capacity` below that nothing else is
/// written and the call succeeds, so ask with 0 first. What is not known is `null`; times end in `_ms`, other amounts are
/// bytes. [any thread]
///
/// # Safety
/// `buffer` is NULL (`capacity` is then 0) or points to `capacity` writable bytes; `required` and `error` are NULL or
/// valid places.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_memory_report_json(
    context: *mut sam_mm_context,
    buffer: *mut c_char,
    capacity: u64,
    required: *mut u64,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            clear("required", required, 0)?;
            if buffer.is_null() && capacity > 0 {
                let reason = format!("is NULL, with a capacity of {capacity}");
                return Err(Error::invalid_argument("buffer", reason));
            }
            let entry = CONTEXTS.get(context)?;
            let json = entry.core.memory().report().to_json();
            let needed = json.len() as u64 + 1;
            required.write(needed);
            if capacity >= needed {
                std::ptr::copy_nonoverlapping(json.as_ptr().cast(), buffer, json.len());
                buffer.add(json.len()).write(0);
            }
            Ok(())
        })
    }
}
