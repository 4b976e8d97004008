//! Pixels in: a checked view of the caller's pixels, an owned copy of them, and what is made from that copy: the model's
//! input, and an image for the screen ([`display`]).
//!
//! What is allocated, for an image of `w × h` pixels:
//! - [`ImageView`] nothing: it borrows.
//! - [`Image`] `3·w·h` bytes (`w·h` for gray). 300 MB for 100 megapixels, and nothing else of that size.
//! - [`preprocess`] the result (at most `3·input_size²` samples) and a window of resized rows (`input_size` columns by
//!   about `2·h / input_size` rows). No float image of the original's size is ever made.
//! - [`display::DisplayImage`] its pixels, while it is made at most those and `3` bytes a pixel more, and such a window.

pub mod display;
mod error;
mod key;
mod owned;
mod pixel_format;
mod preprocess;
mod resample;
mod view;

pub use error::ImageError;
pub use key::ImageKey;
pub use owned::Image;
pub use pixel_format::PixelFormat;
pub use preprocess::{
    ModelInput, PREPROCESSING, ResizeMode, SampleType, Samples, preprocess, resized_size,
};
pub use resample::Interpolation;
pub use view::{ImageView, MAX_PIXELS, MAX_SIDE, check_size};
