//! Prefetching: encoding the images that are coming, while nobody waits for anything.

use std::ffi::c_char;
use std::sync::Arc;

use super::call::call;
use super::context::{CONTEXTS, sam_mm_context};
use super::error::sam_mm_error;
use super::image::{IMAGES, sam_mm_image};
use super::model::{MODELS, sam_mm_model};
use super::strings;
use super::structs::{self, c_struct};
use crate::memory::status::Tier;
use crate::prefetch::Rest;
use crate::prefetch::gate::Closed;

/// It does not rest.
pub const SAM_MM_PREFETCH_NOT_PAUSED: u32 = 0;
/// Device memory is at the warning threshold.
pub const SAM_MM_PREFETCH_PAUSED_DEVICE: u32 = 1;
/// Host memory is at its threshold.
pub const SAM_MM_PREFETCH_PAUSED_HOST: u32 = 2;
/// How full memory is could not be had.
pub const SAM_MM_PREFETCH_PAUSED_UNKNOWN: u32 = 3;
/// Its half of the embedding cache holds images that have not been used yet.
pub const SAM_MM_PREFETCH_PAUSED_CACHE: u32 = 4;

/// Asks for an image to be encoded before somebody clicks on it; images of a larger `priority` go first, and among equals
/// those that were added first. Adding one that waits changes its priority and nothing else. The image may be freed
/// afterwards: the queue holds its pixels until they are encoded. Freeing the model takes its images out of the queue.
///
/// One thread encodes them, and gives way to every other call and job, within the encoding too. It rests while memory is
/// full, and does not make anybody give memory back: an image for which memory is too short is dropped, and encoded when it
/// is clicked on. Images that were not used yet take at most half of the embedding cache. Never waits, also in callbacks.
/// [any thread]
///
/// # Safety
/// `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_prefetch_add(
    model: *mut sam_mm_model,
    image: *mut sam_mm_image,
    priority: i32,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |call| {
            let model = Arc::clone(&MODELS.get(model)?.core);
            let image = IMAGES.get(image)?;
            call.enter(model.context())?;
            super::exit::let_go_at_exit_once();
            model.context().prefetch().add(&model, &image, priority)
        })
    }
}

/// Takes an image out of the queue, or stops encoding it; nothing for one that is in neither. Never waits, also in callbacks.
/// [any thread]
///
/// # Safety
/// `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_prefetch_remove(
    model: *mut sam_mm_model,
    image: *mut sam_mm_image,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            let model = Arc::clone(&MODELS.get(model)?.core);
            let image = IMAGES.get(image)?;
            model.context().prefetch().remove(&model, &image);
            Ok(())
        })
    }
}

/// Takes everything out of the queue and stops encoding for it. Never waits, also in callbacks. [any thread]
///
/// # Safety
/// `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_prefetch_clear(
    context: *mut sam_mm_context,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            CONTEXTS.get(context)?.core.prefetch().clear();
            Ok(())
        })
    }
}

/// What prefetching is at. Counts are since the context was made.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam_mm_prefetch_info {
    /// `sizeof(sam_mm_prefetch_info)`.
    pub struct_size: u32,
    /// `SAM_MM_PREFETCH_…`: why it rests, though images are waiting. New reasons may come.
    pub paused: u32,
    /// Images that wait.
    pub queued: u64,
    /// Bytes of their pixels, held for as long as they wait.
    pub queued_bytes: u64,
    /// 1 while an image is encoded, else 0.
    pub running: u64,
    /// Images that are encoded now, or were already.
    pub done: u64,
    /// Images that were dropped: memory was too short, or they failed; the log says why.
    pub skipped: u64,
    /// Images that were taken out, or whose model was freed.
    pub cancelled: u64,
    /// Why it rests, for people, with the numbers; empty when it does not. UTF-8; cut at a character when too long.
    pub reason: [c_char; 256],
}

c_struct!(sam_mm_prefetch_info);

/// Tells what prefetching is at. Never waits, also in callbacks. [any thread]
///
/// # Safety
/// `info` points to a struct whose `struct_size` is set; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_prefetch_describe(
    context: *mut sam_mm_context,
    info: *mut sam_mm_prefetch_info,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            structs::write(info, &structs::zeroed())?;
            let overview = CONTEXTS.get(context)?.core.prefetch().overview();
            let mut answer: sam_mm_prefetch_info = structs::zeroed();
            answer.queued = overview.queued;
            answer.queued_bytes = overview.queued_bytes;
            answer.running = overview.running;
            answer.done = overview.done;
            answer.skipped = overview.skipped;
            answer.cancelled = overview.cancelled;
            if let Some(rest) = overview.rest {
                answer.paused = number_of(rest);
                answer.reason = strings::fill(&rest.to_string());
            }
            structs::write(info, &answer)
        })
    }
}

fn number_of(rest: Rest) -> u32 {
    match rest {
        Rest::Memory(Closed::Full { tier, .. }) => match tier {
            Tier::Device => SAM_MM_PREFETCH_PAUSED_DEVICE,
            Tier::Host => SAM_MM_PREFETCH_PAUSED_HOST,
        },
        Rest::Memory(Closed::Unknown(_)) => SAM_MM_PREFETCH_PAUSED_UNKNOWN,
        Rest::Cache { .. } => SAM_MM_PREFETCH_PAUSED_CACHE,
    }
}
