//! From pixels to model input, and from logits to masks.

mod bitmask;
mod display_conversions;
mod display_pixels;
mod display_size;
mod drawing;
mod goldens;
mod image_identity;
mod image_view;
mod logit_mask;
mod polygon_rings;
mod polygon_simplification;
mod preprocess;
mod rle;
