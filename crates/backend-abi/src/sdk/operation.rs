//! What the host offers while an operation runs.

use core::marker::PhantomData;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};
use std::ffi::CString;

use crate::abi::{sam_mm_host, sam_mm_operation};
use crate::error::{BackendError, Result};
use crate::layout;
use crate::types::LogLevel;

/// The host of this process, set by the query; NULL before.
static HOST: AtomicPtr<sam_mm_host> = AtomicPtr::new(ptr::null_mut());

/// Remembers the host.
///
/// # Safety
/// `host` passed [`layout::read`] and stays valid until the process ends.
pub(super) unsafe fn set_host(host: *const sam_mm_host) {
    HOST.store(host.cast_mut(), Ordering::Release);
}

fn host() -> Option<sam_mm_host> {
    let host = HOST.load(Ordering::Acquire);
    // SAFETY: NULL, or a struct that passed the same read when it was stored and is valid until the process ends.
    unsafe { layout::read(host, "host") }.ok()
}

/// Writes a line to the logs of every context. Silent before the host is known.
pub fn log(level: LogLevel, message: &str) {
    write_log(ptr::null_mut(), level, message);
}

fn write_log(operation: *mut sam_mm_operation, level: LogLevel, message: &str) {
    let Some(write) = host().and_then(|host| host.log) else {
        return;
    };
    let text = CString::new(message.replace('\0', "")).unwrap_or_default();
    // SAFETY: the host's function, callable from any thread; the text is NUL-terminated and lives through the call.
    unsafe { write(operation, level.to_abi(), text.as_ptr()) }
}

/// One running operation of the host. Stays on the thread of the call; [`any_thread`](Self::any_thread) gives the part
/// that may be handed to others.
pub struct Operation<'a> {
    any_thread: AnyThread<'a>,
    /// The allocation callbacks belong to the thread of the operation.
    _not_send: PhantomData<*const ()>,
}

/// The part of an [`Operation`] that any thread may use.
#[derive(Clone, Copy)]
pub struct AnyThread<'a> {
    operation: *mut sam_mm_operation,
    _call: PhantomData<&'a ()>,
}

// SAFETY: the pointer is an opaque token; the functions it is passed to here are marked [any thread] in the ABI.
unsafe impl Send for AnyThread<'_> {}
// SAFETY: as above.
unsafe impl Sync for AnyThread<'_> {}

impl AnyThread<'_> {
    /// Whether the operation should stop as soon as it can. Cheap; to be asked between the stages of long work.
    pub fn is_cancelled(&self) -> bool {
        let Some(is_cancelled) = host().and_then(|host| host.is_cancelled) else {
            return false;
        };
        // SAFETY: the host's function, callable from any thread while the operation runs, which the lifetime ensures.
        unsafe { is_cancelled(self.operation) != 0 }
    }

    /// [`is_cancelled`](Self::is_cancelled) as an error to be passed on with `?`.
    ///
    /// # Errors
    /// `SAM_MM_ERR_CANCELLED`.
    pub fn check_cancelled(&self) -> Result<()> {
        if self.is_cancelled() {
            Err(BackendError::cancelled())
        } else {
            Ok(())
        }
    }

    /// Writes a line to the log of the context that runs the operation.
    pub fn log(&self, level: LogLevel, message: &str) {
        write_log(self.operation, level, message);
    }
}

impl<'a> Operation<'a> {
    /// # Safety
    /// `operation` is NULL or valid for `'a`, and this is the thread it runs on.
    pub(super) unsafe fn new(operation: *mut sam_mm_operation) -> Self {
        Self {
            any_thread: AnyThread {
                operation,
                _call: PhantomData,
            },
            _not_send: PhantomData,
        }
    }

    /// The part that any thread may use.
    pub fn any_thread(&self) -> AnyThread<'a> {
        self.any_thread
    }

    /// Whether the operation should stop as soon as it can. Cheap; to be asked between the stages of long work.
    pub fn is_cancelled(&self) -> bool {
        self.any_thread.is_cancelled()
    }

    /// [`is_cancelled`](Self::is_cancelled) as an error to be passed on with `?`.
    ///
    /// # Errors
    /// `SAM_MM_ERR_CANCELLED`.
    pub fn check_cancelled(&self) -> Result<()> {
        self.any_thread.check_cancelled()
    }

    /// Writes a line to the log of the context that runs the operation.
    pub fn log(&self, level: LogLevel, message: &str) {
        self.any_thread.log(level, message);
    }

    /// Announces that the operation is about to need `bytes` of device memory, so that the host can make room.
    ///
    /// # Errors
    /// `SAM_MM_ERR_OUT_OF_MEMORY` when the host refuses.
    pub fn before_allocate(&self, bytes: u64) -> Result<()> {
        let Some(before_allocate) = host().and_then(|host| host.before_allocate) else {
            return Ok(());
        };
        // SAFETY: the host's function, on the thread of the operation.
        if unsafe { before_allocate(self.any_thread.operation, bytes) } == 0 {
            return Ok(());
        }
        Err(BackendError::out_of_memory(
            format!(
                "the host refused {bytes} bytes of device memory, which would exceed its budget"
            ),
            Some(bytes),
            None,
        ))
    }

    /// Tells the host that an allocation of `bytes` failed for the `attempt`-th time (from 1). Whether it released
    /// something, so that trying once more makes sense.
    pub fn allocation_failed(&self, bytes: u64, attempt: u32) -> bool {
        let Some(allocation_failed) = host().and_then(|host| host.allocation_failed) else {
            return false;
        };
        // SAFETY: the host's function, on the thread of the operation.
        unsafe { allocation_failed(self.any_thread.operation, bytes, attempt) != 0 }
    }

    /// Announces `bytes`, then runs `work` until it succeeds, fails for another reason than memory, or the host has
    /// nothing more to release. The last error is returned.
    ///
    /// # Errors
    /// The host's refusal, or what `work` returned.
    pub fn with_recovery<T>(&self, bytes: u64, mut work: impl FnMut() -> Result<T>) -> Result<T> {
        self.before_allocate(bytes)?;
        let mut attempt = 1;
        loop {
            match work() {
                Err(error) if error.is_out_of_memory() => {
                    self.check_cancelled()?;
                    if !self.allocation_failed(error.requested_bytes.unwrap_or(bytes), attempt) {
                        return Err(error);
                    }
                }
                other => return other,
            }
            attempt += 1;
        }
    }
}
