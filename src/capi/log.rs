//! The log callback.

use std::ffi::{CString, c_char, c_void};

use super::call::call;
use super::context::{CONTEXTS, sam_mm_context};
use super::error::{c_text, sam_mm_error};
use crate::error::Error;
use crate::logging::{Level, Sink};

/// Log level: something failed.
pub const SAM_MM_LOG_ERROR: i32 = 1;
/// Log level: something is not as it should be, and work goes on.
pub const SAM_MM_LOG_WARN: i32 = 2;
/// Log level: rare events worth knowing.
pub const SAM_MM_LOG_INFO: i32 = 3;
/// Log level: what happens inside, for finding a fault.
pub const SAM_MM_LOG_DEBUG: i32 = 4;

/// Receives one line of the log, without a line end. `message` is borrowed for the call. [callback, any thread, several
/// at once] It must not let a C++ exception or a `longjmp` out, and must not wait for another thread that calls the
/// library. What it may call, docs/abi.md says under "Threads".
#[allow(non_camel_case_types)]
pub type sam_mm_log_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, level: i32, message: *const c_char)>;

/// Sends the lines of a context's log up to `max_level` to a callback; NULL, with any level or 0, removes the one there is.
/// When this
/// function returns, the former callback is not running any more and its `user_data` may be freed; so it cannot be
/// called from inside a callback. [any thread]
///
/// # Safety
/// `callback` may be called with `user_data` from any thread until it is replaced or the context is destroyed; `error`
/// is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_log_set(
    context: *mut sam_mm_context,
    callback: sam_mm_log_fn,
    user_data: *mut c_void,
    max_level: i32,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            let entry = CONTEXTS.get(context)?;
            entry
                .core
                .log()
                .set_sink(sink(callback, user_data, max_level)?)
        })
    }
}

/// The sink of a caller's callback. Without one the level may be 0.
pub(super) fn sink(
    callback: sam_mm_log_fn,
    user_data: *mut c_void,
    max_level: i32,
) -> Result<Option<(Level, Sink)>, Error> {
    let (level, callback) = match (Level::from_number(max_level), callback) {
        (Some(level), Some(callback)) => (level, callback),
        (Some(_), None) => return Ok(None),
        (None, None) if max_level == 0 => return Ok(None),
        (None, _) => {
            let reason =
                format!("{max_level} is none of SAM_MM_LOG_ERROR (1) to SAM_MM_LOG_DEBUG (4)");
            return Err(Error::invalid_argument("log level", reason));
        }
    };
    let user_data = UserData(user_data);
    let sink = move |level: Level, message: &str| {
        let message: CString = c_text(message);
        // SAFETY: the caller promised that the function may be called with this value from any thread.
        unsafe { callback(user_data.get(), level as i32, message.as_ptr()) };
    };
    Ok(Some((level, Box::new(sink))))
}

/// A value of the caller's for a callback of the caller's.
pub(super) struct UserData(pub *mut c_void);

impl UserData {
    /// The value. A method, so that a closure captures the whole, which may be sent.
    pub fn get(&self) -> *mut c_void {
        self.0
    }
}

// SAFETY: the pointer is only handed back to the caller's function, which by contract is called from any thread.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}

#[cfg(test)]
mod tests {
    use sam_mm_backend_abi::abi;

    #[test]
    fn both_headers_give_a_log_level_the_same_number() {
        assert_eq!(
            [
                super::SAM_MM_LOG_ERROR,
                super::SAM_MM_LOG_WARN,
                super::SAM_MM_LOG_INFO,
                super::SAM_MM_LOG_DEBUG
            ],
            [
                abi::SAM_MM_LOG_ERROR,
                abi::SAM_MM_LOG_WARN,
                abi::SAM_MM_LOG_INFO,
                abi::SAM_MM_LOG_DEBUG
            ],
        );
    }
}
