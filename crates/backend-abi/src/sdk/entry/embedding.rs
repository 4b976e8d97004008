//! Embeddings, and their form as bytes.

use core::slice;
use std::sync::Arc;

use super::{EmbeddingOf, ModelOf, entry, output, silent};
use crate::abi::*;
use crate::error::BackendError;
use crate::sdk::{Backend, Embedding, Model, Operation, handle};

pub(super) unsafe extern "C" fn embedding_free<B: Backend>(
    embedding: *mut sam_mm_backend_embedding,
) {
    // SAFETY: the host keeps to the ABI.
    silent((), || unsafe {
        handle::take::<EmbeddingOf<B>, _>(embedding).map(drop)
    });
}

pub(super) unsafe extern "C" fn embedding_bytes<B: Backend>(
    embedding: *mut sam_mm_backend_embedding,
) -> u64 {
    // SAFETY: the host keeps to the ABI.
    silent(0, || unsafe {
        Ok(handle::borrow::<EmbeddingOf<B>, _>(embedding)?.device_bytes)
    })
}

pub(super) unsafe extern "C" fn embedding_export<B: Backend>(
    embedding: *mut sam_mm_backend_embedding,
    buffer: *mut u8,
    capacity: u64,
    required: *mut u64,
    error: *mut sam_mm_backend_error,
) -> i32 {
    // SAFETY: the host keeps to the ABI.
    unsafe {
        entry(error, || {
            let required = output(required, "required")?;
            let state = handle::borrow::<EmbeddingOf<B>, _>(embedding)?;
            let embedding = state.embedding.lock("embedding")?;
            let len = embedding.export_len();
            required.write(len as u64);
            if buffer.is_null() {
                return Ok(());
            }
            if capacity < len as u64 {
                return Err(BackendError::invalid_argument(format!(
                    "capacity is {capacity}; the exported embedding has {len} bytes"
                )));
            }
            embedding.export(slice::from_raw_parts_mut(buffer, len))
        })
    }
}

/// The extension for half precision.
pub(super) fn half<B: Backend>() -> &'static sam_mm_backend_embedding_half {
    const {
        &sam_mm_backend_embedding_half {
            struct_size: size_of::<sam_mm_backend_embedding_half>() as u32,
            reserved: 0,
            embedding_export_half: Some(embedding_export_half::<B>),
        }
    }
}

unsafe extern "C" fn embedding_export_half<B: Backend>(
    embedding: *mut sam_mm_backend_embedding,
    buffer: *mut u8,
    capacity: u64,
    written: *mut u64,
    error: *mut sam_mm_backend_error,
) -> i32 {
    // SAFETY: the host keeps to the ABI.
    unsafe {
        entry(error, || {
            let written = output(written, "written")?;
            let state = handle::borrow::<EmbeddingOf<B>, _>(embedding)?;
            let embedding = state.embedding.lock("embedding")?;
            let required = embedding.export_len() as u64;
            if buffer.is_null() || capacity < required {
                return Err(BackendError::invalid_argument(format!(
                    "buffer is {buffer:p} with capacity {capacity}; {required} bytes are needed"
                )));
            }
            let Some(bytes) = embedding.export_half()? else {
                return Err(BackendError::unsupported(
                    "half precision cannot hold this embedding, or it has no more already",
                ));
            };
            if bytes.len() as u64 > required {
                return Err(BackendError::internal(format!(
                    "half precision takes {} bytes, more than the {required} of all of it",
                    bytes.len()
                )));
            }
            slice::from_raw_parts_mut(buffer, bytes.len()).copy_from_slice(&bytes);
            written.write(bytes.len() as u64);
            Ok(())
        })
    }
}

pub(super) unsafe extern "C" fn embedding_import<B: Backend>(
    model: *mut sam_mm_backend_model,
    bytes: *const u8,
    len: u64,
    operation: *mut sam_mm_operation,
    out: *mut *mut sam_mm_backend_embedding,
    error: *mut sam_mm_backend_error,
) -> i32 {
    // SAFETY: the host keeps to the ABI.
    unsafe {
        entry(error, || {
            let out = output(out, "out")?;
            let state = handle::borrow::<ModelOf<B>, _>(model)?;
            let fits = usize::try_from(len)
                .ok()
                .filter(|&len| isize::try_from(len).is_ok());
            let (false, Some(len)) = (bytes.is_null(), fits) else {
                return Err(BackendError::invalid_argument(format!(
                    "bytes is {bytes:p} with len {len}"
                )));
            };
            let bytes = slice::from_raw_parts(bytes, len);
            let embedding = state
                .model
                .lock("model")?
                .import_embedding(bytes, &Operation::new(operation))?;
            out.write(handle::give(Arc::new(EmbeddingOf::<B>::new(
                embedding, state,
            ))));
            Ok(())
        })
    }
}
