//! Caches: what they hold, and emptying them.

use std::sync::Arc;

use super::call::{call, clear};
use super::context::{CONTEXTS, sam_mm_context};
use super::error::sam_mm_error;
use super::image::{IMAGES, sam_mm_image};
use super::structs::{self, c_struct};
use crate::context::Context;
use crate::error::Error;
use crate::image::ImageKey;
use crate::memory::analytics::Cache;
use crate::memory::status::Tier;

/// Image embeddings in memory: what the image encoder made, by image and model, on the device and in host memory
/// together. `hits` counts those found on disk as well: a miss is an encoding.
pub const SAM_MM_CACHE_EMBEDDING: u32 = 0;
/// Predictions: what the mask decoder made, by image, model and prompt.
pub const SAM_MM_CACHE_PREDICTION: u32 = 1;
/// Images processed for display.
pub const SAM_MM_CACHE_IMAGE: u32 = 2;
/// Image embeddings on the device, which is asked first. Empty where the device has no memory of its own.
pub const SAM_MM_CACHE_EMBEDDING_DEVICE: u32 = 3;
/// Image embeddings in host memory, which is asked when the device has none, what waits to be written to disk included.
pub const SAM_MM_CACHE_EMBEDDING_HOST: u32 = 4;
/// Image embeddings on disk, asked last: what this process knows of the folder, which others may use as well. Empty
/// without `embedding_disk_folder`.
pub const SAM_MM_CACHE_EMBEDDING_DISK: u32 = 5;

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
/// once. Embeddings are dropped from the tiers named and moved to no other: `SAM_MM_CACHE_EMBEDDING` leaves those on disk,
/// where the next use finds them, `SAM_MM_CACHE_EMBEDDING_DISK` deletes the files, those of other models and processes
/// included. [any thread]
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
            let bytes = empty(&entry.core, which(cache)?, None);
            if !freed.is_null() {
                freed.write(bytes);
            }
            Ok(())
        })
    }
}

/// `sam_mm_cache_clear`, but for what belongs to the picture of `image`: its embeddings, its predictions. Images processed
/// for display are known by their pixels, so that of an image with a `content_id` they are dropped. [any thread]
///
/// # Safety
/// `freed` and `error` are NULL or valid places.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_cache_clear_except(
    context: *mut sam_mm_context,
    cache: u32,
    image: *const sam_mm_image,
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
            let image = IMAGES.get(image)?;
            if !Arc::ptr_eq(image.context(), &entry.core) {
                return Err(Error::invalid_argument(
                    "image",
                    "belongs to another context; name one of this context",
                ));
            }
            let bytes = empty(&entry.core, which(cache)?, Some(image.key()));
            if !freed.is_null() {
                freed.write(bytes);
            }
            Ok(())
        })
    }
}

fn describe(context: &Context, cache: Cache) -> sam_mm_cache_info {
    let mut answer: sam_mm_cache_info = structs::zeroed();
    let has_device = context.memory().has_device();
    match cache {
        Cache::Embedding => {
            let (device, host) = (
                tier(context, Tier::Device, has_device),
                tier(context, Tier::Host, true),
            );
            answer.entries = device.entries + host.entries;
            answer.bytes = device.bytes + host.bytes;
            answer.max_entries = device.max_entries.saturating_add(host.max_entries);
            answer.max_bytes = device.max_bytes.saturating_add(host.max_bytes);
        }
        Cache::EmbeddingDevice => answer = tier(context, Tier::Device, has_device),
        Cache::EmbeddingHost => answer = tier(context, Tier::Host, true),
        Cache::EmbeddingDisk => {
            if let Some(disk) = context.embeddings().disk() {
                let (usage, limits) = (disk.folder().usage(), disk.folder().limits());
                answer.entries = usage.entries;
                answer.bytes = usage.bytes;
                answer.max_entries = limits.entries as u64;
                answer.max_bytes = limits.bytes;
            }
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

/// A tier of embeddings in memory; nothing where there is no such memory.
fn tier(context: &Context, tier: Tier, is_there: bool) -> sam_mm_cache_info {
    let mut answer: sam_mm_cache_info = structs::zeroed();
    if is_there {
        let (held, limits) = (
            context.embeddings().held(tier),
            context.embeddings().limits(tier),
        );
        answer.entries = held.entries;
        answer.bytes = held.bytes;
        answer.max_entries = limits.entries as u64;
        answer.max_bytes = limits.bytes;
    }
    answer
}

fn empty(context: &Context, cache: Cache, keep: Option<ImageKey>) -> u64 {
    let embeddings = context.embeddings();
    match cache {
        Cache::Embedding => embeddings.clear(keep),
        Cache::EmbeddingDevice => embeddings.clear_tier(Tier::Device, keep),
        Cache::EmbeddingHost => embeddings.clear_tier(Tier::Host, keep),
        Cache::EmbeddingDisk => embeddings.clear_disk(keep),
        Cache::Image => context.images().clear_except(|key| Some(key.image) == keep),
        Cache::Prediction => context.predictions().clear(keep),
    }
}

fn which(cache: u32) -> Result<Cache, Error> {
    match cache {
        SAM_MM_CACHE_EMBEDDING => Ok(Cache::Embedding),
        SAM_MM_CACHE_PREDICTION => Ok(Cache::Prediction),
        SAM_MM_CACHE_IMAGE => Ok(Cache::Image),
        SAM_MM_CACHE_EMBEDDING_DEVICE => Ok(Cache::EmbeddingDevice),
        SAM_MM_CACHE_EMBEDDING_HOST => Ok(Cache::EmbeddingHost),
        SAM_MM_CACHE_EMBEDDING_DISK => Ok(Cache::EmbeddingDisk),
        other => {
            let reason = format!(
                "is {other}, which is none of SAM_MM_CACHE_EMBEDDING (0) to SAM_MM_CACHE_EMBEDDING_DISK (5)"
            );
            Err(Error::invalid_argument("cache", reason))
        }
    }
}
