//! An image as it is shown.

use super::pack::{pack_gray, pack_rgb};
use super::{DisplayError, Scaling, ScalingOptions};
use crate::image::resample::{Source, resample, reserved};
use crate::image::{Image, ImageError, Interpolation, PixelFormat};

/// All that decides what an image looks like on the screen. Options that come to the same give equal plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DisplayPlan {
    scaling: Scaling,
    /// `None` where the size stays.
    interpolation: Option<Interpolation>,
    format: PixelFormat,
}

impl DisplayPlan {
    /// What the options come to for an image of `width × height` pixels.
    ///
    /// # Errors
    /// Options that cannot be used.
    pub fn new(options: &ScalingOptions, width: u32, height: u32) -> Result<Self, DisplayError> {
        let scaling = options.scaling(width, height)?;
        let resized = scaling.display_size() != scaling.original_size();
        Ok(Self {
            interpolation: resized.then(|| options.interpolation(&scaling)),
            scaling,
            format: options.format,
        })
    }
}

/// An image as it is shown: pixels and scaling, made together and never changed.
#[derive(Debug)]
pub struct DisplayImage {
    plan: DisplayPlan,
    pixels: Box<[u8]>,
}

impl DisplayImage {
    /// Makes it; `plan` is one for an image of this size.
    ///
    /// # Errors
    /// [`ImageError::OutOfMemory`].
    pub fn new(image: &Image, plan: DisplayPlan) -> Result<Self, ImageError> {
        debug_assert_eq!(
            plan.scaling.original_size(),
            (image.width(), image.height())
        );
        let pixels = match image.format() {
            PixelFormat::Gray8 => pack_gray(resize(image, &plan)?, plan.format)?,
            _ => pack_rgb(resize(image, &plan)?, plan.format)?,
        };
        Ok(Self {
            plan,
            pixels: pixels.into_boxed_slice(),
        })
    }

    /// How it was scaled.
    pub const fn scaling(&self) -> &Scaling {
        &self.plan.scaling
    }

    /// Layout of a pixel.
    pub const fn format(&self) -> PixelFormat {
        self.plan.format
    }

    /// All pixels, row after row without padding.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// Bytes of a row.
    pub fn row_bytes(&self) -> usize {
        self.plan.scaling.display_size().0 as usize * self.plan.format.bytes_per_pixel()
    }

    /// Bytes of memory it takes.
    pub fn size_bytes(&self) -> usize {
        self.pixels.len() + size_of::<Self>()
    }
}

fn resize<const C: usize>(image: &Image, plan: &DisplayPlan) -> Result<Vec<[u8; C]>, ImageError> {
    match plan.interpolation {
        Some(interpolation) => {
            let (width, height) = plan.scaling.display_size();
            resample(&Source::of(image), width, height, interpolation)
        }
        None => {
            let pixels = image.pixels().as_chunks().0;
            let mut copy = reserved(pixels.len(), "a display image")?;
            copy.extend_from_slice(pixels);
            Ok(copy)
        }
    }
}
