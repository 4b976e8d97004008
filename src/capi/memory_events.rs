//! What happens to memory, as it happens.

use std::ffi::{c_char, c_void};

use super::call::{call, clear};
use super::context::{CONTEXTS, sam_mm_context};
use super::error::sam_mm_error;
use super::log::UserData;
use super::strings;
use super::structs::{self, c_struct};
use crate::memory::events::{Callback, EventKind, MemoryEvent};
use crate::memory::recovery::RecoveryOutcome;

/// An environment variable was set aside for its default.
pub const SAM_MM_EVENT_CONFIG_WARNING: u32 = 1;
/// Device memory crossed a threshold; `value` is the share in use.
pub const SAM_MM_EVENT_STATUS: u32 = 2;
/// Memory was given back; `bytes` of it.
pub const SAM_MM_EVENT_OPTIMIZED: u32 = 3;
/// An operation is run in another way than the best one, which does not fit; `bytes` is what it needs so.
pub const SAM_MM_EVENT_PLAN_DOWNGRADED: u32 = 4;
/// Memory ran out, and a rung of the ladder was climbed; it gave `bytes` back.
pub const SAM_MM_EVENT_RECOVERY_RUNG: u32 = 5;
/// A retry after memory had run out succeeded; the rungs gave `bytes` back.
pub const SAM_MM_EVENT_RECOVERED: u32 = 6;
/// An operation that ran out of memory failed for good.
pub const SAM_MM_EVENT_RECOVERY_FAILED: u32 = 7;
/// The monitor acted; it gave `bytes` back.
pub const SAM_MM_EVENT_MONITOR: u32 = 8;
/// A source of memory figures fails, or tells less than it could.
pub const SAM_MM_EVENT_PROBE_LOST: u32 = 9;
/// A source of memory figures tells them all again.
pub const SAM_MM_EVENT_PROBE_BACK: u32 = 10;

/// Something that happened to memory.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam_mm_memory_event {
    /// `sizeof(sam_mm_memory_event)`.
    pub struct_size: u32,
    /// `SAM_MM_EVENT_…`. New kinds may come.
    pub kind: u32,
    /// Its number, from 0 in each context; a gap is what left the queue unread.
    pub number: u64,
    /// Milliseconds since the context was made.
    pub at_ms: u64,
    /// Bytes, as the kind says; else 0.
    pub bytes: u64,
    /// A share, as the kind says; else NaN.
    pub value: f64,
    /// For people, with the numbers. UTF-8; cut at a character when too long.
    pub message: [c_char; 512],
}

c_struct!(sam_mm_memory_event, |event| event.value = f64::NAN);

/// Receives events. `event` is borrowed for the call. [callback, any thread, several at once] It must not let a C++
/// exception or a `longjmp` out.
#[allow(non_camel_case_types)]
pub type sam_mm_memory_event_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, event: *const sam_mm_memory_event)>;

/// Sends the memory events of a context to a callback; NULL removes the one there is. When this function returns, the
/// former callback is not running any more and its `user_data` may be freed; so it cannot be called from inside a
/// callback. Events also go to the queue of `sam_mm_memory_event_poll`; those that a callback itself causes go there alone.
/// [any thread]
///
/// # Safety
/// `callback` may be called with `user_data` from any thread until it is replaced or the context is destroyed; `error`
/// is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_memory_events_set(
    context: *mut sam_mm_context,
    callback: sam_mm_memory_event_fn,
    user_data: *mut c_void,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            let entry = CONTEXTS.get(context)?;
            let user_data = UserData(user_data);
            let callback = callback.map(|callback| -> Callback {
                Box::new(move |event: &MemoryEvent| {
                    let event = to_c(event);
                    // SAFETY: the caller promised that the function may be called with this value from any thread.
                    callback(user_data.get(), &raw const event);
                })
            });
            entry.core.memory().events().set_callback(callback)
        })
    }
}

/// Takes the oldest event that nobody has polled yet; the last 256 are kept. `has_event` becomes 1, or 0 when there is
/// none. [any thread]
///
/// # Safety
/// `event` points to a struct whose `struct_size` is set; `has_event` and `error` are NULL or valid places.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_memory_event_poll(
    context: *mut sam_mm_context,
    event: *mut sam_mm_memory_event,
    has_event: *mut u32,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            clear("has_event", has_event, 0)?;
            structs::write(event, &structs::CStruct::defaults())?;
            let entry = CONTEXTS.get(context)?;
            if let Some(taken) = entry.core.memory().events().poll() {
                structs::write(event, &to_c(&taken))?;
                has_event.write(1);
            }
            Ok(())
        })
    }
}

fn to_c(event: &MemoryEvent) -> sam_mm_memory_event {
    let mut to: sam_mm_memory_event = structs::CStruct::defaults();
    to.number = event.number;
    to.at_ms = event.at.as_millis() as u64;
    to.message = strings::fill(&event.kind.to_string());
    let (kind, bytes) = match &event.kind {
        EventKind::ConfigWarning(_) => (SAM_MM_EVENT_CONFIG_WARNING, 0),
        EventKind::StatusChanged { utilization, .. } => {
            to.value = *utilization;
            (SAM_MM_EVENT_STATUS, 0)
        }
        EventKind::Optimized {
            caches, allocator, ..
        } => (SAM_MM_EVENT_OPTIMIZED, (*caches).max(*allocator)),
        EventKind::PlanDowngraded { needed, .. } => (SAM_MM_EVENT_PLAN_DOWNGRADED, *needed),
        EventKind::RecoveryRung { rung, .. } => (SAM_MM_EVENT_RECOVERY_RUNG, rung.freed),
        EventKind::Recovery(record) => match record.outcome {
            RecoveryOutcome::Recovered => (SAM_MM_EVENT_RECOVERED, record.freed()),
            RecoveryOutcome::OutOfMemory | RecoveryOutcome::OtherFailure => {
                (SAM_MM_EVENT_RECOVERY_FAILED, record.freed())
            }
        },
        EventKind::Monitor { freed, .. } => (SAM_MM_EVENT_MONITOR, *freed),
        EventKind::ProbeLost { .. } => (SAM_MM_EVENT_PROBE_LOST, 0),
        EventKind::ProbeBack { .. } => (SAM_MM_EVENT_PROBE_BACK, 0),
    };
    (to.kind, to.bytes) = (kind, bytes);
    to
}
