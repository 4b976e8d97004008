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
