//! Caches: what they hold, and emptying them.

use super::call::{call, clear};
use super::context::{CONTEXTS, sam_mm_context};
use super::error::sam_mm_error;
use super::structs::{self, c_struct};
use crate::context::Context;
use crate::error::Error;
use crate::memory::analytics::Cache;
use crate::memory::manager::EMBEDDING_CACHE;

/// Image embeddings: what the image encoder made, by image and model.
pub const SAM_MM_CACHE_EMBEDDING: u32 = 0;
/// Predictions: what the mask decoder made, by image, model and prompt.
pub const SAM_MM_CACHE_PREDICTION: u32 = 1;
/// Images processed for display.
pub const SAM_MM_CACHE_IMAGE: u32 = 2;

/// What a cache holds and how well it serves.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam_mm_cache_info {
    /// `sizeof(sam_mm_cache_info)`.
    pub struct_size: u32,
    /// Zero; for later use.
    pub reserved: u32,
    /// Entries held.
    pub entries: u64,
    /// Bytes held.
    pub bytes: u64,
    /// Most entries held; `UINT64_MAX` where only bytes count.
    pub max_entries: u64,
    /// Most bytes held.
    pub max_bytes: u64,
    /// Times that it had what was asked for.
    pub hits: u64,
    /// Times that it had not.
    pub misses: u64,
}

c_struct!(sam_mm_cache_info);

/// Tells what a cache holds; `cache` is `SAM_MM_CACHE_…`. [any thread]
///
/// # Safety
/// `info` points to a struct whose `struct_size` is set; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_cache_describe(
    context: *mut sam_mm_context,
    cache: u32,
    info: *mut sam_mm_cache_info,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            structs::write(info, &structs::zeroed())?;
            let entry = CONTEXTS.get(context)?;
            structs::write(info, &describe(&entry.core, which(cache)?))
        })
    }
}

/// Drops everything that a cache holds. What is in use stays usable until its user is done: embeddings of running
/// predictions, display images that are not freed. `freed`, which may be NULL, receives the bytes that were given back at
/// once. [any thread]
///
/// # Safety
/// `freed` and `error` are NULL or valid places.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_cache_clear(
    context: *mut sam_mm_context,
    cache: u32,
    freed: *mut u64,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |call| {
            if !freed.is_null() {
                clear("freed", freed, 0)?;
            }
            let entry = CONTEXTS.get(context)?;
            call.enter(&entry.core)?;
            let bytes = empty(&entry.core, which(cache)?);
            if !freed.is_null() {
                freed.write(bytes);
            }
            Ok(())
        })
    }
}

fn describe(context: &Context, cache: Cache) -> sam_mm_cache_info {
    let mut answer: sam_mm_cache_info = structs::zeroed();
    match cache {
        Cache::Embedding => {
            let embeddings = context.embeddings();
            answer.entries = embeddings.len() as u64;
            answer.bytes = embeddings.bytes();
            answer.max_entries = u64::MAX;
            answer.max_bytes = context.options().embedding_cache_bytes;
        }
        Cache::Image => {
            let images = context.images();
            answer.entries = images.len() as u64;
            answer.bytes = images.bytes();
            answer.max_entries = images.limits().entries as u64;
            answer.max_bytes = images.limits().bytes;
        }
        Cache::Prediction => {
            let predictions = context.predictions();
            answer.entries = predictions.len() as u64;
            answer.bytes = predictions.bytes();
            answer.max_entries = predictions.limits().entries as u64;
            answer.max_bytes = predictions.limits().bytes;
        }
    }
    let look_ups = context.memory().analytics().lookups(cache);
    (answer.hits, answer.misses) = (look_ups.hits, look_ups.misses);
    answer
}

fn empty(context: &Context, cache: Cache) -> u64 {
    match cache {
        Cache::Embedding => context.memory().consumers().clear(EMBEDDING_CACHE),
        Cache::Image => context.images().clear(),
        Cache::Prediction => context.predictions().clear(None),
    }
}

fn which(cache: u32) -> Result<Cache, Error> {
    match cache {
        SAM_MM_CACHE_EMBEDDING => Ok(Cache::Embedding),
        SAM_MM_CACHE_PREDICTION => Ok(Cache::Prediction),
        SAM_MM_CACHE_IMAGE => Ok(Cache::Image),
        other => {
            let reason = format!(
                "is {other}, which is none of SAM_MM_CACHE_EMBEDDING (0) to SAM_MM_CACHE_IMAGE (2)"
            );
            Err(Error::invalid_argument("cache", reason))
        }
    }
}
