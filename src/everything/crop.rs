//! Crops of an image, and masks at their edges (`segment_anything/utils/amg.py: generate_crop_boxes`,
//! `is_box_near_crop_edge`).

use super::options::refused;
use crate::error::Error;
use crate::mask::BoundingBox;

/// How near to an edge counts as at it, in pixels.
const NEAR: u32 = 20;

/// A part of an image that is segmented by itself; the first one is the whole image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crop {
    /// 0 for the whole image; each side of layer n is cut into `2^n`.
    pub layer: u32,
    /// x0, y0, x1, y1 with x1 and y1 one past the last pixel.
    pub corners: [u32; 4],
}

impl Crop {
    /// Columns and rows.
    pub fn size(&self) -> (u32, u32) {
        let [x0, y0, x1, y1] = self.corners;
        (x1 - x0, y1 - y0)
    }

    /// Pixels.
    pub fn area(&self) -> u64 {
        let (width, height) = self.size();
        u64::from(width) * u64::from(height)
    }

    /// Whether a box (`inclusive`, in the image) ends near an edge of the crop that is not near the same edge of the image:
    /// what it is around most likely goes on outside of the crop, and a neighbouring one shows it whole.
    pub(super) fn cuts(&self, inclusive: [u32; 4], (width, height): (u32, u32)) -> bool {
        let image = [0, 0, width, height];
        (0..4).any(|side| {
            let near = |edge: [u32; 4]| inclusive[side].abs_diff(edge[side]) <= NEAR;
            near(self.corners) && !near(image)
        })
    }
}

/// Corners of a box as the official code counts them: the last column and row are those of the last pixel. An empty mask
/// of a crop lies in the crop's first pixel.
pub(super) fn inclusive(found: &BoundingBox, crop: &Crop) -> [u32; 4] {
    if found.width == 0 {
        let [x0, y0, ..] = crop.corners;
        return [x0, y0, x0, y0];
    }
    let [x0, y0, x1, y1] = found.corners();
    [x0, y0, x1 - 1, y1 - 1]
}

/// The whole image, and the crops of `layers` layers, column after column in each.
///
/// # Errors
/// [`Error::InvalidArgument`] when the image is too small for as many.
pub(super) fn crops_of(
    (width, height): (u32, u32),
    layers: u32,
    overlap_ratio: f64,
) -> Result<Vec<Crop>, Error> {
    let mut crops = vec![Crop {
        layer: 0,
        corners: [0, 0, width, height],
    }];
    for layer in 1..=layers {
        let count = 1_u32 << layer;
        // In this order, which decides about rounding.
        let overlap = overlap_ratio * f64::from(width.min(height)) * (2.0 / f64::from(count));
        let overlap = overlap as u32;
        let length = |side: u32| (overlap * (count - 1) + side).div_ceil(count);
        let (crop_width, crop_height) = (length(width), length(height));
        let starts = |length: u32| (0..count).map(move |index| (length - overlap) * index);
        for x0 in starts(crop_width) {
            for y0 in starts(crop_height) {
                if x0 >= width || y0 >= height {
                    let reason = format!(
                        "is {layers}, but an image of {width} x {height} has no pixels for all crops of layer {layer}"
                    );
                    return refused("crop_n_layers", reason);
                }
                let (x1, y1) = (x0 + crop_width, y0 + crop_height);
                crops.push(Crop {
                    layer,
                    corners: [x0, y0, x1.min(width), y1.min(height)],
                });
            }
        }
    }
    Ok(crops)
}
