//! Errors of the image module.

use super::{MAX_PIXELS, MAX_SIDE, PixelFormat};

/// Why an image, or a model input made from one, was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// Width or height is zero.
    #[error("an image of {width} x {height} pixels is empty; both sides must be at least 1")]
    Empty {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// A side is longer than [`MAX_SIDE`], or there are more than [`MAX_PIXELS`] pixels.
    #[error(
        "an image of {width} x {height} pixels is too large; a side may have at most {} pixels and an image {}",
        MAX_SIDE,
        MAX_PIXELS
    )]
    TooLarge {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// Rows overlap: the stride is shorter than a row.
    #[error(
        "a row stride of {row_stride} bytes is shorter than a row of {width} {format} pixels, which takes {needed} bytes; it counts \
         bytes, not pixels, and 0 means rows without a gap"
    )]
    StrideTooShort {
        /// Bytes from one row to the next, as given.
        row_stride: usize,
        /// Bytes that a row takes.
        needed: usize,
        /// Columns.
        width: u32,
        /// Layout of a pixel.
        format: PixelFormat,
    },
    /// The last row would lie beyond what can be addressed.
    #[error("{height} rows at a row stride of {row_stride} bytes are more than can be addressed")]
    StrideTooLong {
        /// Bytes from one row to the next, as given.
        row_stride: usize,
        /// Rows.
        height: u32,
    },
    /// The pixel data ends before the last pixel.
    #[error(
        "{width} x {height} {format} pixels at a row stride of {row_stride} bytes need {needed} bytes, but {given} were given"
    )]
    DataTooShort {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// Layout of a pixel.
        format: PixelFormat,
        /// Bytes from one row to the next.
        row_stride: usize,
        /// Bytes up to the last pixel.
        needed: usize,
        /// Bytes given.
        given: usize,
    },
    /// The model asks for an input of a size that cannot be.
    #[error(
        "a model input of {input_size} pixels a side is not possible; it must be from 1 to {MAX_SIDE}"
    )]
    InputSize {
        /// Side asked for.
        input_size: u32,
    },
    /// Host memory ran out.
    #[error("no {bytes} bytes of memory for {purpose}")]
    OutOfMemory {
        /// Bytes asked for.
        bytes: usize,
        /// What they were for.
        purpose: &'static str,
    },
}
