//! Errors as owned objects.

use std::ffi::{CStr, CString, c_char};
use std::sync::Arc;

use super::call::quiet;
use super::handle::Table;
use super::status::*;
use crate::error::Error;

/// What went wrong in one call: a code, a message and a chain of causes. Owned by the caller; freed with
/// `sam_mm_error_free`.
#[allow(non_camel_case_types)]
pub struct sam_mm_error {
    _opaque: [u8; 0],
}

struct Report {
    code: i32,
    /// The message, then what caused it, then what caused that, and so on.
    messages: Vec<CString>,
}

static ERRORS: Table<sam_mm_error, Report> = Table::new(1, "sam_mm_error");

/// Makes the object of an error; NULL when even that fails.
pub(super) fn publish(error: &Error) -> *mut sam_mm_error {
    let mut messages = vec![c_text(&error.to_string())];
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        messages.push(c_text(&error.to_string()));
        cause = error.source();
    }
    ERRORS
        .insert(Arc::new(Report {
            code: error.code(),
            messages,
        }))
        .unwrap_or(std::ptr::null_mut())
}

/// Text for a C caller; a NUL inside, as a hostile file name may bring, is shown as `\0`.
pub(super) fn c_text(text: &str) -> CString {
    CString::new(text)
        .unwrap_or_else(|_| CString::new(text.replace('\0', "\\0")).expect("no NUL is left"))
}

/// The status code of an error, the same as the failed function returned; `SAM_MM_ERR_INVALID_HANDLE` when `error` is
/// not a live error. [any thread]
#[unsafe(no_mangle)]
pub extern "C" fn sam_mm_error_code(error: *const sam_mm_error) -> i32 {
    quiet(SAM_MM_ERR_INTERNAL, || {
        ERRORS
            .get(error)
            .map_or(SAM_MM_ERR_INVALID_HANDLE, |report| report.code)
    })
}

/// What was wrong, with the values, and what to do. UTF-8, borrowed until the error is freed. Never NULL: for something
/// that is not a live error it says so. [any thread]
#[unsafe(no_mangle)]
pub extern "C" fn sam_mm_error_message(error: *const sam_mm_error) -> *const c_char {
    let otherwise = match error.is_null() {
        true => c"no error: the sam_mm_error is NULL",
        false => c"not a live sam_mm_error: it was freed before, or never made by this library",
    };
    message_at(error, 0).unwrap_or(otherwise).as_ptr()
}

/// The cause behind an error: `depth` 0 is what caused the message, 1 what caused that, and so on; NULL past the last
/// one. UTF-8, borrowed until the error is freed. [any thread]
#[unsafe(no_mangle)]
pub extern "C" fn sam_mm_error_cause(error: *const sam_mm_error, depth: u32) -> *const c_char {
    message_at(error, depth as usize + 1).map_or(std::ptr::null(), CStr::as_ptr)
}

/// Frees an error. NULL and errors freed before are ignored. [any thread]
#[unsafe(no_mangle)]
pub extern "C" fn sam_mm_error_free(error: *mut sam_mm_error) {
    quiet((), || drop(ERRORS.remove(error)));
}

/// The name of a status code, such as `"SAM_MM_ERR_OUT_OF_MEMORY"`; `"unknown status"` for a number that is none.
/// Never NULL, never freed. [any thread]
#[unsafe(no_mangle)]
pub extern "C" fn sam_mm_status_name(status: i32) -> *const c_char {
    macro_rules! name {
        ($($code:ident),+ $(,)?) => {
            match status {
                $( $code => concat!(stringify!($code), "\0"), )+
                _ => "unknown status\0",
            }
        };
    }
    let name = name!(
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
    name.as_ptr().cast()
}

/// A message of a live error. The text lives as long as the error is not freed, which its owner decides.
fn message_at<'a>(error: *const sam_mm_error, index: usize) -> Option<&'a CStr> {
    quiet(None, || {
        let report = ERRORS.get(error).ok()?;
        let text: *const c_char = report.messages.get(index)?.as_ptr();
        // SAFETY: the table keeps the report, and so the text, until the caller frees the error; that a borrowed text
        // is not used longer is the documented duty of the caller.
        Some(unsafe { CStr::from_ptr(text) })
    })
}
