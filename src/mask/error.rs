//! Errors of the mask module.

use crate::image::{MAX_PIXELS, MAX_SIDE};

/// Why a mask could not be made or written.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MaskError {
    /// The mask's size is zero or beyond what an image may have.
    #[error(
        "a mask of {width} x {height} pixels is not possible; a side must be from 1 to {} pixels and a mask may have {}",
        MAX_SIDE,
        MAX_PIXELS
    )]
    Size {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// The low-resolution logits have a side that is not supported.
    #[error(
        "low-resolution logits of {mask_size} cells a side are not supported; the side must be from 4 to 4096"
    )]
    MaskSize {
        /// Cells a side.
        mask_size: u32,
    },
    /// The model's input is smaller than its low-resolution logits, or larger than an image may be.
    #[error(
        "a model input of {input_size} pixels a side does not go with logits of {mask_size} cells a side; it must be from {mask_size} to {}",
        MAX_SIDE
    )]
    InputSize {
        /// Side of the model's input.
        input_size: u32,
        /// Cells a side.
        mask_size: u32,
    },
    /// The resized image does not fit the model's input.
    #[error(
        "an image resized to {resized_width} x {resized_height} does not fit a model input of {input_size} pixels a side"
    )]
    ResizedSize {
        /// Columns of the resized image.
        resized_width: u32,
        /// Rows of the resized image.
        resized_height: u32,
        /// Side of the model's input.
        input_size: u32,
    },
    /// The number of logits is not `mask_size × mask_size`.
    #[error(
        "{given} logits were given for one mask, but {mask_size} x {mask_size} cells need {needed}"
    )]
    LogitCount {
        /// Logits given.
        given: usize,
        /// Logits needed.
        needed: usize,
        /// Cells a side.
        mask_size: u32,
    },
    /// Rows of the target buffer overlap.
    #[error(
        "a row stride of {row_stride} bytes is shorter than a mask row of {width} bytes; 0 means rows without a gap"
    )]
    StrideTooShort {
        /// Bytes from one row to the next, as given.
        row_stride: usize,
        /// Columns, one byte each.
        width: u32,
    },
    /// The target buffer ends before the last pixel.
    #[error(
        "a mask of {width} x {height} at a row stride of {row_stride} bytes needs a buffer of {needed} bytes, but it has {given}"
    )]
    BufferTooShort {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// Bytes from one row to the next.
        row_stride: usize,
        /// Bytes needed.
        needed: u128,
        /// Bytes given.
        given: usize,
    },
    /// The number of bytes given as a mask is not `width × height`.
    #[error(
        "{given} bytes were given for a mask of {width} x {height} pixels, which needs {needed}"
    )]
    PixelCount {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// Bytes needed.
        needed: usize,
        /// Bytes given.
        given: usize,
    },
    /// Run lengths that do not add up to the mask's pixels.
    #[error(
        "the counts of a run-length encoding add up to {sum} pixels, but a mask of {width} x {height} has {needed}"
    )]
    RleLength {
        /// Sum of the counts.
        sum: u64,
        /// Pixels of the mask.
        needed: u64,
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// A compressed run-length string with a character that cannot be in one.
    #[error(
        "byte {byte} at position {position} cannot be part of a compressed run-length encoding, whose bytes are from 48 to 111"
    )]
    RleCharacter {
        /// The byte.
        byte: u8,
        /// Where it is, from 0.
        position: usize,
    },
    /// A compressed run-length string with a count that ends too early or does not fit.
    #[error(
        "the compressed run-length encoding has a count at position {position} that is cut off, negative or too large"
    )]
    RleCount {
        /// Where the count begins, from 0.
        position: usize,
    },
    /// A simplification tolerance that is no distance.
    #[error(
        "a simplification tolerance of {tolerance} pixels is not possible; it must be finite and at least 0"
    )]
    Tolerance {
        /// The tolerance given.
        tolerance: f64,
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

/// Refuses sizes that no mask may have.
pub(super) fn check_size(width: u32, height: u32) -> Result<(), MaskError> {
    let sides = 1..=MAX_SIDE;
    if !sides.contains(&width)
        || !sides.contains(&height)
        || u64::from(width) * u64::from(height) > MAX_PIXELS
    {
        return Err(MaskError::Size { width, height });
    }
    Ok(())
}
