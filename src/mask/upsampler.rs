//! How low-resolution logits lie over an image.

use super::{
    MaskError,
    axis_taps::{AxisTaps, TAPS},
    error::check_size,
};
use crate::image::MAX_SIDE;

/// Largest side of low-resolution logits.
const MAX_MASK_SIZE: u32 = 4096;

/// How the image was brought to the model's input, which is what the logits cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Geometry {
    /// SAM: the image keeps its aspect and fills the upper left `resized_width × resized_height` of the input. The
    /// logits go to the input's size, are cropped, and go to the image's size, both times bilinear
    /// (`modeling/sam.py: postprocess_masks`).
    LongestSide {
        /// Side of the model's input, such as 1024.
        input_size: u32,
        /// Columns of the resized image.
        resized_width: u32,
        /// Rows of the resized image.
        resized_height: u32,
    },
    /// SAM 2: the image fills the input. The logits go to the image's size in one bilinear step
    /// (`utils/transforms.py: postprocess_masks`).
    Stretch,
}

/// The way from `mask_size × mask_size` logits to `width × height` pixels. It depends on sizes alone: one serves all
/// masks of an image. Takes about 24 bytes per row and per column of the image.
#[derive(Debug)]
pub struct Upsampler {
    mask_size: u32,
    pub(super) columns: AxisTaps,
    pub(super) rows: AxisTaps,
}

impl Upsampler {
    /// Works out the taps for an image of `width × height` pixels.
    ///
    /// # Errors
    /// [`MaskError::Size`], [`MaskError::MaskSize`], [`MaskError::InputSize`] or [`MaskError::ResizedSize`].
    pub fn new(
        mask_size: u32,
        geometry: Geometry,
        width: u32,
        height: u32,
    ) -> Result<Self, MaskError> {
        check_size(width, height)?;
        if !(TAPS as u32 + 1..=MAX_MASK_SIZE).contains(&mask_size) {
            return Err(MaskError::MaskSize { mask_size });
        }
        let (columns, rows) = match geometry {
            Geometry::Stretch => (
                AxisTaps::one_step(mask_size, width),
                AxisTaps::one_step(mask_size, height),
            ),
            Geometry::LongestSide {
                input_size,
                resized_width,
                resized_height,
            } => {
                check_input(mask_size, input_size, resized_width, resized_height)?;
                (
                    AxisTaps::two_steps(mask_size, input_size, resized_width, width),
                    AxisTaps::two_steps(mask_size, input_size, resized_height, height),
                )
            }
        };
        Ok(Self {
            mask_size,
            columns,
            rows,
        })
    }

    /// Bytes it takes.
    pub fn bytes(&self) -> u64 {
        (size_of::<Self>() + self.columns.heap_bytes() + self.rows.heap_bytes()) as u64
    }

    /// Cells a side of the logits.
    pub const fn mask_size(&self) -> u32 {
        self.mask_size
    }

    /// Columns of the image.
    pub fn width(&self) -> u32 {
        self.columns.len()
    }

    /// Rows of the image.
    pub fn height(&self) -> u32 {
        self.rows.len()
    }
}

fn check_input(
    mask_size: u32,
    input_size: u32,
    resized_width: u32,
    resized_height: u32,
) -> Result<(), MaskError> {
    if !(mask_size..=MAX_SIDE).contains(&input_size) {
        return Err(MaskError::InputSize {
            input_size,
            mask_size,
        });
    }
    let inside = 1..=input_size;
    if !inside.contains(&resized_width) || !inside.contains(&resized_height) {
        return Err(MaskError::ResizedSize {
            resized_width,
            resized_height,
            input_size,
        });
    }
    Ok(())
}
