//! The table of functions that plugins may call.
//!
//! An operation is passed to a plugin as a number in the shape of a pointer, which is looked up here: a plugin that
//! keeps one for too long, or makes one up, harms nobody.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use sam_mm_backend_abi::abi::{SAM_MM_BACKEND_ABI_VERSION, sam_mm_host, sam_mm_operation};
use sam_mm_backend_abi::guard;
use sam_mm_backend_abi::types::LogLevel;

use super::operation::{OperationHooks, log_to_all};

/// What every plugin is given.
pub(super) static HOST: sam_mm_host = sam_mm_host {
    struct_size: size_of::<sam_mm_host>() as u32,
    abi_version: SAM_MM_BACKEND_ABI_VERSION,
    log: Some(log),
    is_cancelled: Some(is_cancelled),
    before_allocate: Some(before_allocate),
    allocation_failed: Some(allocation_failed),
};

/// The operations that run now.
static RUNNING: RwLock<BTreeMap<usize, Arc<dyn OperationHooks>>> = RwLock::new(BTreeMap::new());

/// Makes an operation known, and gives the number that stands for it.
pub(super) fn register(hooks: Arc<dyn OperationHooks>) -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    let token = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut running = RUNNING.write().unwrap_or_else(PoisonError::into_inner);
    running.insert(token, hooks);
    token
}

/// Ends what [`register`] began. A callback that runs at this moment on another thread keeps the hooks until it ends.
pub(super) fn unregister(token: usize) {
    let mut running = RUNNING.write().unwrap_or_else(PoisonError::into_inner);
    let hooks = running.remove(&token);
    drop(running);
    // Outside the lock: what the hooks own may be anything.
    drop(hooks);
}

/// A number as plugins see it.
pub(super) fn pointer(token: usize) -> *mut sam_mm_operation {
    ptr::without_provenance_mut(token)
}

enum Found {
    Detached,
    Running(Arc<dyn OperationHooks>),
    Ended,
}

fn find(operation: *mut sam_mm_operation) -> Found {
    if operation.is_null() {
        return Found::Detached;
    }
    let running = RUNNING.read().unwrap_or_else(PoisonError::into_inner);
    match running.get(&operation.addr()) {
        Some(hooks) => Found::Running(Arc::clone(hooks)),
        None => Found::Ended,
    }
}

unsafe extern "C" fn log(operation: *mut sam_mm_operation, level: i32, message: *const c_char) {
    if message.is_null() {
        return;
    }
    // A panic in somebody's log must not pass through the plugin; there is nobody left to tell.
    let _ = guard::catch(|| {
        // SAFETY: NUL-terminated by the ABI.
        let message = unsafe { CStr::from_ptr(message) }.to_string_lossy();
        let level = LogLevel::from_abi(level).unwrap_or(LogLevel::Debug);
        match find(operation) {
            Found::Running(hooks) => hooks.log(level, &message),
            Found::Detached | Found::Ended => log_to_all(level, &message),
        }
    });
}

unsafe extern "C" fn is_cancelled(operation: *mut sam_mm_operation) -> i32 {
    let cancelled = guard::catch(|| match find(operation) {
        Found::Detached => false,
        Found::Running(hooks) => hooks.is_cancelled(),
        Found::Ended => true,
    });
    i32::from(cancelled.unwrap_or(true))
}

unsafe extern "C" fn before_allocate(operation: *mut sam_mm_operation, bytes: u64) -> i32 {
    let allowed = guard::catch(|| match find(operation) {
        Found::Detached => true,
        Found::Running(hooks) => hooks.before_allocate(bytes),
        Found::Ended => false,
    });
    i32::from(!allowed.unwrap_or(false))
}

unsafe extern "C" fn allocation_failed(
    operation: *mut sam_mm_operation,
    bytes: u64,
    attempt: u32,
) -> i32 {
    let released = guard::catch(|| match find(operation) {
        Found::Running(hooks) => hooks.allocation_failed(bytes, attempt),
        Found::Detached | Found::Ended => false,
    });
    i32::from(released.unwrap_or(false))
}
