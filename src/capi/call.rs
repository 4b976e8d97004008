//! The frame of every exported function: panics are caught, errors become a code and an owned object.

use std::sync::Arc;

use super::error::sam_mm_error;
use super::status::SAM_MM_OK;
use super::structs::{self, CStruct};
use crate::context::Context;
use crate::error::Error;
use crate::panics;

/// One running call: knows whose context a panic would leave in doubt.
#[derive(Default)]
pub struct Call {
    context: Option<Arc<Context>>,
}

impl Call {
    /// The call works on this context from now on. Refused when an earlier panic left it in doubt.
    pub fn enter(&mut self, context: &Arc<Context>) -> Result<(), Error> {
        if context.is_poisoned() {
            return Err(Error::Poisoned);
        }
        self.context = Some(Arc::clone(context));
        Ok(())
    }
}

/// Runs the body of an exported function.
///
/// # Safety
/// `error` is NULL or points to a writable pointer.
pub unsafe fn call(
    error: *mut *mut sam_mm_error,
    body: impl FnOnce(&mut Call) -> Result<(), Error>,
) -> i32 {
    if !error.is_null() {
        // SAFETY: as promised by the caller.
        unsafe { error.write(std::ptr::null_mut()) };
    }
    let mut call = Call::default();
    let outcome = panics::caught(|| body(&mut call));
    let failure = match outcome {
        Ok(Ok(())) => return SAM_MM_OK,
        Ok(Err(failure)) => failure,
        Err(panic) => {
            if let Some(context) = &call.context {
                context.poison();
            }
            Error::Internal(panic)
        }
    };
    let code = failure.code();
    if !error.is_null() {
        // Making the error object may itself panic for want of memory; the code still says what happened.
        if let Ok(handle) = panics::caught(|| super::error::publish(&failure)) {
            // SAFETY: as promised by the caller.
            unsafe { error.write(handle) };
        }
    }
    code
}

/// The body of every `sam_mm_…_init(&s, sizeof s)` for a struct.
///
/// # Safety
/// `target` is NULL or points to `struct_size` writable bytes.
pub unsafe fn call_init<T: CStruct>(target: *mut T, struct_size: u32) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe { call(std::ptr::null_mut(), |_| structs::init(target, struct_size)) }
}

/// Runs the body of an exported function that cannot fail; after a panic it gives `otherwise`.
pub fn quiet<R>(otherwise: R, body: impl FnOnce() -> R) -> R {
    panics::caught(body).unwrap_or(otherwise)
}

/// Checks the place of an output and clears it, so that it holds something on success only.
///
/// # Safety
/// `out` is NULL or points to a writable `T`.
pub unsafe fn clear<T>(name: &'static str, out: *mut T, empty: T) -> Result<(), Error> {
    if out.is_null() {
        return Err(Error::invalid_argument(
            name,
            "is NULL: there is no place for the result",
        ));
    }
    // SAFETY: as promised by the caller.
    unsafe { out.write(empty) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Options;

    #[test]
    fn a_panic_becomes_an_error_and_the_context_refuses_further_work() {
        let context = Arc::new(Context::new(Options::default(), None).unwrap());
        let mut error = std::ptr::null_mut();
        // SAFETY: `error` is a valid place.
        let status = unsafe {
            call(&mut error, |call| {
                call.enter(&context)?;
                panic!("the sky fell")
            })
        };
        assert_eq!(status, crate::capi::status::SAM_MM_ERR_INTERNAL);
        // SAFETY: a live error gives a NUL-terminated text.
        let message =
            unsafe { std::ffi::CStr::from_ptr(super::super::error::sam_mm_error_message(error)) };
        assert!(message.to_str().unwrap().contains("the sky fell"));
        super::super::error::sam_mm_error_free(error);
        assert!(matches!(
            Call::default().enter(&context),
            Err(Error::Poisoned)
        ));
    }

    #[test]
    fn a_panic_outside_of_any_context_poisons_nothing() {
        let context = Arc::new(Context::new(Options::default(), None).unwrap());
        assert_eq!(quiet(7, || panic!("nobody's")), 7);
        // SAFETY: NULL is allowed.
        unsafe { call(std::ptr::null_mut(), |_| panic!("nobody's")) };
        assert!(Call::default().enter(&context).is_ok());
    }
}
