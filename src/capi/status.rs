//! Status codes, as every `int32_t` function returns them. Numbers are never reused.

/// Success.
pub const SAM_MM_OK: i32 = 0;
/// An argument is wrong; the message holds its name and value.
pub const SAM_MM_ERR_INVALID_ARGUMENT: i32 = 1;
/// A handle is NULL, freed, or of another kind.
pub const SAM_MM_ERR_INVALID_HANDLE: i32 = 2;
/// The request is well formed, but this build, backend or model cannot serve it.
pub const SAM_MM_ERR_UNSUPPORTED: i32 = 3;
/// Memory ran out on the device or the host. Never used for any other failure of a device.
pub const SAM_MM_ERR_OUT_OF_MEMORY: i32 = 4;
/// No backend plugin could be loaded; the message lists every path tried and why it failed.
pub const SAM_MM_ERR_BACKEND_NOT_FOUND: i32 = 5;
/// The backend failed, or its answer is not finite.
pub const SAM_MM_ERR_BACKEND: i32 = 6;
/// Something in the process conflicts with what is needed, such as another version of libtorch.
pub const SAM_MM_ERR_CONFLICT: i32 = 7;
/// A checkpoint file is damaged, incomplete, or not a model that is known.
pub const SAM_MM_ERR_CHECKPOINT: i32 = 8;
/// A file could not be opened or read.
pub const SAM_MM_ERR_IO: i32 = 9;
/// The device asked for does not exist here, or cannot be used.
pub const SAM_MM_ERR_DEVICE_UNAVAILABLE: i32 = 10;
/// The device failed while in use (a device-side assert, a lost GPU); the process must be restarted to use it again.
pub const SAM_MM_ERR_DEVICE_LOST: i32 = 11;
/// The operation was cancelled before it had a result.
pub const SAM_MM_ERR_CANCELLED: i32 = 12;
/// An earlier internal failure left the context unusable; destroy it and make another.
pub const SAM_MM_ERR_POISONED: i32 = 13;
/// A defect of the library or the plugin, caught at the border.
pub const SAM_MM_ERR_INTERNAL: i32 = 14;

#[cfg(test)]
mod tests {
    use sam_mm_backend_abi::abi;

    /// `sam_mm.h` and `sam_mm_backend.h` may be included together: the same names must mean the same numbers.
    #[test]
    fn both_headers_give_a_status_the_same_number() {
        macro_rules! same {
            ($($name:ident),+ $(,)?) => { $( assert_eq!(super::$name, abi::$name, stringify!($name)); )+ };
        }
        same!(
            SAM_MM_OK,
            SAM_MM_ERR_INVALID_ARGUMENT,
            SAM_MM_ERR_INVALID_HANDLE,
            SAM_MM_ERR_UNSUPPORTED,
            SAM_MM_ERR_OUT_OF_MEMORY,
            SAM_MM_ERR_BACKEND_NOT_FOUND,
            SAM_MM_ERR_BACKEND,
            SAM_MM_ERR_CONFLICT,
            SAM_MM_ERR_CHECKPOINT,
            SAM_MM_ERR_IO,
            SAM_MM_ERR_DEVICE_UNAVAILABLE,
            SAM_MM_ERR_DEVICE_LOST,
            SAM_MM_ERR_CANCELLED,
            SAM_MM_ERR_POISONED,
            SAM_MM_ERR_INTERNAL,
        );
    }
}
