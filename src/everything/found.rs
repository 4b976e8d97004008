//! What is found.

use super::crop::Crop;
use crate::error::Error;
use crate::mask::{BoundingBox, Extent, Rle};

/// A mask of the image. It is held as compressed runs, one or two bytes for each, never as pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundMask {
    /// Its number among all that were found on the way, in that order: the same in a [`Step`](super::Step) and in the end.
    pub id: u64,
    /// Pixels.
    pub area: u64,
    /// Box around them.
    pub bounding_box: BoundingBox,
    /// IoU with the object that the model predicts for the mask.
    pub predicted_iou: f32,
    /// How little the mask changes with the threshold: pixels of the mask at a higher one by those at a lower one, 0 to 1.
    pub stability_score: f32,
    /// The point it was found with, in pixels of the image.
    pub point: [f64; 2],
    /// The part of the image it was found in.
    pub crop: Crop,
    size: (u32, u32),
    /// COCO's compressed counts.
    runs: Box<str>,
}

/// What was measured of a mask that stays.
pub(super) struct Measured {
    pub predicted_iou: f32,
    pub stability_score: f32,
    pub rle: Rle,
    pub extent: Extent,
}

impl FoundMask {
    pub(super) fn new(id: u64, measured: Measured, point: [f64; 2], crop: Crop) -> Self {
        let Measured { rle, extent, .. } = measured;
        Self {
            id,
            area: extent.area,
            bounding_box: extent.bounding_box,
            predicted_iou: measured.predicted_iou,
            stability_score: measured.stability_score,
            point,
            crop,
            size: (rle.width(), rle.height()),
            runs: rle.to_compressed().into(),
        }
    }

    /// Columns and rows of the image.
    pub fn image_size(&self) -> (u32, u32) {
        self.size
    }

    /// The mask at the size of the image, as run-length encoding; every other form can be made from that.
    pub fn rle(&self) -> Result<Rle, Error> {
        let (width, height) = self.size;
        Ok(Rle::from_compressed(width, height, &self.runs)?)
    }

    /// COCO's compressed counts.
    pub fn compressed(&self) -> &str {
        &self.runs
    }

    /// Bytes it takes.
    pub fn bytes(&self) -> u64 {
        (size_of::<Self>() + self.runs.len()) as u64
    }

    pub(super) fn replace(&mut self, rle: &Rle) {
        let extent = Extent::of(rle);
        (self.area, self.bounding_box) = (extent.area, extent.bounding_box);
        self.runs = rle.to_compressed().into();
    }
}

/// All that was found in an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Everything {
    /// Columns and rows of the image.
    pub image_size: (u32, u32),
    /// The masks, in the order of the official generator.
    pub masks: Vec<FoundMask>,
    /// What it took.
    pub effort: Effort,
}

/// What a segmentation of everything took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// Images that were looked at: the whole one and crops.
    pub crops: u32,
    /// Points.
    pub points: u64,
    /// Batches the points were decoded in.
    pub batches: u64,
    /// The smallest number of points that a batch was cut down to for want of memory; `None` when none was.
    pub reduced_batch: Option<u32>,
    /// Masks that were found before duplicates went.
    pub candidates: u64,
    /// Most bytes that logits of one batch and masks found took together.
    pub peak_bytes: u64,
}
