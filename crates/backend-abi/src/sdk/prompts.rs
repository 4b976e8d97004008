//! Checked views of the prompts that `decode` takes and of the buffers it fills.

use core::slice;

use crate::abi::{sam_mm_backend_masks, sam_mm_backend_prompts};
use crate::error::{BackendError, Result};
use crate::types::ModelInfo;

/// Prompts for a number of objects of one image. Coordinates are pixels of the original image.
#[derive(Clone, Debug)]
pub struct Prompts<'a> {
    /// `multimask_count` masks per object instead of one.
    pub multimask: bool,
    /// Side of the mask inputs, in cells.
    pub mask_size: u32,
    /// The prompts of each object, at least one object.
    pub objects: Vec<ObjectPrompt<'a>>,
}

/// The prompts of one object.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ObjectPrompt<'a> {
    /// x and y of each point.
    pub points: &'a [[f32; 2]],
    /// Of each point: 1 foreground, 0 background, −1 not a point.
    pub labels: &'a [i32],
    /// x0, y0, x1, y1.
    pub bbox: Option<[f32; 4]>,
    /// `mask_size × mask_size` low-resolution logits of an earlier result.
    pub mask: Option<&'a [f32]>,
}

/// Where `decode` writes. `n` masks per object.
#[derive(Debug)]
pub struct MasksMut<'a> {
    /// Masks per object: `multimask_count` with multimask output, 1 without.
    pub masks_per_object: u32,
    /// `[num_objects][n][mask_size][mask_size]` low-resolution logits; a mask is where they exceed 0.
    pub logits: &'a mut [f32],
    /// `[num_objects][n]` predicted IoU.
    pub scores: &'a mut [f32],
    /// `[num_objects]` object score logit, when wanted; left alone by a model that has none.
    pub object_scores: Option<&'a mut [f32]>,
}

impl<'a> Prompts<'a> {
    /// The most points any object has, as needed for padding a batch.
    pub fn max_points(&self) -> usize {
        self.objects
            .iter()
            .map(|object| object.points.len())
            .max()
            .unwrap_or(0)
    }

    /// Checks the struct of the border.
    ///
    /// # Safety
    /// The pointers are NULL or readable as the ABI says, and not written to during `'a`.
    pub(super) unsafe fn new(wire: &sam_mm_backend_prompts, info: &ModelInfo) -> Result<Self> {
        if wire.num_objects == 0 {
            return Err(invalid(
                "prompts.num_objects is 0; at least one object must be asked for",
            ));
        }
        let objects = wire.num_objects as usize;
        let cells = cells(info);
        // SAFETY: each array is as long as the ABI says, by the caller's promise.
        let (counts, has_box, boxes, has_mask) = unsafe {
            (
                optional(wire.point_counts, objects, "point_counts")?,
                optional(wire.has_box, objects, "has_box")?,
                optional(wire.boxes.cast::<[f32; 4]>(), objects, "boxes")?,
                optional(wire.has_mask, objects, "has_mask")?,
            )
        };
        let total = counts
            .unwrap_or(&[])
            .iter()
            .try_fold(0usize, |sum, &count| sum.checked_add(count as usize));
        let total = total
            .ok_or_else(|| invalid("the sum of prompts.point_counts does not fit in memory"))?;
        // SAFETY: as above.
        let (points, labels) = unsafe {
            (
                required(wire.points.cast::<[f32; 2]>(), total, "points")?,
                required(wire.labels, total, "labels")?,
            )
        };
        check_points(points, labels)?;
        let mut views = Vec::with_capacity(objects.min(1 << 16));
        let mut first = 0;
        for object in 0..objects {
            let count = counts.map_or(0, |counts| counts[object] as usize);
            views.push(ObjectPrompt {
                points: &points[first..first + count],
                labels: &labels[first..first + count],
                bbox: box_of(object, has_box, boxes)?,
                // SAFETY: where `has_mask` is set, the mask of the object is readable, by the caller's promise.
                mask: unsafe { mask_of(object, has_mask, wire.masks, cells)? },
            });
            first += count;
        }
        Ok(Self {
            multimask: wire.multimask != 0,
            mask_size: info.mask_size,
            objects: views,
        })
    }
}

impl MasksMut<'_> {
    /// The logits of one mask, `mask_size × mask_size`.
    ///
    /// # Panics
    /// When there is no such object or mask.
    pub fn mask_mut(&mut self, object: usize, mask: usize) -> &mut [f32] {
        let n = self.masks_per_object as usize;
        assert!(mask < n, "mask {mask} of {n}");
        let cells = self.logits.len() / self.scores.len();
        let first = (object * n + mask) * cells;
        &mut self.logits[first..first + cells]
    }

    /// The score of one mask.
    ///
    /// # Panics
    /// When there is no such object or mask.
    pub fn score_mut(&mut self, object: usize, mask: usize) -> &mut f32 {
        let n = self.masks_per_object as usize;
        assert!(mask < n, "mask {mask} of {n}");
        &mut self.scores[object * n + mask]
    }

    /// Checks the struct of the border.
    ///
    /// # Safety
    /// The pointers are NULL or writable as the ABI says for this number of objects, hold initialised memory that
    /// nobody else touches, and outlive the view.
    pub(super) unsafe fn new(
        wire: &sam_mm_backend_masks,
        prompts: &Prompts<'_>,
        info: &ModelInfo,
    ) -> Result<Self> {
        let masks_per_object = info.masks_per_object(prompts.multimask);
        let objects = prompts.objects.len();
        let too_many = || {
            invalid(format!(
                "the logits of {objects} objects with {masks_per_object} masks each do not fit in memory"
            ))
        };
        let masks = objects
            .checked_mul(masks_per_object as usize)
            .ok_or_else(too_many)?;
        let logits = masks.checked_mul(cells(info)).ok_or_else(too_many)?;
        // SAFETY: as promised by the caller.
        unsafe {
            Ok(Self {
                masks_per_object,
                logits: writable(wire.logits, logits, "logits")?,
                scores: writable(wire.scores, masks, "scores")?,
                object_scores: if wire.object_scores.is_null() {
                    None
                } else {
                    Some(writable(wire.object_scores, objects, "object_scores")?)
                },
            })
        }
    }
}

fn invalid(message: impl Into<String>) -> BackendError {
    BackendError::invalid_argument(message)
}

fn cells(info: &ModelInfo) -> usize {
    info.mask_size as usize * info.mask_size as usize
}

fn check_points(points: &[[f32; 2]], labels: &[i32]) -> Result<()> {
    for (index, (point, label)) in points.iter().zip(labels).enumerate() {
        if !matches!(label, -1..=1) {
            return Err(invalid(format!(
                "label {index} is {label}; it must be 1 (foreground), 0 (background) or -1 (not a point)"
            )));
        }
        if point.iter().any(|coordinate| !coordinate.is_finite()) {
            return Err(invalid(format!(
                "point {index} is ({}, {}); coordinates must be finite",
                point[0], point[1]
            )));
        }
    }
    Ok(())
}

fn box_of(
    object: usize,
    has_box: Option<&[u8]>,
    boxes: Option<&[[f32; 4]]>,
) -> Result<Option<[f32; 4]>> {
    if has_box.is_none_or(|has| has[object] == 0) {
        return Ok(None);
    }
    let Some(boxes) = boxes else {
        return Err(invalid(format!(
            "prompts.has_box[{object}] is set but prompts.boxes is NULL"
        )));
    };
    let bbox = boxes[object];
    if bbox.iter().any(|coordinate| !coordinate.is_finite()) {
        return Err(invalid(format!(
            "the box of object {object} is {bbox:?}; coordinates must be finite"
        )));
    }
    Ok(Some(bbox))
}

/// # Safety
/// `masks` is NULL or readable for `(object + 1) * cells` elements where `has_mask` is set.
unsafe fn mask_of<'a>(
    object: usize,
    has_mask: Option<&[u8]>,
    masks: *const f32,
    cells: usize,
) -> Result<Option<&'a [f32]>> {
    if has_mask.is_none_or(|has| has[object] == 0) {
        return Ok(None);
    }
    let end = (object + 1)
        .checked_mul(cells)
        .ok_or_else(|| invalid("prompts.masks do not fit in memory"))?;
    // SAFETY: as promised by the caller; NULL, alignment and size are checked inside.
    let all = unsafe { required(masks, end, "masks")? };
    Ok(Some(&all[end - cells..]))
}

/// # Safety
/// `data` is NULL or readable for `len` elements during `'a`.
unsafe fn optional<'a, T>(data: *const T, len: usize, name: &str) -> Result<Option<&'a [T]>> {
    if data.is_null() {
        return Ok(None);
    }
    // SAFETY: as promised by the caller.
    unsafe { required(data, len, name).map(Some) }
}

/// # Safety
/// As [`optional`]; NULL is fine for an empty array.
unsafe fn required<'a, T>(data: *const T, len: usize, name: &str) -> Result<&'a [T]> {
    if len == 0 {
        return Ok(&[]);
    }
    check(data, len, "prompts", name)?;
    // SAFETY: not NULL, aligned, of a size that fits, and readable by the caller's promise.
    Ok(unsafe { slice::from_raw_parts(data, len) })
}

/// # Safety
/// `data` is NULL or writable and initialised for `len` elements, and nobody else touches it during `'a`.
unsafe fn writable<'a, T>(data: *mut T, len: usize, name: &str) -> Result<&'a mut [T]> {
    check(data, len, "masks", name)?;
    // SAFETY: not NULL, aligned, of a size that fits, and writable by the caller's promise.
    Ok(unsafe { slice::from_raw_parts_mut(data, len) })
}

fn check<T>(data: *const T, len: usize, of: &str, name: &str) -> Result<()> {
    if data.is_null() {
        return Err(invalid(format!(
            "{of}.{name} is NULL; {len} elements are needed"
        )));
    }
    if !data.is_aligned() {
        return Err(invalid(format!(
            "{of}.{name} is at {data:p}, which is not aligned for its elements"
        )));
    }
    if len
        .checked_mul(size_of::<T>())
        .is_none_or(|bytes| isize::try_from(bytes).is_err())
    {
        return Err(invalid(format!(
            "{of}.{name} with {len} elements does not fit in memory"
        )));
    }
    Ok(())
}
