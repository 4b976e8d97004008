//! Arrays of the caller.

use crate::error::Error;

/// A caller's array.
///
/// # Safety
/// `first` is NULL or points to `len` values that live as long as `'a`.
pub unsafe fn array<'a, T>(
    name: &'static str,
    first: *const T,
    len: usize,
) -> Result<&'a [T], Error> {
    if len == 0 {
        return Ok(&[]);
    }
    check_place(name, first, len)?;
    // SAFETY: as promised by the caller.
    Ok(unsafe { std::slice::from_raw_parts(first, len) })
}

/// Copies values to a caller's array, which may overlap with one of which they were made.
///
/// # Safety
/// `first` is NULL or points to as many writable values.
pub unsafe fn write_array<T: Copy>(
    name: &'static str,
    first: *mut T,
    values: &[T],
) -> Result<(), Error> {
    if values.is_empty() {
        return Ok(());
    }
    check_place(name, first, values.len())?;
    // SAFETY: as promised by the caller; the values are ours, so they lie apart.
    unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), first, values.len()) };
    Ok(())
}

/// A number of values of type `T`, as far as this process can address them.
pub fn addressable<T>(name: &'static str, given: u64) -> Result<usize, Error> {
    let most = isize::MAX as usize / size_of::<T>().max(1);
    usize::try_from(given)
        .ok()
        .filter(|&len| len <= most)
        .ok_or_else(|| {
            let reason = format!("is {given}, more than this process can address");
            Error::invalid_argument(name, reason)
        })
}

fn check_place<T>(name: &'static str, first: *const T, len: usize) -> Result<(), Error> {
    if first.is_null() {
        return Err(Error::invalid_argument(
            name,
            format!("is NULL, but {len} values are announced"),
        ));
    }
    if !first.is_aligned() {
        let reason = format!(
            "lies at {first:p}, which is not aligned to {} bytes",
            align_of::<T>()
        );
        return Err(Error::invalid_argument(name, reason));
    }
    Ok(())
}
