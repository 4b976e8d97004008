//! Structs that start with `struct_size`, read and written across minor versions.

use core::mem::MaybeUninit;
use core::ptr;

use crate::abi;
use crate::error::{BackendError, Result};

/// A `#[repr(C)]` struct of the ABI whose first field is `struct_size: u32`.
///
/// # Safety
/// The type starts with that field, and all bytes zero is a value of it.
pub unsafe trait AbiStruct: Sized {
    /// Name in messages.
    const NAME: &'static str;
    /// Size of the struct in version 1.0: no side may give less.
    const MIN_SIZE: u32;
}

macro_rules! abi_struct {
    ($($name:ident $min:expr),* $(,)?) => {$(
        // SAFETY: `repr(C)`, begins with `struct_size: u32`, and holds only integers, arrays of them, raw pointers and
        // optional function pointers, for all of which zero is a value.
        unsafe impl AbiStruct for abi::$name {
            const NAME: &'static str = stringify!($name);
            const MIN_SIZE: u32 = $min;
        }
        const _: () = assert!(core::mem::offset_of!(abi::$name, struct_size) == 0);
        const _: () = assert!(size_of::<abi::$name>() >= $min as usize);
    )*};
}

/// Bytes of `words` 32-bit fields, `longs` 64-bit fields, `pointers`, and text.
const fn size(words: u32, longs: u32, pointers: u32, text: usize) -> u32 {
    4 * words + 8 * longs + size_of::<*const ()>() as u32 * pointers + text as u32
}

abi_struct! {
    sam_mm_host size(2, 0, 4, 0),
    sam_mm_backend_error size(2, 2, 0, abi::SAM_MM_BACKEND_MESSAGE_LEN),
    sam_mm_backend_probe size(2, 0, 0, abi::SAM_MM_BACKEND_REASON_LEN),
    sam_mm_backend_device_config size(4, 1, 1, 0),
    sam_mm_backend_mem_info size(2, 5, 0, 0),
    sam_mm_backend_checkpoint size(2, 1, 3, 0),
    sam_mm_backend_model_info size(6, 4, 2, 0),
    sam_mm_backend_plan size(4, 0, 0, 0),
    sam_mm_backend_estimate size(2, 3, 0, 0),
    sam_mm_backend_pixels size(6, 1, 1, 0),
    sam_mm_backend_prompts size(4, 0, 7, 0),
    sam_mm_backend_masks size(2, 0, 3, 0),
    sam_mm_backend size(2, 0, 19, 0),
    sam_mm_backend_embedding_half size(2, 0, 1, 0),
}

/// A struct with every byte zero but `struct_size`.
pub fn zeroed<T: AbiStruct>() -> T {
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: by `AbiStruct` the first field is a `u32` and zero bytes are a value.
    unsafe {
        value
            .as_mut_ptr()
            .cast::<u32>()
            .write(size_of::<T>() as u32);
        value.assume_init()
    }
}

/// Copies the struct at `source`: what its writer did not know of is zero, what this side does not know of is left.
///
/// `argument` names the parameter in messages.
///
/// # Errors
/// `SAM_MM_ERR_INVALID_ARGUMENT` for NULL, a misaligned address, or a `struct_size` below that of version 1.0.
///
/// # Safety
/// `source` is NULL or readable for as many bytes as its `struct_size` says (at least 4).
pub unsafe fn read<T: AbiStruct>(source: *const T, argument: &str) -> Result<T> {
    // SAFETY: as promised by the caller.
    let given = unsafe { checked_size(source, argument)? };
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: both sides hold at least `min(given, size_of::<T>())` bytes; zero bytes are a value of `T`.
    unsafe {
        ptr::copy_nonoverlapping(
            source.cast::<u8>(),
            value.as_mut_ptr().cast::<u8>(),
            (given as usize).min(size_of::<T>()),
        );
        Ok(value.assume_init())
    }
}

/// Checks a struct that will be written to, before the work whose result goes into it.
///
/// # Errors
/// As [`read`].
///
/// # Safety
/// As [`read`], and writable.
pub unsafe fn check_output<T: AbiStruct>(target: *mut T, argument: &str) -> Result<()> {
    // SAFETY: as promised by the caller.
    unsafe { checked_size(target, argument).map(drop) }
}

/// Copies `value` to `target` as far as its owner knows the struct; its `struct_size` stays.
///
/// # Safety
/// `target` passed [`check_output`] and is writable for as many bytes as its `struct_size` says.
pub unsafe fn write<T: AbiStruct>(target: *mut T, value: &T) {
    const PREFIX: usize = size_of::<u32>();
    // SAFETY: both sides hold at least `min(given, size_of::<T>())` bytes, of which the first four are skipped.
    unsafe {
        let given = target.cast::<u32>().read() as usize;
        ptr::copy_nonoverlapping(
            ptr::from_ref(value).cast::<u8>().add(PREFIX),
            target.cast::<u8>().add(PREFIX),
            given.min(size_of::<T>()) - PREFIX,
        );
    }
}

/// # Safety
/// `source` is NULL or readable for four bytes.
unsafe fn checked_size<T: AbiStruct>(source: *const T, argument: &str) -> Result<u32> {
    if source.is_null() {
        return Err(BackendError::invalid_argument(format!(
            "{argument} is NULL; a {} is needed",
            T::NAME
        )));
    }
    if !source.is_aligned() {
        return Err(BackendError::invalid_argument(format!(
            "{argument} is at {source:p}, which is not aligned to {} bytes as a {} must be",
            align_of::<T>(),
            T::NAME
        )));
    }
    // SAFETY: not NULL, aligned, and readable by the caller's promise.
    let given = unsafe { source.cast::<u32>().read() };
    if given < T::MIN_SIZE {
        return Err(BackendError::invalid_argument(format!(
            "{argument}.struct_size is {given}; a {} has at least {} bytes (was struct_size set?)",
            T::NAME,
            T::MIN_SIZE
        )));
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::sam_mm_backend_plan as plan;

    // Where pointers have four bytes, padding before 64-bit fields adds to the count.
    #[cfg(target_pointer_width = "64")]
    #[test]
    fn version_one_sizes_are_the_sizes_of_today() {
        assert_eq!(
            size_of::<abi::sam_mm_host>() as u32,
            abi::sam_mm_host::MIN_SIZE
        );
        assert_eq!(
            size_of::<abi::sam_mm_backend_error>() as u32,
            abi::sam_mm_backend_error::MIN_SIZE
        );
        assert_eq!(
            size_of::<abi::sam_mm_backend_probe>() as u32,
            abi::sam_mm_backend_probe::MIN_SIZE
        );
        assert_eq!(
            size_of::<abi::sam_mm_backend_device_config>() as u32,
            abi::sam_mm_backend_device_config::MIN_SIZE
        );
        assert_eq!(
            size_of::<abi::sam_mm_backend_mem_info>() as u32,
            abi::sam_mm_backend_mem_info::MIN_SIZE
        );
        assert_eq!(
            size_of::<abi::sam_mm_backend_checkpoint>() as u32,
            abi::sam_mm_backend_checkpoint::MIN_SIZE
        );
        assert_eq!(
            size_of::<abi::sam_mm_backend_model_info>() as u32,
            abi::sam_mm_backend_model_info::MIN_SIZE
        );
        assert_eq!(size_of::<plan>() as u32, plan::MIN_SIZE);
        assert_eq!(
            size_of::<abi::sam_mm_backend_estimate>() as u32,
            abi::sam_mm_backend_estimate::MIN_SIZE
        );
        assert_eq!(
            size_of::<abi::sam_mm_backend_pixels>() as u32,
            abi::sam_mm_backend_pixels::MIN_SIZE
        );
        assert_eq!(
            size_of::<abi::sam_mm_backend_prompts>() as u32,
            abi::sam_mm_backend_prompts::MIN_SIZE
        );
        assert_eq!(
            size_of::<abi::sam_mm_backend_masks>() as u32,
            abi::sam_mm_backend_masks::MIN_SIZE
        );
        assert_eq!(
            size_of::<abi::sam_mm_backend>() as u32,
            abi::sam_mm_backend::MIN_SIZE
        );
    }

    #[test]
    fn a_struct_from_a_later_minor_version_is_read_as_far_as_known() {
        #[repr(C)]
        struct Later {
            known: plan,
            added: u64,
        }
        let mut later = Later {
            known: plan {
                num_objects: 3,
                ..zeroed()
            },
            added: 9,
        };
        later.known.struct_size = size_of::<Later>() as u32;
        // SAFETY: `Later` begins with the plan and is as large as its `struct_size` says.
        let read: plan = unsafe { read(&raw const later.known, "plan").unwrap() };
        assert_eq!((read.num_objects, later.added), (3, 9));
    }

    #[test]
    fn a_null_or_short_struct_is_refused_with_its_name() {
        // SAFETY: NULL is allowed.
        let error = unsafe { read::<plan>(ptr::null(), "plan").unwrap_err() };
        assert_eq!(
            error.message,
            "plan is NULL; a sam_mm_backend_plan is needed"
        );
        let short = plan {
            struct_size: 4,
            ..Default::default()
        };
        // SAFETY: a whole struct.
        let error = unsafe { read(&raw const short, "plan").unwrap_err() };
        assert_eq!(
            error.message,
            "plan.struct_size is 4; a sam_mm_backend_plan has at least 16 bytes (was struct_size set?)"
        );
    }

    #[test]
    fn an_output_keeps_the_size_its_owner_gave() {
        let mut target = plan {
            struct_size: 16,
            ..Default::default()
        };
        // SAFETY: a whole struct.
        unsafe {
            write(
                &raw mut target,
                &plan {
                    struct_size: 99,
                    num_objects: 2,
                    ..Default::default()
                },
            )
        };
        assert_eq!((target.struct_size, target.num_objects), (16, 2));
    }
}
