//! Structs that cross the border: sized, append-only, never read or written beyond what the caller has.

use std::mem::{MaybeUninit, align_of, size_of};

use crate::error::Error;

/// A struct of the C API.
///
/// # Safety
/// `#[repr(C)]`, starts with `struct_size: u32`, every byte pattern is a valid value, no `Drop`.
pub unsafe trait CStruct: Copy {
    /// Its C name, for messages.
    const NAME: &'static str;

    /// The defaults, with `struct_size` filled.
    fn defaults() -> Self;
}

/// Implements [`CStruct`]: zeros, `struct_size`, and what the closure sets besides.
macro_rules! c_struct {
    ($type:ident, |$value:ident| $set:expr) => {
        // SAFETY: `#[repr(C)]` of integers, floats and pointers, `struct_size` first.
        unsafe impl $crate::capi::structs::CStruct for $type {
            const NAME: &'static str = stringify!($type);

            fn defaults() -> Self {
                let mut $value: Self = $crate::capi::structs::zeroed();
                $value.struct_size = std::mem::size_of::<Self>() as u32;
                $set;
                $value
            }
        }
    };
    ($type:ident) => {
        c_struct!($type, |value| ());
    };
}
pub(crate) use c_struct;

/// The smallest struct that means anything: `struct_size` and one more field.
const SMALLEST: usize = 8;

/// Reads a caller's struct: fields past a smaller `struct_size` get their defaults; a larger one is taken when what
/// this version does not know is zero.
///
/// # Safety
/// `source` is NULL, or points to at least four readable bytes whose value tells how many may be read.
pub unsafe fn read<T: CStruct>(source: *const T) -> Result<T, Error> {
    // SAFETY: as promised by the caller.
    let given = unsafe { declared_size(source)? };
    if let Some(unknown) = given.checked_sub(size_of::<T>()) {
        // SAFETY: the caller says that `given` bytes are readable.
        let tail = unsafe { std::slice::from_raw_parts(source.add(1).cast::<u8>(), unknown) };
        if let Some(at) = tail.iter().position(|&byte| byte != 0) {
            return Err(Error::Unsupported(format!(
                "{} of {given} bytes sets a field at byte {} that this version of the library ({} bytes) does not \
                 know; use a library at least as new as the header",
                T::NAME,
                at + size_of::<T>(),
                size_of::<T>()
            )));
        }
    }
    let mut value = T::defaults();
    let start = size_of::<u32>();
    // SAFETY: both sides hold that many bytes, and any byte pattern is a valid `T`.
    unsafe {
        std::ptr::copy_nonoverlapping(
            source.cast::<u8>().add(start),
            (&raw mut value).cast::<u8>().add(start),
            given.min(size_of::<T>()) - start,
        );
    }
    Ok(value)
}

/// Refuses a field kept for later use that is not 0: a later version of the library would take it for a wish.
pub fn reserved(name: &'static str, value: u32) -> Result<(), Error> {
    match value {
        0 => Ok(()),
        _ => Err(Error::invalid_argument(
            name,
            format!("is {value}; it must be 0, as the struct's init function leaves it"),
        )),
    }
}

/// Writes as much of a struct as the caller's `struct_size` has room for, and leaves that field as it was. What a larger one
/// has behind is zeroed: fields of a newer header must not seem to have been filled.
///
/// # Safety
/// As for [`read`], and writable.
pub unsafe fn write<T: CStruct>(target: *mut T, value: &T) -> Result<(), Error> {
    // SAFETY: as promised by the caller.
    let given = unsafe { declared_size(target)? };
    let start = size_of::<u32>();
    let known = given.min(size_of::<T>());
    // SAFETY: at least `given` bytes are writable.
    unsafe {
        std::ptr::copy_nonoverlapping(
            std::ptr::from_ref(value).cast::<u8>().add(start),
            target.cast::<u8>().add(start),
            known - start,
        );
        std::ptr::write_bytes(target.cast::<u8>().add(known), 0, given - known);
    }
    Ok(())
}

/// Fills a struct of `size` bytes with its defaults; what a larger one has behind is zeroed.
///
/// # Safety
/// `target` is NULL or points to `size` writable bytes.
pub unsafe fn init<T: CStruct>(target: *mut T, size: u32) -> Result<(), Error> {
    check_place(target)?;
    let given = check_size::<T>(size)?;
    let mut defaults = T::defaults();
    // SAFETY: `given` bytes are writable, and `T` starts with its `u32` size.
    unsafe {
        (&raw mut defaults).cast::<u32>().write(size);
        std::ptr::write_bytes(target.cast::<u8>(), 0, given);
        std::ptr::copy_nonoverlapping(
            (&raw const defaults).cast::<u8>(),
            target.cast::<u8>(),
            given.min(size_of::<T>()),
        );
    }
    Ok(())
}

/// All zero bytes: the start of every default.
pub fn zeroed<T: CStruct>() -> T {
    // SAFETY: every byte pattern is a valid `CStruct`.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// # Safety
/// As for [`read`].
unsafe fn declared_size<T: CStruct>(at: *const T) -> Result<usize, Error> {
    check_place(at)?;
    // SAFETY: not NULL, aligned, and at least four bytes by the caller's promise.
    let given = unsafe { at.cast::<u32>().read() };
    check_size::<T>(given)
}

fn check_place<T: CStruct>(at: *const T) -> Result<(), Error> {
    if at.is_null() {
        let name = format!("{} ({})", argument::<T>(), T::NAME);
        return Err(Error::invalid_argument(name, "is NULL"));
    }
    if !at.is_aligned() {
        let reason = format!(
            "lies at {at:p}, which is not aligned to {} bytes",
            align_of::<T>()
        );
        return Err(Error::invalid_argument(T::NAME, reason));
    }
    Ok(())
}

/// What functions call their argument of this type: the last word of its name.
fn argument<T: CStruct>() -> &'static str {
    T::NAME.rsplit('_').next().unwrap_or(T::NAME)
}

fn check_size<T: CStruct>(given: u32) -> Result<usize, Error> {
    // No struct of this API will ever be this large: such a size is an uninitialised field.
    const LARGEST: usize = 1 << 16;
    if (SMALLEST..=LARGEST).contains(&(given as usize)) {
        return Ok(given as usize);
    }
    let reason = format!(
        "has struct_size {given}; set it to sizeof({}), which is {} here",
        T::NAME,
        size_of::<T>()
    );
    Err(Error::invalid_argument(T::NAME, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Sample {
        struct_size: u32,
        a: u32,
        b: f64,
    }
    c_struct!(Sample, |value| {
        value.a = 7;
        value.b = 0.5;
    });

    #[repr(C)]
    struct Larger {
        sample: Sample,
        later: u64,
    }

    #[test]
    fn fields_past_a_smaller_size_get_their_defaults() {
        let old = Sample {
            struct_size: 8,
            a: 1,
            b: 99.0,
        };
        // SAFETY: a whole struct is readable.
        let read = unsafe { read(&old) }.unwrap();
        assert_eq!((read.struct_size, read.a, read.b), (16, 1, 0.5));
    }

    #[test]
    fn a_larger_struct_is_taken_only_when_its_unknown_tail_is_zero() {
        let mut newer = Larger {
            sample: Sample {
                struct_size: 24,
                a: 1,
                b: 2.0,
            },
            later: 0,
        };
        // SAFETY: 24 bytes are readable.
        let taken = unsafe { read((&raw const newer).cast::<Sample>()) }.unwrap();
        assert_eq!(taken.b, 2.0);
        newer.later = 1;
        // SAFETY: as above.
        let refused = unsafe { read((&raw const newer).cast::<Sample>()) };
        assert!(matches!(refused, Err(Error::Unsupported(_))), "{refused:?}");
    }

    #[test]
    fn a_smaller_output_is_never_written_past_its_end() {
        let mut out = Sample {
            struct_size: 8,
            a: 0,
            b: -1.0,
        };
        // SAFETY: a whole struct is writable.
        unsafe {
            write(
                &mut out,
                &Sample {
                    struct_size: 16,
                    a: 5,
                    b: 6.0,
                },
            )
        }
        .unwrap();
        assert_eq!(
            out,
            Sample {
                struct_size: 8,
                a: 5,
                b: -1.0
            }
        );
    }

    #[test]
    fn what_a_larger_output_has_behind_is_zeroed() {
        let mut out = Larger {
            sample: Sample {
                struct_size: 24,
                a: 0,
                b: 0.0,
            },
            later: u64::MAX,
        };
        // SAFETY: 24 bytes are writable.
        unsafe { write((&raw mut out).cast::<Sample>(), &Sample::defaults()) }.unwrap();
        assert_eq!(
            (out.sample.struct_size, out.sample.a, out.later),
            (24, 7, 0)
        );
    }

    #[test]
    fn an_initialised_struct_of_any_size_stays_in_its_bytes() {
        let mut larger = Larger {
            sample: Sample {
                struct_size: 0,
                a: 0,
                b: 0.0,
            },
            later: u64::MAX,
        };
        // SAFETY: 24 bytes are writable.
        unsafe { init((&raw mut larger).cast::<Sample>(), 24) }.unwrap();
        assert_eq!(
            (larger.sample, larger.later),
            (
                Sample {
                    struct_size: 24,
                    a: 7,
                    b: 0.5
                },
                0
            )
        );
        let mut small = Sample {
            struct_size: 0,
            a: 0,
            b: -1.0,
        };
        // SAFETY: a whole struct is writable.
        unsafe { init(&mut small, 8) }.unwrap();
        assert_eq!(
            small,
            Sample {
                struct_size: 8,
                a: 7,
                b: -1.0
            }
        );
    }

    #[test]
    fn null_zero_and_absurd_sizes_are_refused_with_the_size() {
        for size in [0_u32, 4, 7, u32::MAX] {
            let bad = Sample {
                struct_size: size,
                a: 0,
                b: 0.0,
            };
            // SAFETY: the size is refused before anything else is read.
            let message = unsafe { read(&bad) }.unwrap_err().to_string();
            assert!(message.contains(&size.to_string()), "{message}");
        }
        // SAFETY: NULL is allowed.
        assert!(unsafe { read::<Sample>(std::ptr::null()) }.is_err());
    }
}
