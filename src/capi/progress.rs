//! How far jobs and prefetching are, as it happens.

use std::ffi::c_void;

use super::call::{call, clear};
use super::context::{CONTEXTS, sam_mm_context};
use super::error::sam_mm_error;
use super::job::stage_number;
use super::log::UserData;
use super::structs::{self, c_struct};
use crate::jobs::progress::{Callback, ProgressEvent, Whose};

/// For later use: a call that somebody waits in tells no progress, nor can it be stopped by it. Submit a job instead.
pub const SAM_MM_PROGRESS_CALL: u32 = 0;
/// Progress of a job; `id` is its number.
pub const SAM_MM_PROGRESS_JOB: u32 = 1;
/// Progress of prefetching; `progress` is the done part of the queue.
pub const SAM_MM_PROGRESS_PREFETCH: u32 = 2;

/// How far something is.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam_mm_progress {
    /// `sizeof(sam_mm_progress)`.
    pub struct_size: u32,
    /// `SAM_MM_PROGRESS_…`: whose. New ones may come.
    pub source: u32,
    /// Its number, from 0 in each context; a gap is what left the queue unread.
    pub number: u64,
    /// Milliseconds since the context was made.
    pub at_ms: u64,
    /// Number of the job, as `sam_mm_job_info` has it; else 0.
    pub id: u64,
    /// The done part of all, 0 to 1; within a stage an estimate.
    pub progress: f64,
    /// `SAM_MM_JOB_STAGE_…`.
    pub stage: u32,
    /// Status code once it has ended; until then `SAM_MM_OK`.
    pub status: i32,
}

c_struct!(sam_mm_progress);

/// Receives progress; `event` is borrowed for the call. Non-zero cancels what it is about. [callback, any thread, several at
/// once] It must not let a C++ exception or a `longjmp` out.
#[allow(non_camel_case_types)]
pub type sam_mm_progress_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, event: *const sam_mm_progress) -> i32>;

/// Sends the progress of a context to a callback; NULL removes the one there is. When this function returns, the former
/// callback is not running any more and its `user_data` may be freed; so it cannot be called from inside a callback.
/// Progress also goes to the queue of `sam_mm_progress_poll`; what a callback itself causes goes there alone. [any thread]
///
/// # Safety
/// `callback` may be called with `user_data` from any thread until it is replaced or the context is destroyed; `error`
/// is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_progress_set(
    context: *mut sam_mm_context,
    callback: sam_mm_progress_fn,
    user_data: *mut c_void,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            let entry = CONTEXTS.get(context)?;
            let user_data = UserData(user_data);
            let callback = callback.map(|callback| -> Callback {
                Box::new(move |event: &ProgressEvent| {
                    let event = to_c(event);
                    // SAFETY: the caller promised that the function may be called with this value from any thread.
                    callback(user_data.get(), &raw const event) != 0
                })
            });
            entry.core.jobs().events().set_callback(callback)
        })
    }
}

/// Takes the oldest progress that nobody has polled yet; the last 256 are kept. `has_event` becomes 1, or 0 when there is
/// none. [any thread]
///
/// # Safety
/// `event` points to a struct whose `struct_size` is set; `has_event` and `error` are NULL or valid places.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_progress_poll(
    context: *mut sam_mm_context,
    event: *mut sam_mm_progress,
    has_event: *mut u32,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            clear("has_event", has_event, 0)?;
            structs::write(event, &structs::zeroed())?;
            let entry = CONTEXTS.get(context)?;
            if let Some(taken) = entry.core.jobs().events().poll() {
                structs::write(event, &to_c(&taken))?;
                has_event.write(1);
            }
            Ok(())
        })
    }
}

fn to_c(event: &ProgressEvent) -> sam_mm_progress {
    let mut to: sam_mm_progress = structs::CStruct::defaults();
    (to.source, to.id) = match event.whose {
        Whose::Call => (SAM_MM_PROGRESS_CALL, 0),
        Whose::Job(id) => (SAM_MM_PROGRESS_JOB, id),
        Whose::Prefetch => (SAM_MM_PROGRESS_PREFETCH, 0),
    };
    (to.number, to.at_ms) = (event.number, event.at.as_millis() as u64);
    (to.progress, to.status) = (event.fraction, event.status);
    to.stage = stage_number(event.stage);
    to
}
