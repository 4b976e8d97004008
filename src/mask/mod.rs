//! Masks out: from a decoder's low-resolution logits to bitmask, COCO RLE, polygons, box and area at the image's size.
//!
//! A mask is where the logits, brought to the image's size by bilinear interpolation, exceed 0. Nothing here holds a
//! float image of that size: [`Upsampler`] composes the interpolation into a few taps per axis, [`LogitMask`] yields
//! the mask line by line as runs of foreground, and every form of output is built from those runs ([`MaskSource`]):
//! - [`Bitmask`], or the caller's own buffer through [`LogitMask::write_to`], from rows;
//! - [`Extent`] (area and box) from rows, in constant memory;
//! - [`Rle`] from columns, the order COCO counts in;
//! - [`Polygons`] from rows, in memory proportional to the corners of the outline.

mod axis_taps;
mod bitmask;
mod error;
mod extent;
mod logit_mask;
mod polygon;
mod rle;
mod runs;
mod sign_bits;
mod upsampler;

pub use bitmask::Bitmask;
pub use error::MaskError;
pub use extent::{BoundingBox, Extent};
pub use logit_mask::LogitMask;
pub use polygon::{Connectivity, PolygonOptions, Polygons, Ring};
pub use rle::Rle;
pub use runs::{MaskSource, Run};
pub use upsampler::{Geometry, Upsampler};
