//! Results: scores and logits at once, masks in every form when asked for.

use std::ffi::c_char;

use super::call::{call, call_init, clear, quiet};
use super::error::sam_mm_error;
use super::handle::Table;
use super::mask_forms::{Forms, Target, polygon_options};
use super::structs::{self, c_struct};
use crate::backend::Attention;
use crate::embeddings::Source;
use crate::memory::execute::Ran;
use crate::memory::recovery::Rung;
use crate::memory::status::Tier;
use crate::prediction::Prediction;

/// The masks of one prediction. Masks are numbered object after object; with `masks_per_object` 3, masks 3 to 5 are
/// those of object 1. What is borrowed from it stays valid until it is freed. May be used from many threads at once.
#[allow(non_camel_case_types)]
pub struct sam_mm_result {
    _opaque: [u8; 0],
}

pub(super) static RESULTS: Table<sam_mm_result, Entry> = Table::new(5, "sam_mm_result");

/// A prediction and what its owner may borrow from it.
pub(super) struct Entry {
    prediction: Prediction,
    masks: Vec<Forms>,
}

impl From<Prediction> for Entry {
    fn from(prediction: Prediction) -> Self {
        let masks = (0..prediction.num_masks())
            .map(|_| Forms::default())
            .collect();
        Self { prediction, masks }
    }
}

/// What a result holds.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam_mm_result_info {
    /// `sizeof(sam_mm_result_info)`.
    pub struct_size: u32,
    /// Objects, in the order of the request.
    pub num_objects: u32,
    /// Masks of each object.
    pub masks_per_object: u32,
    /// `num_objects * masks_per_object`.
    pub num_masks: u32,
    /// Columns of the image, and of full-size masks.
    pub width: u32,
    /// Rows of the image, and of full-size masks.
    pub height: u32,
    /// Side of the square low-resolution logits.
    pub mask_size: u32,
    /// 1 when the image had been encoded before or its embedding was not needed, 0 when this prediction encoded it.
    pub embedding_reused: u32,
    /// Milliseconds that encoding the image took; 0 when `embedding_reused`.
    pub encode_ms: f64,
    /// Milliseconds that decoding the prompts took; 0 when `prediction_reused`.
    pub decode_ms: f64,
    /// 1 when the embedding was decoded on the CPU because the GPU had no room; else 0.
    pub on_cpu: u32,
    /// `SAM_MM_PRECISION_…` that the prompts were decoded in.
    pub precision: u32,
    /// 1 when the image was encoded with attention in chunks, which needs less memory for the same result within
    /// rounding; 0 when it was not, or had been encoded before.
    pub chunked_attention: u32,
    /// `SAM_MM_RUNG_…`: what helped when memory had run out on the way to this result; the later one of two.
    pub recovered_by: u32,
    /// 1 when the same had been predicted before and nothing was computed; then `on_cpu` and `precision` tell how it was
    /// computed at that time.
    pub prediction_reused: u32,
    /// Zero; for later use.
    pub reserved: u32,
    /// `SAM_MM_EMBEDDING_…`: where the embedding was when it was needed.
    pub embedding_source: u32,
    /// Zero; for later use.
    pub reserved_2: u32,
}

/// No embedding was needed: the prediction had been kept.
pub const SAM_MM_EMBEDDING_NONE: u32 = 0;
/// Nowhere: this prediction encoded the image.
pub const SAM_MM_EMBEDDING_ENCODED: u32 = 1;
/// In the memory of the device.
pub const SAM_MM_EMBEDDING_DEVICE: u32 = 2;
/// In host memory.
pub const SAM_MM_EMBEDDING_HOST: u32 = 3;
/// On disk.
pub const SAM_MM_EMBEDDING_DISK: u32 = 4;

/// Memory did not run out.
pub const SAM_MM_RUNG_NONE: u32 = 0;
/// Caches gave memory back.
pub const SAM_MM_RUNG_RELEASE_CACHES: u32 = 1;
/// The allocator gave memory back.
pub const SAM_MM_RUNG_EMPTY_ALLOCATOR: u32 = 2;
/// A plan that needs less: chunked attention, or half precision.
pub const SAM_MM_RUNG_LOWER_PRECISION: u32 = 3;
/// The CPU.
pub const SAM_MM_RUNG_CPU: u32 = 4;

c_struct!(sam_mm_result_info);

/// Tells what a result holds. [any thread]
///
/// # Safety
/// `info` points to a struct whose `struct_size` is set; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_result_describe(
    result: *const sam_mm_result,
    info: *mut sam_mm_result_info,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            structs::write(info, &structs::zeroed())?;
            let entry = RESULTS.get(result)?;
            let prediction = &entry.prediction;
            let mut answer: sam_mm_result_info = structs::zeroed();
            answer.num_objects = prediction.num_objects as u32;
            answer.masks_per_object = prediction.masks_per_object as u32;
            answer.num_masks = prediction.num_masks() as u32;
            (answer.width, answer.height) = prediction.image_size;
            answer.mask_size = prediction.mask_size as u32;
            answer.embedding_reused = prediction.timings.encode_ms.is_none().into();
            answer.encode_ms = prediction.timings.encode_ms.unwrap_or(0.0);
            answer.decode_ms = prediction.timings.decode_ms.unwrap_or(0.0);
            answer.prediction_reused = prediction.is_reused().into();
            answer.embedding_source = match prediction.embedding_source {
                None => SAM_MM_EMBEDDING_NONE,
                Some(Source::Encoded) => SAM_MM_EMBEDDING_ENCODED,
                Some(Source::Device) => SAM_MM_EMBEDDING_DEVICE,
                Some(Source::Host) => SAM_MM_EMBEDDING_HOST,
                Some(Source::Disk) => SAM_MM_EMBEDDING_DISK,
            };
            describe_runs(prediction, &mut answer);
            structs::write(info, &answer)
        })
    }
}

fn describe_runs(prediction: &Prediction, answer: &mut sam_mm_result_info) {
    let rung = |ran: &Ran| {
        ran.recovered_by.map(|rung| match rung {
            Rung::ReleaseCaches => SAM_MM_RUNG_RELEASE_CACHES,
            Rung::EmptyAllocator => SAM_MM_RUNG_EMPTY_ALLOCATOR,
            Rung::LowerPrecision => SAM_MM_RUNG_LOWER_PRECISION,
            Rung::Cpu => SAM_MM_RUNG_CPU,
        })
    };
    if let Some(encoded) = &prediction.encode_ran {
        answer.chunked_attention = (encoded.way.plan.attention == Attention::Chunked).into();
        answer.recovered_by = rung(encoded).unwrap_or(SAM_MM_RUNG_NONE);
    }
    if let Some(decoded) = &prediction.ran {
        answer.on_cpu = (decoded.way.tier == Tier::Host && prediction.has_device).into();
        answer.precision = decoded.way.plan.precision.to_abi();
    }
    if let Some(decoded) = prediction.decode_ran() {
        answer.recovered_by = rung(decoded).unwrap_or(answer.recovered_by);
    }
}

/// One mask in figures.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam_mm_mask_info {
    /// `sizeof(sam_mm_mask_info)`.
    pub struct_size: u32,
    /// The object it is of, counted from 0 in the order of the request.
    pub object_index: u32,
    /// Pixels of the mask at the size of the image.
    pub area: u64,
    /// x0, y0, x1, y1 around the mask, in the form of a prompt's box: x1 and y1 are one past the last pixel. COCO's
    /// `bbox` is x0, y0, x1 - x0, y1 - y0. Zeros for an empty mask.
    pub bounding_box: [f32; 4],
    /// IoU with the object that the model predicts for the mask.
    pub score: f32,
    /// Zero; for later use.
    pub reserved: u32,
    /// How sure the model is that the prompts of this object point at one at all, as a logit: above 0 for yes; the same for
    /// all masks of an object. 0 when `has_object_score` is.
    pub object_score: f32,
    /// 1 for a model that gives object scores (SAM 2 and 2.1), 0 for one that does not (SAM, MobileSAM).
    pub has_object_score: u32,
}

c_struct!(sam_mm_mask_info);

/// Tells score, area and box of a mask. Area and box are measured the first time they are asked for. [any thread]
///
/// # Safety
/// `info` points to a struct whose `struct_size` is set; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_result_mask_info(
    result: *const sam_mm_result,
    mask_index: u32,
    info: *mut sam_mm_mask_info,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            structs::write(info, &structs::zeroed())?;
            let entry = RESULTS.get(result)?;
            let prediction = &entry.prediction;
            let extent = prediction.extent(mask_index as usize)?;
            let mut answer: sam_mm_mask_info = structs::zeroed();
            answer.object_index = mask_index / prediction.masks_per_object as u32;
            answer.area = extent.area;
            answer.bounding_box = extent.bounding_box.corners().map(|corner| corner as f32);
            answer.score = prediction.score(mask_index as usize)?;
            if let Some(score) = prediction.object_score(answer.object_index as usize)? {
                (answer.object_score, answer.has_object_score) = (score, 1);
            }
            structs::write(info, &answer)
        })
    }
}

/// Tells which mask of an object has the highest score. [any thread]
///
/// # Safety
/// `mask_index` and `error` are NULL or valid places.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_result_best_mask(
    result: *const sam_mm_result,
    object_index: u32,
    mask_index: *mut u32,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            clear("mask_index", mask_index, 0)?;
            let entry = RESULTS.get(result)?;
            mask_index.write(entry.prediction.best_mask(object_index as usize)? as u32);
            Ok(())
        })
    }
}

/// Gives the low-resolution logits of a mask: `mask_size * mask_size` values, row by row, borrowed until the result is
/// freed. Made to be the `mask_input` of a later prompt. Of SAM 2 they are held to ±32, as its official predictor returns
/// them; its masks are made of what they were before. [any thread]
///
/// # Safety
/// `logits`, `logits_len` and `error` are NULL or valid places; `logits_len` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_result_logits(
    result: *const sam_mm_result,
    mask_index: u32,
    logits: *mut *const f32,
    logits_len: *mut u64,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            clear("logits", logits, std::ptr::null())?;
            if !logits_len.is_null() {
                logits_len.write(0);
            }
            let entry = RESULTS.get(result)?;
            let values = entry.prediction.logits(mask_index as usize)?;
            logits.write(values.as_ptr());
            if !logits_len.is_null() {
                logits_len.write(values.len() as u64);
            }
            Ok(())
        })
    }
}

/// A mask at the size of the image, one byte a pixel: 1 in the mask, 0 outside. Borrowed until the result is freed.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam_mm_bitmask {
    /// `sizeof(sam_mm_bitmask)`.
    pub struct_size: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Zero; keeps the next field aligned.
    pub reserved: u32,
    /// Bytes from one row to the next; rows follow without a gap, so this is `width`.
    pub row_stride: u64,
    /// The first pixel of the top row.
    pub data: *const u8,
}

c_struct!(sam_mm_bitmask);

/// Gives a mask at the size of the image. It is made the first time, which takes `width * height` bytes, and kept until
/// the result is freed; `sam_mm_result_bitmask_copy` keeps nothing. [any thread]
///
/// # Safety
/// `bitmask` points to a struct whose `struct_size` is set; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_result_bitmask(
    result: *const sam_mm_result,
    mask_index: u32,
    bitmask: *mut sam_mm_bitmask,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            structs::write(bitmask, &structs::zeroed())?;
            let entry = RESULTS.get(result)?;
            let made = entry.prediction.bitmask(mask_index as usize)?;
            let mut answer: sam_mm_bitmask = structs::zeroed();
            (answer.width, answer.height) = (made.width(), made.height());
            answer.row_stride = u64::from(made.width());
            answer.data = made.pixels().as_ptr();
            structs::write(bitmask, &answer)
        })
    }
}

/// Writes a mask at the size of the image into the caller's memory: `on_value` (1 to 255) in the mask, 0 outside. Bytes
/// between the rows are left alone. `row_stride` is the number of bytes from one row to the next, at least the image's width;
/// 0 means the width itself, rows without a gap. [any thread]
///
/// # Safety
/// `data` points to `data_len` writable bytes; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_result_bitmask_copy(
    result: *const sam_mm_result,
    mask_index: u32,
    on_value: u32,
    data: *mut u8,
    data_len: u64,
    row_stride: u64,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            let entry = RESULTS.get(result)?;
            let width = entry.prediction.image_size.0;
            let target = Target::new((data, data_len), row_stride, on_value, width)?;
            let mask = entry.prediction.mask(mask_index as usize)?;
            Ok(mask.write_to(target.buffer, target.row_stride, target.on)?)
        })
    }
}

/// A mask as COCO run-length encoding. Borrowed until the result is freed.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam_mm_rle {
    /// `sizeof(sam_mm_rle)`.
    pub struct_size: u32,
    /// Columns; COCO's `size` is `[height, width]`.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Numbers at `counts`.
    pub num_counts: u32,
    /// Lengths of runs, down the columns from the left, of pixels outside and inside in turn, starting with outside.
    pub counts: *const u32,
    /// The same as COCO's compressed text, byte for byte what `pycocotools.mask.encode` gives. NUL-terminated.
    pub compressed: *const c_char,
    /// Bytes of `compressed`, without the NUL.
    pub compressed_len: u64,
}

c_struct!(sam_mm_rle);

/// Gives a mask as COCO run-length encoding, straight from the logits. Made the first time, then kept. [any thread]
///
/// # Safety
/// `rle` points to a struct whose `struct_size` is set; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_result_rle(
    result: *const sam_mm_result,
    mask_index: u32,
    rle: *mut sam_mm_rle,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            structs::write(rle, &structs::zeroed())?;
            let entry = RESULTS.get(result)?;
            let mask = entry.prediction.mask(mask_index as usize)?;
            let forms = &entry.masks[mask_index as usize];
            structs::write(rle, &forms.rle(|| Ok(mask.rle()))?)
        })
    }
}

/// The outlines of a mask as closed rings. Borrowed until the result is freed.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam_mm_polygons {
    /// `sizeof(sam_mm_polygons)`.
    pub struct_size: u32,
    /// Rings: outer outlines and holes. Filling them all by the even-odd rule gives the mask. Outer
    /// outlines run clockwise as seen on the screen, holes the other way.
    pub num_rings: u32,
    /// x and y of all points, ring after ring, in pixels: corners of pixels, so (0, 0) to (width, height).
    pub points: *const f32,
    /// `num_rings + 1` numbers: ring `i` has points `ring_starts[i]` to `ring_starts[i + 1]`, the latter excluded. The
    /// last point joins the first, which is not repeated.
    pub ring_starts: *const u32,
    /// `num_rings` numbers: -1 for an outer outline, else the ring in which this one is a hole.
    pub parents: *const i32,
}

c_struct!(sam_mm_polygons);

/// Pixels that share a side belong together; what touches at a corner only becomes two outlines.
pub const SAM_MM_CONNECTIVITY_4: u32 = 0;
/// Pixels that share a side or a corner belong together (OpenCV's `findContours`).
pub const SAM_MM_CONNECTIVITY_8: u32 = 1;

/// Which outlines are wanted. Fill it with `sam_mm_polygon_options_init`, then change what should differ.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam_mm_polygon_options {
    /// `sizeof(sam_mm_polygon_options)`.
    pub struct_size: u32,
    /// `SAM_MM_CONNECTIVITY_…`; default `SAM_MM_CONNECTIVITY_4`.
    pub connectivity: u32,
    /// Points may be left out that lie no farther than this from the outline, in pixels (Douglas–Peucker). 0 (default)
    /// follows the pixels exactly.
    pub tolerance: f64,
    /// Rings that enclose fewer pixels are left out with all that lies in them; default 0.
    pub min_area: u64,
}

c_struct!(sam_mm_polygon_options);

/// Fills options with their defaults; `struct_size` is `sizeof(sam_mm_polygon_options)`. [any thread]
///
/// # Safety
/// `options` points to `struct_size` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_polygon_options_init(
    options: *mut sam_mm_polygon_options,
    struct_size: u32,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe { call_init(options, struct_size) }
}

/// Gives the outlines of a mask; `options` may be NULL for exact ones. Made once per set of options, then kept.
/// [any thread]
///
/// # Safety
/// `options` is NULL or valid for its `struct_size`; `polygons` points to a struct whose `struct_size` is set; `error`
/// is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_result_polygons(
    result: *const sam_mm_result,
    mask_index: u32,
    options: *const sam_mm_polygon_options,
    polygons: *mut sam_mm_polygons,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            structs::write(polygons, &structs::zeroed())?;
            let entry = RESULTS.get(result)?;
            let options = polygon_options(options)?;
            let mask = entry.prediction.mask(mask_index as usize)?;
            let forms = &entry.masks[mask_index as usize];
            structs::write(
                polygons,
                &forms.polygons(options, |options| Ok(mask.polygons(options)?))?,
            )
        })
    }
}

/// Frees a result and everything borrowed from it. NULL and results freed before are ignored. [any thread]
#[unsafe(no_mangle)]
pub extern "C" fn sam_mm_result_free(result: *mut sam_mm_result) {
    quiet((), || drop(RESULTS.remove(result)));
}
