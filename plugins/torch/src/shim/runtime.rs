//! Process-wide switches of libtorch.

use core::ffi::CStr;

use super::failure::Failure;
use super::ffi;

/// Version of libtorch that the plugin was compiled against, such as `"2.11.0"`.
pub fn version() -> &'static str {
    // SAFETY: the function returns a constant, NUL-terminated text.
    let version = unsafe { CStr::from_ptr(ffi::sam_mm_torch_version()) };
    version.to_str().unwrap_or("unknown")
}

/// Threads for work on the CPU, for the whole process.
///
/// # Errors
/// When libtorch refuses the number.
pub fn set_num_threads(threads: u32) -> Result<(), Failure> {
    let threads = i32::try_from(threads).unwrap_or(i32::MAX);
    // SAFETY: the function takes no pointers but the error, which `check` owns.
    Failure::check(|error| unsafe { ffi::sam_mm_torch_set_num_threads(threads, error) })
}

/// Threads that work on the CPU uses.
pub fn num_threads() -> u32 {
    // SAFETY: the function takes no pointers.
    unsafe { ffi::sam_mm_torch_num_threads() }.max(1) as u32
}

/// Whether matrix products and convolutions on CUDA may round their fp32 inputs to TF32.
///
/// # Errors
/// When libtorch fails.
pub fn allow_tf32(allow: bool) -> Result<(), Failure> {
    // SAFETY: the function takes no pointers but the error, which `check` owns.
    Failure::check(|error| unsafe { ffi::sam_mm_torch_allow_tf32(i32::from(allow), error) })
}

/// Loads the CUDA half of libtorch, which registers CUDA, unless it is loaded.
///
/// # Errors
/// When this libtorch has none, or what it depends on is missing; the message says what.
pub fn load_cuda() -> Result<(), Failure> {
    // SAFETY: the function takes no pointers but the error, which `check` owns.
    Failure::check(|error| unsafe { ffi::sam_mm_torch_load_cuda(error) })
}

/// CUDA devices that can be used. [`load_cuda`] comes first.
///
/// # Errors
/// When libtorch has no CUDA.
pub fn cuda_device_count() -> Result<u32, Failure> {
    let mut count = 0;
    // SAFETY: `count` is a live, writable integer.
    Failure::check(|error| unsafe { ffi::sam_mm_torch_cuda_device_count(&raw mut count, error) })?;
    Ok(count.max(0) as u32)
}
