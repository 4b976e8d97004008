//! The host that the suite pretends to be.

use std::ffi::c_char;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use sam_mm_backend_abi::abi::{SAM_MM_BACKEND_ABI_VERSION, sam_mm_host, sam_mm_operation};

/// What plugins are given.
pub static HOST: sam_mm_host = sam_mm_host {
    struct_size: size_of::<sam_mm_host>() as u32,
    abi_version: SAM_MM_BACKEND_ABI_VERSION,
    log: Some(log),
    is_cancelled: Some(is_cancelled),
    before_allocate: Some(before_allocate),
    allocation_failed: Some(allocation_failed),
};

/// An operation that answers as told. It outlives the call it is passed to.
#[derive(Default)]
pub struct Operation {
    /// What `is_cancelled` answers.
    pub cancelled: AtomicBool,
    /// What `before_allocate` answers.
    pub refuse_memory: AtomicBool,
    /// How often memory was announced.
    pub announced: AtomicU32,
}

impl Operation {
    /// One that is cancelled before it starts.
    pub fn cancelled() -> Self {
        Self {
            cancelled: true.into(),
            ..Self::default()
        }
    }

    /// One that gets no memory.
    pub fn without_memory() -> Self {
        Self {
            refuse_memory: true.into(),
            ..Self::default()
        }
    }
}

/// An operation as plugins see it; `None` is NULL.
pub fn pointer(operation: Option<&Operation>) -> *mut sam_mm_operation {
    operation.map_or(ptr::null_mut(), |operation| {
        ptr::from_ref(operation).cast_mut().cast()
    })
}

fn of<'a>(operation: *mut sam_mm_operation) -> Option<&'a Operation> {
    // SAFETY: NULL, or the pointer of an operation that lives through the call in which the plugin asks; the ABI
    // forbids it to ask later.
    unsafe { operation.cast::<Operation>().as_ref() }
}

unsafe extern "C" fn log(_: *mut sam_mm_operation, _: i32, _: *const c_char) {}

unsafe extern "C" fn is_cancelled(operation: *mut sam_mm_operation) -> i32 {
    of(operation)
        .is_some_and(|operation| operation.cancelled.load(Ordering::SeqCst))
        .into()
}

unsafe extern "C" fn before_allocate(operation: *mut sam_mm_operation, _: u64) -> i32 {
    let Some(operation) = of(operation) else {
        return 0;
    };
    operation.announced.fetch_add(1, Ordering::SeqCst);
    operation.refuse_memory.load(Ordering::SeqCst).into()
}

unsafe extern "C" fn allocation_failed(_: *mut sam_mm_operation, _: u64, _: u32) -> i32 {
    0
}
