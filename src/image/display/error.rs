//! Errors of images for the screen.

use super::{LARGEST_SIZE, Space};
use crate::image::ImageError;

/// Why an image could not be processed, or something could not be converted. Points and boxes are counted from 0.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DisplayError {
    /// An option is out of its range.
    #[error("{option} is {given}; it must be from {least} to {LARGEST_SIZE} pixels")]
    Option {
        /// The option.
        option: &'static str,
        /// Its value.
        given: u32,
        /// The least that it may be.
        least: u32,
    },
    /// An option is above `max_size`.
    #[error("{option} {given} is above max_size {max_size}, which no side may exceed")]
    AboveMaximum {
        /// The option.
        option: &'static str,
        /// Its value.
        given: u32,
        /// The maximum given.
        max_size: u32,
    },
    /// A coordinate is not a number.
    #[error("{axis} = {value} of {what} {index} is not a finite number")]
    Coordinate {
        /// `point` or `box`.
        what: &'static str,
        /// Which one.
        index: usize,
        /// `x`, `y`, or for boxes `x0` to `y1`.
        axis: &'static str,
        /// The coordinate.
        value: f32,
    },
    /// The corners of a box are the wrong way round.
    #[error("box {index} [{}, {}, {}, {}] is inside out: x0 must not exceed x1, nor y0 exceed y1",
        .corners[0], .corners[1], .corners[2], .corners[3])]
    BoxOrder {
        /// Which one.
        index: usize,
        /// x0, y0, x1, y1.
        corners: [f32; 4],
    },
    /// A mask does not have the size of what it is converted from.
    #[error("a mask of {} x {} pixels is not one of the {space}, which has {} x {}", given.0, given.1, size.0, size.1)]
    MaskSize {
        /// What it was taken for.
        space: Space,
        /// Columns and rows of the mask.
        given: (u32, u32),
        /// Columns and rows it should have.
        size: (u32, u32),
    },
    /// Pixels, of an image or a mask, that cannot be read or made.
    #[error(transparent)]
    Pixels(#[from] ImageError),
}
