//! What an exception of libtorch was.

use core::ffi::CStr;
use core::fmt;

use tch::TchError;

use super::ffi;

/// An exception of libtorch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    kind: FailureKind,
    message: String,
}

/// What an exception means for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// Memory ran out on the device or the host, and nothing else happened.
    OutOfMemory {
        /// Bytes asked for, where known.
        requested: Option<u64>,
        /// Bytes that were free on the device, where known.
        free: Option<u64>,
    },
    /// The device refuses all further work in this process (a device-side assert, an illegal address).
    DeviceLost,
    /// Anything else.
    Other,
}

impl Failure {
    /// What it means for the caller.
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    /// Whether memory ran out.
    pub fn is_out_of_memory(&self) -> bool {
        matches!(self.kind, FailureKind::OutOfMemory { .. })
    }

    /// Calls a function of the shim that fills an error and returns 0 on success.
    pub(super) fn check(call: impl FnOnce(*mut ffi::Error) -> i32) -> Result<(), Self> {
        let mut error = ffi::Error::EMPTY;
        match call(&raw mut error) {
            0 => Ok(()),
            _ => Err(Self::read(&error)),
        }
    }

    /// From an error that the shim filled: there, the type of the exception decided.
    pub(super) fn read(error: &ffi::Error) -> Self {
        let failed = take_failed_allocation();
        let kind = match error.kind {
            ffi::OUT_OF_MEMORY => FailureKind::OutOfMemory {
                requested: (error.has_requested != 0).then_some(error.requested_bytes),
                free: failed.and_then(|f| f.free),
            },
            ffi::DEVICE_LOST => FailureKind::DeviceLost,
            _ => FailureKind::Other,
        };
        // SAFETY: the shim ends the message with a NUL inside of the array, and `EMPTY` is all NUL.
        let message = unsafe { CStr::from_ptr(error.message.as_ptr()) };
        Self {
            kind,
            message: message.to_string_lossy().trim_end().to_owned(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "libtorch failed: {}", self.message)
    }
}

impl std::error::Error for Failure {}

/// `tch` catches exceptions and keeps their text alone. An out-of-memory is known all the same: within a
/// [`Scope`](super::Scope) the allocators note on the thread that they are about to throw, and the text must be theirs.
impl From<TchError> for Failure {
    fn from(error: TchError) -> Self {
        let failed = take_failed_allocation();
        let message = match error {
            TchError::Torch(text) => without_backtrace(&text).to_owned(),
            other => other.to_string(),
        };
        Self {
            kind: classify(&message, failed),
            message,
        }
    }
}

#[derive(Clone, Copy)]
struct FailedAllocation {
    requested: u64,
    free: Option<u64>,
}

fn take_failed_allocation() -> Option<FailedAllocation> {
    let mut failed = ffi::FailedAllocation::default();
    // SAFETY: `failed` is a live, writable struct of the type that the function fills.
    let noted = unsafe { ffi::sam_mm_torch_take_failed_allocation(&raw mut failed) };
    (noted != 0).then(|| FailedAllocation {
        requested: failed.requested_bytes,
        free: (failed.has_free != 0).then_some(failed.free_bytes),
    })
}

/// libtorch appends the C++ stack to the text.
fn without_backtrace(text: &str) -> &str {
    let end = text.find("\nException raised from ").unwrap_or(text.len());
    text[..end].trim_end()
}

fn classify(message: &str, failed: Option<FailedAllocation>) -> FailureKind {
    if let Some(failed) = failed.filter(|_| is_text_of_allocator(message)) {
        return FailureKind::OutOfMemory {
            requested: Some(failed.requested),
            free: failed.free,
        };
    }
    if is_exhaustion_of_library(message) {
        return FailureKind::OutOfMemory {
            requested: None,
            free: None,
        };
    }
    match message.strip_prefix("CUDA error: ") {
        Some(error) if STICKY_CUDA_ERRORS.iter().any(|e| error.starts_with(e)) => {
            FailureKind::DeviceLost
        }
        _ => FailureKind::Other,
    }
}

/// The counting CPU allocator of the shim and the caching allocator of CUDA start their texts so.
fn is_text_of_allocator(message: &str) -> bool {
    message.starts_with("CPU out of memory. Tried to allocate ")
        || message.starts_with("CUDA out of memory. Tried to allocate ")
}

/// Memory that ran out beneath the allocators: in the CUDA driver, in cuBLAS or cuDNN, in `operator new`.
fn is_exhaustion_of_library(message: &str) -> bool {
    message == "std::bad_alloc"
        || message.starts_with("CUDA error: out of memory")
        || message.starts_with("CUDA error: CUBLAS_STATUS_ALLOC_FAILED")
        || message.starts_with("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")
}

/// `cudaGetErrorString` of the errors after which CUDA refuses all further work; the same list as in
/// `shim/failure.cpp`, there as numbers.
const STICKY_CUDA_ERRORS: [&str; 11] = [
    "uncorrectable ECC error encountered",
    "uncorrectable NVLink error detected during the execution",
    "an illegal memory access was encountered",
    "the launch timed out and was terminated",
    "device-side assert triggered",
    "hardware stack error",
    "an illegal instruction was encountered",
    "misaligned address",
    "operation not supported on global/shared address space",
    "invalid program counter",
    "unspecified launch failure",
];

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: Option<FailedAllocation> = Some(FailedAllocation {
        requested: 4096,
        free: Some(100),
    });

    #[test]
    fn a_failed_allocation_with_the_text_of_its_allocator_is_an_out_of_memory() {
        let text =
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8 GiB";
        let expected = FailureKind::OutOfMemory {
            requested: Some(4096),
            free: Some(100),
        };
        assert_eq!(classify(text, FAILED), expected);
    }

    #[test]
    fn a_device_side_assert_is_a_lost_device_even_after_an_allocation_that_failed() {
        let text =
            "CUDA error: device-side assert triggered\nCUDA kernel errors might be reported later";
        assert_eq!(classify(text, FAILED), FailureKind::DeviceLost);
        assert_eq!(classify(text, None), FailureKind::DeviceLost);
    }

    #[test]
    fn a_text_that_only_speaks_of_cuda_or_memory_is_no_out_of_memory() {
        for text in [
            "CUDA error: invalid argument",
            "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!",
            "the model says: CUDA out of memory. Tried to allocate 1 byte",
            "CPU out of memory. Tried to allocate 12 bytes",
        ] {
            assert_eq!(classify(text, None), FailureKind::Other, "{text}");
        }
    }

    #[test]
    fn memory_that_ran_out_beneath_the_allocators_is_an_out_of_memory() {
        for text in [
            "std::bad_alloc",
            "CUDA error: out of memory\nCUDA kernel errors might be reported later",
            "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        ] {
            let kind = classify(text, None);
            assert!(matches!(kind, FailureKind::OutOfMemory { .. }), "{text}");
        }
    }

    #[test]
    fn the_stack_of_libtorch_is_cut_from_the_message() {
        let text =
            "shapes differ\nException raised from f at x.cpp:3 (most recent call first):\nframe #0";
        let failure = Failure::from(TchError::Torch(text.into()));
        assert_eq!(failure.to_string(), "libtorch failed: shapes differ");
    }
}
