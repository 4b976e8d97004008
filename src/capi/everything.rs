//! Everything in an image: all masks that a grid of points finds.

use std::ffi::c_void;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::arrays::array;
use super::call::{call, call_init, clear, quiet};
use super::error::sam_mm_error;
use super::handle::Table;
use super::image::{IMAGES, sam_mm_image};
use super::log::UserData;
use super::mask_forms::{Forms, Target, polygon_options};
use super::model::{MODELS, sam_mm_model};
use super::result::{sam_mm_polygon_options, sam_mm_polygons, sam_mm_rle};
use super::structs::{self, c_struct};
use crate::callback::run_inside;
use crate::error::Error;
use crate::everything::{
    self, Effort, Everything, FoundMask, Grid, Options, Step, segment_everything,
};

/// Masks that were found in an image, numbered from 0. They are held as runs, and made into other forms when asked for. What
/// is borrowed from it stays valid until it is freed. May be used from many threads at once.
#[allow(non_camel_case_types)]
pub struct sam_mm_mask_set {
    _opaque: [u8; 0],
}

static MASK_SETS: Table<sam_mm_mask_set, MaskSet> = Table::new(8, "sam_mm_mask_set");

/// Masks and what their owner may borrow of each.
pub(super) struct MaskSet {
    image_size: (u32, u32),
    masks: Vec<(FoundMask, Forms)>,
    effort: Effort,
}

impl From<Everything> for MaskSet {
    fn from(found: Everything) -> Self {
        let with_forms = |mask| (mask, Forms::default());
        Self {
            image_size: found.image_size,
            masks: found.masks.into_iter().map(with_forms).collect(),
            effort: found.effort,
        }
    }
}

impl MaskSet {
    fn mask(&self, index: u32) -> Result<&(FoundMask, Forms), Error> {
        self.masks.get(index as usize).ok_or_else(|| {
            let count = self.masks.len();
            let reason = format!("is {index}, but the set has {count} masks, counted from 0");
            Error::invalid_argument("mask_index", reason)
        })
    }
}

/// Gives masks a handle.
pub(super) fn publish(found: Everything) -> Result<*mut sam_mm_mask_set, Error> {
    MASK_SETS.insert(Arc::new(found.into()))
}

/// Where a segmentation of everything stands.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam_mm_everything_step {
    /// `sizeof(sam_mm_everything_step)`.
    pub struct_size: u32,
    /// The crop that is looked at, counted from 0, which is the whole image.
    pub crop_index: u32,
    /// Crops there are.
    pub num_crops: u32,
    /// Masks that the batch gave, those of `masks`.
    pub num_masks: u32,
    /// Points decoded so far.
    pub points_done: u64,
    /// Points there are.
    pub points_total: u64,
    /// The done part of all, 0 to 1; never falls.
    pub fraction: f64,
    /// The masks that the batch gave, valid until the callback returns; NULL when it gave none. They have passed every filter,
    /// but one may still go because another is nearly the same and better. Those that stay have the same `id` in the end,
    /// and are the same but for regions that are removed (`min_mask_region_area`).
    pub masks: *mut sam_mm_mask_set,
}

c_struct!(sam_mm_everything_step);

/// Is told each step, before a crop is encoded and after each batch of points, on the thread that does the work; anything but 0
/// cancels. [callback] It must not let a C++ exception or a `longjmp` out.
#[allow(non_camel_case_types)]
pub type sam_mm_everything_fn = Option<
    unsafe extern "C" fn(user_data: *mut c_void, step: *const sam_mm_everything_step) -> i32,
>;

/// How everything is looked for: the parameters of the official generators by their names there, and their defaults. Fill it
/// with `sam_mm_everything_options_init`, then change what should differ.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam_mm_everything_options {
    /// `sizeof(sam_mm_everything_options)`.
    pub struct_size: u32,
    /// Points along each side of the grid, 1 to 1024; default 32. Not used with `point_grids`.
    pub points_per_side: u32,
    /// Points decoded at once, 1 to 1024; fewer where memory is short. Default 64.
    pub points_per_batch: u32,
    /// Layers of crops besides the whole image, 0 (default) to 5; layer n has `4^n` crops, each of which is encoded.
    pub crop_n_layers: u32,
    /// The grid of layer n has `points_per_side / factor^n` points a side; default 1.
    pub crop_n_points_downscale_factor: u32,
    /// Non-zero (default): several masks for each point. 0: one.
    pub multimask: u32,
    /// Non-zero: each mask is given to the model once more for one better mask. Default 0.
    pub use_m2m: u32,
    /// Grids at `point_grids`: 0 (default), or `crop_n_layers + 1`.
    pub num_point_grids: u32,
    /// Masks stay whose predicted IoU is above this; 0: all do. Below 0 (default): what the model's family has, 0.88 for SAM
    /// and MobileSAM and 0.8 for SAM 2.
    pub pred_iou_thresh: f64,
    /// Masks stay whose stability score is not below this; 0: all do. Default 0.95.
    pub stability_score_thresh: f64,
    /// By how much the threshold of the logits is moved up and down for the stability score; default 1.
    pub stability_score_offset: f64,
    /// Logits above this are the mask; default 0.
    pub mask_threshold: f64,
    /// Of two masks of a crop whose boxes have a greater IoU the better one stays; default 0.7.
    pub box_nms_thresh: f64,
    /// Of two masks of different crops whose boxes have a greater IoU that of the smaller crop stays; default 0.7.
    pub crop_nms_thresh: f64,
    /// How far crops overlap, as a share of the image's shorter side, 0 to less than 1; default 512/1500.
    pub crop_overlap_ratio: f64,
    /// Regions and holes that are smaller are removed; 0 (default): none. In pixels of the image with SAM and MobileSAM, in
    /// cells of the low-resolution logits with SAM 2, as in the official generators.
    pub min_mask_region_area: u64,
    /// Own points instead of grids, or NULL (default): x and y of each as fractions of the image or crop, 0 to 1; first those
    /// for the whole image, then those for each layer of crops.
    pub point_grids: *const f64,
    /// `num_point_grids` numbers: the points of each grid.
    pub point_grid_sizes: *const u32,
    /// Told each step; NULL (default) for nobody.
    pub on_step: sam_mm_everything_fn,
    /// Passed to `on_step`.
    pub user_data: *mut c_void,
}

c_struct!(sam_mm_everything_options, |options| {
    let defaults = Options::default();
    options.points_per_side = defaults.points_per_side;
    options.points_per_batch = defaults.points_per_batch;
    options.crop_n_points_downscale_factor = defaults.crop_n_points_downscale_factor;
    options.multimask = defaults.multimask.into();
    options.pred_iou_thresh = -1.0;
    options.stability_score_thresh = defaults.stability_score_thresh;
    options.stability_score_offset = defaults.stability_score_offset;
    options.mask_threshold = defaults.mask_threshold;
    options.box_nms_thresh = defaults.box_nms_thresh;
    options.crop_nms_thresh = defaults.crop_nms_thresh;
    options.crop_overlap_ratio = defaults.crop_overlap_ratio;
});

/// Fills options with their defaults; `struct_size` is `sizeof(sam_mm_everything_options)`. [any thread]
///
/// # Safety
/// `options` points to `struct_size` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_everything_options_init(
    options: *mut sam_mm_everything_options,
    struct_size: u32,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe { call_init(options, struct_size) }
}

/// Finds everything in an image: masks around a grid of points, the good ones, each once, in the order of the official
/// generators. `options` may be NULL for defaults. Encodes the image first if this model has not seen it yet. It takes long: a
/// thousand points are decoded. `sam_mm_job_submit_everything` does the same in the background. Refused from inside a
/// callback. [any thread]
///
/// # Safety
/// `options` is NULL or valid for its `struct_size`, its arrays for the counts given, and its callback may be called with
/// its `user_data`; `masks` and `error` are NULL or valid places.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_image_segment_everything(
    image: *mut sam_mm_image,
    model: *mut sam_mm_model,
    options: *const sam_mm_everything_options,
    masks: *mut *mut sam_mm_mask_set,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |call| {
            clear("masks", masks, std::ptr::null_mut())?;
            let image = IMAGES.get(image)?;
            let model = MODELS.get(model)?;
            call.enter(image.context())?;
            let (options, teller) = what_to_find(options)?;
            let mut watch = |step: &Step<'_>| teller.tell(step, image.size());
            let found = segment_everything(&model.core, &image, &options, &mut watch)?;
            masks.write(publish(found)?);
            Ok(())
        })
    }
}

/// Whom to tell of each step.
pub(super) struct Teller {
    callback: sam_mm_everything_fn,
    user_data: UserData,
}

impl Teller {
    /// Tells the caller's callback, if there is one. What it is given lives as long as that runs.
    pub fn tell(&self, step: &Step<'_>, image_size: (u32, u32)) -> ControlFlow<()> {
        let Some(callback) = self.callback else {
            return ControlFlow::Continue(());
        };
        let mut told: sam_mm_everything_step = structs::CStruct::defaults();
        (told.crop_index, told.num_crops) = (step.crop, step.crops);
        (told.points_done, told.points_total) = (step.points_done, step.points_total);
        told.num_masks = step.found.len() as u32;
        told.fraction = step.fraction();
        told.masks = std::ptr::null_mut();
        if !step.found.is_empty() {
            let found = Everything {
                image_size,
                masks: step.found.to_vec(),
                effort: Effort::default(),
            };
            // Without a place for one more handle the step is told without it.
            told.masks = publish(found).unwrap_or(std::ptr::null_mut());
        }
        let mut answer = 0;
        run_inside(|| {
            // SAFETY: the caller promised that the function may be called with this value; the step lives until it returns.
            answer = unsafe { callback(self.user_data.get(), &raw const told) };
        });
        if !told.masks.is_null() {
            drop(MASK_SETS.remove(told.masks));
        }
        match answer {
            0 => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    }
}

/// A caller's options, copied.
///
/// # Safety
/// `options` is NULL or valid for its `struct_size`, and its arrays for the counts given.
pub(super) unsafe fn what_to_find(
    options: *const sam_mm_everything_options,
) -> Result<(Options, Teller), Error> {
    let given: sam_mm_everything_options = match options.is_null() {
        true => structs::CStruct::defaults(),
        // SAFETY: as promised by the caller.
        false => unsafe { structs::read(options)? },
    };
    let options = Options {
        points_per_side: given.points_per_side,
        // SAFETY: as promised by the caller.
        point_grids: unsafe { point_grids(&given)? },
        points_per_batch: given.points_per_batch,
        // NaN is not below 0, and is refused like every NaN.
        pred_iou_thresh: if given.pred_iou_thresh < 0.0 {
            None
        } else {
            Some(given.pred_iou_thresh)
        },
        stability_score_thresh: given.stability_score_thresh,
        stability_score_offset: given.stability_score_offset,
        mask_threshold: given.mask_threshold,
        box_nms_thresh: given.box_nms_thresh,
        crop_n_layers: given.crop_n_layers,
        crop_nms_thresh: given.crop_nms_thresh,
        crop_overlap_ratio: given.crop_overlap_ratio,
        crop_n_points_downscale_factor: given.crop_n_points_downscale_factor,
        min_mask_region_area: given.min_mask_region_area,
        multimask: given.multimask != 0,
        use_m2m: given.use_m2m != 0,
    };
    let teller = Teller {
        callback: given.on_step,
        user_data: UserData(given.user_data),
    };
    Ok((options, teller))
}

/// # Safety
/// The arrays of `given` are as `sam_mm_everything_options` says.
unsafe fn point_grids(given: &sam_mm_everything_options) -> Result<Option<Vec<Grid>>, Error> {
    if given.num_point_grids == 0 {
        return Ok(None);
    }
    if given.num_point_grids > everything::MAX_CROP_LAYERS + 1 {
        let reason = format!(
            "is {}; it is crop_n_layers + 1, at most {}",
            given.num_point_grids,
            everything::MAX_CROP_LAYERS + 1
        );
        return Err(Error::invalid_argument("num_point_grids", reason));
    }
    let count = given.num_point_grids as usize;
    // SAFETY: as promised by the caller.
    let sizes = unsafe { array("point_grid_sizes", given.point_grid_sizes, count)? };
    let most = everything::MAX_POINTS_PER_SIDE * everything::MAX_POINTS_PER_SIDE;
    if let Some(size) = sizes.iter().find(|&&size| size == 0 || size > most) {
        let reason = format!("have {size}; a grid has 1 to {most} points");
        return Err(Error::invalid_argument("point_grid_sizes", reason));
    }
    let all: usize = sizes.iter().map(|&size| size as usize).sum();
    // SAFETY: as promised by the caller.
    let values = unsafe { array("point_grids", given.point_grids, 2 * all)? };
    let mut points = values.as_chunks::<2>().0;
    let mut grids = Vec::with_capacity(count);
    for &size in sizes {
        let (grid, rest) = points.split_at(size as usize);
        grids.push(grid.to_vec());
        points = rest;
    }
    Ok(Some(grids))
}

/// What a set of masks holds, and what it took.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam_mm_mask_set_info {
    /// `sizeof(sam_mm_mask_set_info)`.
    pub struct_size: u32,
    /// Masks.
    pub num_masks: u32,
    /// Columns of the image, and of the masks.
    pub width: u32,
    /// Rows of the image, and of the masks.
    pub height: u32,
    /// Images that were looked at: the whole one and crops.
    pub num_crops: u32,
    /// The smallest number of points that a batch was cut down to for want of memory; 0 when none was.
    pub reduced_batch: u32,
    /// Points that were decoded.
    pub num_points: u64,
    /// Batches they were decoded in.
    pub num_batches: u64,
    /// Masks that passed the filters before duplicates went.
    pub num_candidates: u64,
    /// Most bytes of host memory that the logits of a batch and the masks took together.
    pub peak_bytes: u64,
}

c_struct!(sam_mm_mask_set_info);

/// Tells what a set holds. [any thread]
///
/// # Safety
/// `info` points to a struct whose `struct_size` is set; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_mask_set_describe(
    masks: *const sam_mm_mask_set,
    info: *mut sam_mm_mask_set_info,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            structs::write(info, &structs::zeroed())?;
            let set = MASK_SETS.get(masks)?;
            let mut answer: sam_mm_mask_set_info = structs::zeroed();
            answer.num_masks = set.masks.len() as u32;
            (answer.width, answer.height) = set.image_size;
            answer.num_crops = set.effort.crops;
            answer.reduced_batch = set.effort.reduced_batch.unwrap_or(0);
            answer.num_points = set.effort.points;
            answer.num_batches = set.effort.batches;
            answer.num_candidates = set.effort.candidates;
            answer.peak_bytes = set.effort.peak_bytes;
            structs::write(info, &answer)
        })
    }
}

/// One mask of a set in figures.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam_mm_found_mask_info {
    /// `sizeof(sam_mm_found_mask_info)`.
    pub struct_size: u32,
    /// Layer of the crop it was found in; 0 is the whole image.
    pub crop_layer: u32,
    /// Its number among all that were found, in that order: what it is called in the steps told on the way.
    pub id: u64,
    /// Pixels of the mask.
    pub area: u64,
    /// x0, y0, x1, y1 around the mask, in the form of a prompt's box: x1 and y1 are one past the last pixel. Zeros for an
    /// empty mask.
    pub bounding_box: [f32; 4],
    /// IoU with the object that the model predicts for the mask.
    pub predicted_iou: f32,
    /// How little the mask changes with the threshold of its logits, 0 to 1.
    pub stability_score: f32,
    /// x and y of the point it was found with.
    pub point: [f32; 2],
    /// x0, y0, x1, y1 of the crop it was found in, one past the last pixel.
    pub crop_box: [f32; 4],
}

c_struct!(sam_mm_found_mask_info);

/// Tells the figures of a mask. [any thread]
///
/// # Safety
/// `info` points to a struct whose `struct_size` is set; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_mask_set_mask_info(
    masks: *const sam_mm_mask_set,
    mask_index: u32,
    info: *mut sam_mm_found_mask_info,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            structs::write(info, &structs::zeroed())?;
            let set = MASK_SETS.get(masks)?;
            let (mask, _) = set.mask(mask_index)?;
            let mut answer: sam_mm_found_mask_info = structs::zeroed();
            answer.crop_layer = mask.crop.layer;
            (answer.id, answer.area) = (mask.id, mask.area);
            answer.bounding_box = mask.bounding_box.corners().map(|corner| corner as f32);
            answer.predicted_iou = mask.predicted_iou;
            answer.stability_score = mask.stability_score;
            answer.point = mask.point.map(|at| at as f32);
            answer.crop_box = mask.crop.corners.map(|corner| corner as f32);
            structs::write(info, &answer)
        })
    }
}

/// Gives a mask as COCO run-length encoding, of the whole image. Made the first time, then kept. [any thread]
///
/// # Safety
/// `rle` points to a struct whose `struct_size` is set; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_mask_set_rle(
    masks: *const sam_mm_mask_set,
    mask_index: u32,
    rle: *mut sam_mm_rle,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            structs::write(rle, &structs::zeroed())?;
            let set = MASK_SETS.get(masks)?;
            let (mask, forms) = set.mask(mask_index)?;
            structs::write(rle, &forms.rle(|| mask.rle())?)
        })
    }
}

/// Writes a mask at the size of the image into the caller's memory, as `sam_mm_result_bitmask_copy`. [any thread]
///
/// # Safety
/// `data` points to `data_len` writable bytes; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_mask_set_bitmask_copy(
    masks: *const sam_mm_mask_set,
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
            let set = MASK_SETS.get(masks)?;
            let (mask, _) = set.mask(mask_index)?;
            let width = set.image_size.0;
            let target = Target::new((data, data_len), row_stride, on_value, width)?;
            Ok(mask
                .rle()?
                .write_to(target.buffer, target.row_stride, target.on)?)
        })
    }
}

/// Gives the outlines of a mask, as `sam_mm_result_polygons`. [any thread]
///
/// # Safety
/// `options` is NULL or valid for its `struct_size`; `polygons` points to a struct whose `struct_size` is set; `error`
/// is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_mask_set_polygons(
    masks: *const sam_mm_mask_set,
    mask_index: u32,
    options: *const sam_mm_polygon_options,
    polygons: *mut sam_mm_polygons,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            structs::write(polygons, &structs::zeroed())?;
            let set = MASK_SETS.get(masks)?;
            let options = polygon_options(options)?;
            let (mask, forms) = set.mask(mask_index)?;
            let made = forms.polygons(options, |options| Ok(mask.rle()?.polygons(options)?))?;
            structs::write(polygons, &made)
        })
    }
}

/// Frees a set and everything borrowed from it. NULL and sets freed before are ignored. [any thread]
#[unsafe(no_mangle)]
pub extern "C" fn sam_mm_mask_set_free(masks: *mut sam_mm_mask_set) {
    quiet((), || drop(MASK_SETS.remove(masks)));
}
