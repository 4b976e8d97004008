//! What size an image should have on the screen.

use super::{DisplayError, Scaling};
use crate::image::{Interpolation, PixelFormat};

/// Longest side that an image can be brought to: a square of it still has no more pixels than an image may.
pub const LARGEST_SIZE: u32 = 1 << 15;

/// How images are brought to display size. Sizes are pixels; the aspect is kept within rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScalingOptions {
    /// The longer side gets this size, whether that shrinks the image or enlarges it.
    pub target_size: u32,
    /// The shorter side is never smaller; the longer one exceeds `target_size` then. 0: it may be as small as it comes.
    pub min_size: u32,
    /// The longer side is never larger, even if the shorter one stays below `min_size` then.
    pub max_size: u32,
    /// For images that become smaller.
    pub shrinking: Interpolation,
    /// For images that become larger.
    pub enlarging: Interpolation,
    /// Layout of the pixels; alpha is 255.
    pub format: PixelFormat,
}

impl Default for ScalingOptions {
    fn default() -> Self {
        Self {
            target_size: 1024,
            min_size: 600,
            max_size: 2048,
            shrinking: Interpolation::Area,
            // No edge overshoots: no colour appears that was not between those of the image.
            enlarging: Interpolation::Bilinear,
            format: PixelFormat::Rgb8,
        }
    }
}

impl ScalingOptions {
    /// What becomes of an image of `width × height` pixels.
    ///
    /// # Errors
    /// [`DisplayError::Option`] and [`DisplayError::AboveMaximum`].
    pub fn scaling(&self, width: u32, height: u32) -> Result<Scaling, DisplayError> {
        self.check()?;
        let (long, short) = (width.max(height), width.min(height));
        let (display_long, display_short) = self.sides(long, short);
        let display = if width >= height {
            (display_long, display_short)
        } else {
            (display_short, display_long)
        };
        Ok(Scaling::new((width, height), display))
    }

    /// The longer and the shorter side on the screen.
    fn sides(&self, long: u32, short: u32) -> (u32, u32) {
        let by_long = |long_becomes| (long_becomes, in_proportion(short, long_becomes, long));
        let (target_long, target_short) = by_long(self.target_size);
        if target_short >= self.min_size {
            return (target_long, target_short);
        }
        let needed_long = in_proportion(long, self.min_size, short);
        if needed_long <= self.max_size {
            (needed_long, self.min_size)
        } else {
            by_long(self.max_size)
        }
    }

    /// How pixels between pixels are found; of no consequence where the size stays.
    pub(super) fn interpolation(&self, scaling: &Scaling) -> Interpolation {
        let (original, display) = (scaling.original_size(), scaling.display_size());
        if display.0.max(display.1) < original.0.max(original.1) {
            self.shrinking
        } else {
            self.enlarging
        }
    }

    fn check(&self) -> Result<(), DisplayError> {
        let sizes = [
            ("target_size", self.target_size, 1),
            ("min_size", self.min_size, 0),
            ("max_size", self.max_size, 1),
        ];
        for (option, given, least) in sizes {
            if !(least..=LARGEST_SIZE).contains(&given) {
                return Err(DisplayError::Option {
                    option,
                    given,
                    least,
                });
            }
            if given > self.max_size {
                return Err(DisplayError::AboveMaximum {
                    option,
                    given,
                    max_size: self.max_size,
                });
            }
        }
        Ok(())
    }
}

/// The length that `side` gets when another of length `from` becomes `to`: rounded half up, and at least 1.
fn in_proportion(side: u32, to: u32, from: u32) -> u32 {
    let [side, to, from] = [side, to, from].map(u64::from);
    let length = (2 * side * to + from) / (2 * from);
    u32::try_from(length).unwrap_or(u32::MAX).max(1)
}
