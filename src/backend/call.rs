//! Calling a function of a plugin's table.

use sam_mm_backend_abi::abi::{SAM_MM_OK, sam_mm_backend_error};
use sam_mm_backend_abi::error::BackendError as PluginError;
use sam_mm_backend_abi::layout::zeroed;

use super::error::BackendError;

/// Runs `function` with a place for its error.
pub(super) fn call(
    function: impl FnOnce(*mut sam_mm_backend_error) -> i32,
) -> Result<(), BackendError> {
    let mut error: sam_mm_backend_error = zeroed();
    match function(&raw mut error) {
        SAM_MM_OK => Ok(()),
        code => Err(PluginError::read_from(code, &error).into()),
    }
}

/// A pointer that a successful call must have written.
pub(super) fn written<T>(
    pointer: *mut T,
    backend: &str,
    what: &str,
) -> Result<*mut T, BackendError> {
    if pointer.is_null() {
        return Err(defect(
            backend,
            &format!("reported success but gave no {what}"),
        ));
    }
    Ok(pointer)
}

/// The plugin did what the ABI rules out.
pub(super) fn defect(backend: &str, what: &str) -> BackendError {
    PluginError::internal(format!("the {backend} backend has a defect: it {what}")).into()
}
