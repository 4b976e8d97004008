//! What a segmentation of everything is asked for, and what follows from it for one image and model.

use super::crop::{Crop, crops_of};
use super::grid::{Grid, grids_of_layers};
use crate::backend::ModelInfo;
use crate::error::Error;
use crate::prompt::MAX_OBJECTS;

/// Most points along a side of a grid.
pub const MAX_POINTS_PER_SIDE: u32 = 1024;
/// Most layers of crops. The last one alone has `4^layers` crops, each of which is encoded.
pub const MAX_CROP_LAYERS: u32 = 5;

/// The parameters of the official generators, by their names there (`SamAutomaticMaskGenerator` of
/// `segment_anything/automatic_mask_generator.py`, `SAM2AutomaticMaskGenerator` of `sam2/automatic_mask_generator.py`), with
/// their defaults. All numbers are held and compared in the precision that they have there.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Points along each side of the grid that is laid over the image, 1 to [`MAX_POINTS_PER_SIDE`]. Default 32. Not used
    /// with `point_grids`.
    pub points_per_side: u32,
    /// The caller's own points instead of grids: those of the whole image first, then those of each layer of crops. x and y
    /// are fractions of the image or crop, 0 to 1.
    pub point_grids: Option<Vec<Grid>>,
    /// Points decoded at once, 1 to [`MAX_OBJECTS`]; fewer where memory is short. Default 64.
    pub points_per_batch: u32,
    /// Masks stay whose predicted IoU is above this; at 0 and below all do. `None` (default) is the default of the model's
    /// family: 0.88 for SAM and MobileSAM, 0.8 for SAM 2.
    pub pred_iou_thresh: Option<f64>,
    /// Masks stay whose stability score is not below this; at 0 and below all do. Default 0.95.
    pub stability_score_thresh: f64,
    /// By how much the threshold of the logits is moved up and down to see how much the mask changes. Default 1.
    pub stability_score_offset: f64,
    /// Logits above this are the mask. Default 0.
    pub mask_threshold: f64,
    /// Of two masks of one crop whose boxes have a greater IoU, the one with the lower predicted IoU goes. Default 0.7.
    pub box_nms_thresh: f64,
    /// Layers of crops that are segmented besides the whole image; layer n cuts each side into `2^n`. Default 0, at most
    /// [`MAX_CROP_LAYERS`].
    pub crop_n_layers: u32,
    /// Of two masks of different crops whose boxes have a greater IoU, the one of the larger crop goes. Default 0.7.
    pub crop_nms_thresh: f64,
    /// How far crops of the first layer overlap, as a share of the image's shorter side; later ones less. 0 up to but not
    /// including 1. Default 512/1500.
    pub crop_overlap_ratio: f64,
    /// The grid of layer n has `points_per_side / factor^n` points a side. Default 1.
    pub crop_n_points_downscale_factor: u32,
    /// Regions and holes of masks that are smaller are removed; 0 (default) leaves masks as they are. With SAM and MobileSAM
    /// in pixels of the finished masks, which may make duplicates of some, so that these are looked for again. With SAM 2 in
    /// cells of the low-resolution logits, before anything is measured, and with regions of this very size, as there.
    pub min_mask_region_area: u64,
    /// Whether each point gives several masks (three) or one. Default several.
    pub multimask: bool,
    /// Whether each mask is given to the model once more, with its point, for one better mask. Of SAM 2's generator; works
    /// with all models. Default no.
    pub use_m2m: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            points_per_side: 32,
            point_grids: None,
            points_per_batch: 64,
            pred_iou_thresh: None,
            stability_score_thresh: 0.95,
            stability_score_offset: 1.0,
            mask_threshold: 0.0,
            box_nms_thresh: 0.7,
            crop_n_layers: 0,
            crop_nms_thresh: 0.7,
            crop_overlap_ratio: 512.0 / 1500.0,
            crop_n_points_downscale_factor: 1,
            min_mask_region_area: 0,
            multimask: true,
            use_m2m: false,
        }
    }
}

/// Where small regions are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RegionRemoval {
    /// In the finished masks (`SamAutomaticMaskGenerator.postprocess_small_regions`).
    InMasks,
    /// In the logits (`SAM2Transforms.postprocess_masks`).
    InLogits,
}

/// Options for one image and model, checked. Thresholds are as the official code compares them: with scores, which are
/// single precision, in single precision; with overlaps of boxes in double precision.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub crops: Vec<Crop>,
    /// One per layer.
    pub grids: Vec<Grid>,
    pub points_per_batch: u32,
    /// `None` where all masks stay.
    pub pred_iou: Option<f32>,
    /// `None` where all masks stay.
    pub stability: Option<f32>,
    pub mask_threshold: f32,
    /// Thresholds of the smaller and the larger mask that a stability score compares.
    pub stability_levels: [f32; 2],
    pub box_nms: f64,
    pub crop_nms: f64,
    pub min_region: u64,
    pub region_removal: RegionRemoval,
    pub multimask: bool,
    pub use_m2m: bool,
}

impl Settings {
    /// Checks options for an image of a size and a model.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] with the option and its value.
    pub fn new(options: &Options, info: &ModelInfo, size: (u32, u32)) -> Result<Self, Error> {
        options.check()?;
        let layers = options.crop_n_layers;
        let grids = match &options.point_grids {
            Some(own) => checked_grids(own, layers)?,
            None => grids_of_layers(
                options.points_per_side,
                layers,
                options.crop_n_points_downscale_factor,
            )?,
        };
        let is_sam2 = info.family.starts_with("sam2");
        let pred_iou = options
            .pred_iou_thresh
            .unwrap_or(if is_sam2 { 0.8 } else { 0.88 });
        let level = |offset: f64| (options.mask_threshold + offset) as f32;
        let above_zero = |threshold: f64| (threshold > 0.0).then_some(threshold as f32);
        Ok(Self {
            crops: crops_of(size, layers, options.crop_overlap_ratio)?,
            grids,
            points_per_batch: options.points_per_batch,
            pred_iou: above_zero(pred_iou),
            stability: above_zero(options.stability_score_thresh),
            mask_threshold: level(0.0),
            stability_levels: [
                level(options.stability_score_offset),
                level(-options.stability_score_offset),
            ],
            box_nms: options.box_nms_thresh,
            crop_nms: options.crop_nms_thresh,
            min_region: options.min_mask_region_area,
            region_removal: if is_sam2 {
                RegionRemoval::InLogits
            } else {
                RegionRemoval::InMasks
            },
            multimask: options.multimask,
            use_m2m: options.use_m2m,
        })
    }

    /// Points of all crops together.
    pub fn num_points(&self) -> u64 {
        let points = |crop: &Crop| self.grids[crop.layer as usize].len() as u64;
        self.crops.iter().map(points).sum()
    }
}

impl Options {
    fn check(&self) -> Result<(), Error> {
        let whole = |name, given: u32, most: u32, what: &str| {
            if (1..=most).contains(&given) {
                return Ok(());
            }
            refused(name, format!("is {given}; it is {what}, 1 to {most}"))
        };
        if self.point_grids.is_none() {
            let what = "the number of points along a side of the grid";
            whole(
                "points_per_side",
                self.points_per_side,
                MAX_POINTS_PER_SIDE,
                what,
            )?;
        }
        let most = MAX_OBJECTS as u32;
        let what = "the number of points decoded at once";
        whole("points_per_batch", self.points_per_batch, most, what)?;
        if self.crop_n_points_downscale_factor == 0 {
            let reason = "is 0; it divides the points of a side for each layer of crops, and is 1 for as many in every layer";
            return refused("crop_n_points_downscale_factor", reason.to_owned());
        }
        if self.crop_n_layers > MAX_CROP_LAYERS {
            let layers = self.crop_n_layers;
            let reason = format!(
                "is {layers}; {MAX_CROP_LAYERS} are the most, as layer n has 4^n crops, each of which is encoded"
            );
            return refused("crop_n_layers", reason);
        }
        self.check_thresholds()
    }

    fn check_thresholds(&self) -> Result<(), Error> {
        for (name, value) in [
            ("pred_iou_thresh", self.pred_iou_thresh.unwrap_or(0.0)),
            ("stability_score_thresh", self.stability_score_thresh),
            ("mask_threshold", self.mask_threshold),
        ] {
            if !value.is_finite() {
                return refused(name, format!("is {value}, which is no threshold"));
            }
        }
        let offset = self.stability_score_offset;
        if !(offset.is_finite() && offset >= 0.0) {
            let reason = format!("is {offset}; it is a distance of logits, at least 0");
            return refused("stability_score_offset", reason);
        }
        for (name, value) in [
            ("box_nms_thresh", self.box_nms_thresh),
            ("crop_nms_thresh", self.crop_nms_thresh),
        ] {
            if !(0.0..=1.0).contains(&value) {
                return refused(name, format!("is {value}; it is an IoU, 0 to 1"));
            }
        }
        let ratio = self.crop_overlap_ratio;
        if !(0.0..1.0).contains(&ratio) {
            let reason = format!(
                "is {ratio}; it is a share of the image's shorter side, 0 up to but not including 1"
            );
            return refused("crop_overlap_ratio", reason);
        }
        Ok(())
    }
}

fn checked_grids(own: &[Grid], layers: u32) -> Result<Vec<Grid>, Error> {
    let needed = layers as usize + 1;
    if own.len() != needed {
        let given = own.len();
        let reason = format!(
            "are {given}, but {needed} are needed: one for the whole image and one for each of {layers} layers of crops"
        );
        return refused("point_grids", reason);
    }
    for (layer, grid) in own.iter().enumerate() {
        let outside = grid.iter().flatten().find(|&at| !(0.0..=1.0).contains(at));
        if let Some(outside) = outside {
            let reason = format!(
                "have {outside} in layer {layer}; coordinates are fractions of the image or crop, 0 to 1"
            );
            return refused("point_grids", reason);
        }
        if grid.is_empty() || grid.len() > (MAX_POINTS_PER_SIDE * MAX_POINTS_PER_SIDE) as usize {
            let reason = format!("have {} points in layer {layer}", grid.len());
            return refused("point_grids", reason);
        }
    }
    Ok(own.to_vec())
}

pub(super) fn refused<T>(name: &'static str, reason: String) -> Result<T, Error> {
    Err(Error::invalid_argument(name, reason))
}
