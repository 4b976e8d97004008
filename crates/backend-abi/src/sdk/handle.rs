//! Objects as opaque pointers: made from a box, checked for their kind, freed in any order.

use core::ptr;
use std::sync::Arc;

use crate::error::{BackendError, Result};
use crate::exclusive::Exclusive;
use crate::sdk::{Device, Embedding, Model};
use crate::types::ModelInfo;

/// What a model handle refers to. The model goes first, then its hold on the device.
pub(super) struct ModelState<D: Device> {
    pub(super) model: Exclusive<D::Model>,
    /// As described when it was loaded; the geometry never changes.
    pub(super) info: ModelInfo,
    /// NUL-terminated, for the pointers in `model_describe`.
    pub(super) family: std::ffi::CString,
    pub(super) variant: std::ffi::CString,
    pub(super) _device: Arc<D>,
}

/// What an embedding handle refers to.
pub(super) struct EmbeddingState<D: Device> {
    pub(super) embedding: Exclusive<<D::Model as Model>::Embedding>,
    pub(super) device_bytes: u64,
    pub(super) model: Arc<ModelState<D>>,
}

impl<D: Device> EmbeddingState<D> {
    pub(super) fn new(
        embedding: <D::Model as Model>::Embedding,
        model: Arc<ModelState<D>>,
    ) -> Self {
        Self {
            device_bytes: embedding.device_bytes(),
            embedding: Exclusive::new(embedding),
            model,
        }
    }
}

/// A kind of object that a pointer can stand for.
pub(super) trait Kind {
    const NAME: &'static str;
    /// At the head of every object of the kind, so that one passed for another is noticed.
    const TAG: u64;
}

impl<D: Device> Kind for D {
    const NAME: &'static str = "device";
    const TAG: u64 = u64::from_le_bytes(*b"sam_mm_d");
}

impl<D: Device> Kind for ModelState<D> {
    const NAME: &'static str = "model";
    const TAG: u64 = u64::from_le_bytes(*b"sam_mm_m");
}

impl<D: Device> Kind for EmbeddingState<D> {
    const NAME: &'static str = "embedding";
    const TAG: u64 = u64::from_le_bytes(*b"sam_mm_e");
}

#[repr(C)]
struct Handle<T> {
    tag: u64,
    object: Arc<T>,
}

/// Gives an object out as a pointer.
pub(super) fn give<T: Kind, Opaque>(object: Arc<T>) -> *mut Opaque {
    Box::into_raw(Box::new(Handle {
        tag: T::TAG,
        object,
    }))
    .cast()
}

/// The object of a pointer.
///
/// # Errors
/// `SAM_MM_ERR_INVALID_HANDLE` for NULL or a pointer of another kind.
///
/// # Safety
/// `pointer` is NULL or came from [`give`] and was not passed to [`take`].
pub(super) unsafe fn borrow<T: Kind, Opaque>(pointer: *mut Opaque) -> Result<Arc<T>> {
    // SAFETY: as promised by the caller.
    unsafe {
        let handle = checked::<T, Opaque>(pointer)?;
        Ok(Arc::clone(&(*handle).object))
    }
}

/// Takes an object back from its pointer, to be dropped. NULL gives `None`.
///
/// # Errors
/// As [`borrow`], but for NULL.
///
/// # Safety
/// As [`borrow`]; the pointer is dead afterwards.
pub(super) unsafe fn take<T: Kind, Opaque>(pointer: *mut Opaque) -> Result<Option<Arc<T>>> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: as promised by the caller; `give` made the pointer from a box of this type.
    unsafe {
        let handle = checked::<T, Opaque>(pointer)?;
        // A pointer used after this may still be noticed, as long as the memory is not reused.
        ptr::write_volatile(&raw mut (*handle).tag, 0);
        Ok(Some(Box::from_raw(handle).object))
    }
}

/// # Safety
/// As [`borrow`].
unsafe fn checked<T: Kind, Opaque>(pointer: *mut Opaque) -> Result<*mut Handle<T>> {
    let handle = pointer.cast::<Handle<T>>();
    if handle.is_null() {
        return Err(BackendError::invalid_handle(format!(
            "the {} is NULL",
            T::NAME
        )));
    }
    // SAFETY: aligned and readable when it came from `give`, whatever its kind: the tag is at the head of each.
    if !handle.is_aligned() || unsafe { ptr::read_volatile(&raw const (*handle).tag) } != T::TAG {
        return Err(BackendError::invalid_handle(format!(
            "the pointer {pointer:p} is not a {} of this backend, or was freed",
            T::NAME
        )));
    }
    Ok(handle)
}
