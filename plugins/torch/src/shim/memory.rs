//! Allocators: figures, limits, and scopes in which memory is counted and failures are noted.

use core::ffi::c_void;
use core::marker::PhantomData;
use core::ptr::NonNull;
use std::ffi::CString;

use super::failure::Failure;
use super::ffi;

/// Whose memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryOf {
    /// Tensors on the CPU that this plugin made.
    Cpu,
    /// A CUDA device by its ordinal.
    Cuda(u32),
}

impl MemoryOf {
    fn index(self) -> i32 {
        match self {
            Self::Cpu => -1,
            Self::Cuda(ordinal) => ordinal as i32,
        }
    }
}

/// Figures of an allocator, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AllocatorFigures {
    /// In live tensors.
    pub allocated: u64,
    /// Largest `allocated` since the process started or [`reset_peak`].
    pub peak_allocated: u64,
    /// Held by the allocator, in live tensors or kept for reuse.
    pub reserved: u64,
    /// Largest `reserved` since then.
    pub peak_reserved: u64,
    /// Free and total memory of the device; none for the CPU.
    pub device: Option<(u64, u64)>,
}

/// One operation of the plugin on the current thread, as long as the value lives: signals wait, no gradients are recorded, CPU
/// memory is counted, held to its limit and reused, and allocators note their failures so that [`Failure`] knows an
/// out-of-memory for what it is. Scopes nest. What the CPU keeps for reuse is given back when the last one ends.
pub struct Scope {
    scope: NonNull<c_void>,
    /// Bound to the thread: the scope lives in variables of the thread.
    _thread: PhantomData<*const ()>,
}

impl Scope {
    /// Enters a scope.
    ///
    /// # Errors
    /// When the host has no memory left.
    pub fn enter() -> Result<Self, Failure> {
        let mut error = ffi::Error::EMPTY;
        // SAFETY: `error` is a live, writable struct of the type that the function fills.
        let scope = unsafe { ffi::sam_mm_torch_scope_enter(&raw mut error) };
        match NonNull::new(scope) {
            Some(scope) => Ok(Self {
                scope,
                _thread: PhantomData,
            }),
            None => Err(Failure::read(&error)),
        }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `enter` on this thread, which the type cannot leave, and is given back once.
        unsafe { ffi::sam_mm_torch_scope_leave(self.scope.as_ptr()) }
    }
}

/// Figures of an allocator. For CUDA the device must be known to libtorch ([`super::load_cuda`]).
///
/// # Errors
/// When the device does not answer.
pub fn figures(of: MemoryOf) -> Result<AllocatorFigures, Failure> {
    let mut memory = ffi::Memory::default();
    // SAFETY: `memory` is a live, writable struct of the type that the function fills.
    Failure::check(|error| unsafe {
        ffi::sam_mm_torch_memory_read(of.index(), &raw mut memory, error)
    })?;
    Ok(AllocatorFigures {
        allocated: memory.allocated,
        peak_allocated: memory.peak_allocated,
        reserved: memory.reserved,
        peak_reserved: memory.peak_reserved,
        device: (memory.has_device != 0).then_some((memory.device_free, memory.device_total)),
    })
}

/// Makes the peaks what is allocated and reserved now.
///
/// # Errors
/// When the device does not answer.
pub fn reset_peak(of: MemoryOf) -> Result<(), Failure> {
    // SAFETY: the function takes no pointers but the error, which `check` owns.
    Failure::check(|error| unsafe { ffi::sam_mm_torch_memory_reset_peak(of.index(), error) })
}

/// Gives memory that is only kept for reuse back to the system, and returns the bytes.
///
/// # Errors
/// When the device fails.
pub fn trim(of: MemoryOf) -> Result<u64, Failure> {
    let mut freed = 0;
    // SAFETY: `freed` is a live, writable integer.
    Failure::check(|error| unsafe {
        ffi::sam_mm_torch_memory_trim(of.index(), &raw mut freed, error)
    })?;
    Ok(freed)
}

/// Holds CPU tensors made within scopes to that many bytes together; none: no limit. Beyond it, allocations fail as if
/// the memory were not there.
pub fn limit_cpu(bytes: Option<u64>) {
    // SAFETY: the function takes no pointers.
    unsafe { ffi::sam_mm_torch_cpu_set_limit(bytes.unwrap_or(0)) }
}

/// Settings of the device allocators as in `PYTORCH_ALLOC_CONF`, such as
/// `per_process_memory_fraction:0.9,garbage_collection_threshold:0.8`.
///
/// # Errors
/// When libtorch does not know a setting.
pub fn allocator_settings(settings: &str) -> Result<(), Failure> {
    // A NUL cannot be part of a setting: cut there, libtorch refuses what is left when it makes no sense.
    let text = settings.split('\0').next().unwrap_or_default();
    let text = CString::new(text).unwrap_or_default();
    // SAFETY: `text` is NUL-terminated and outlives the call.
    Failure::check(|error| unsafe { ffi::sam_mm_torch_allocator_settings(text.as_ptr(), error) })
}
