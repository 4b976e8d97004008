//! From an image to what the image encoder takes: resized, RGB, neither normalised nor padded.

use super::{Image, ImageError};

/// How the size of the model's input follows from the image's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResizeMode {
    /// The longer side becomes `input_size`, the aspect stays (SAM, `ResizeLongestSide`).
    LongestSide,
    /// Both sides become `input_size`, the aspect is not kept (SAM 2, `SAM2Transforms`).
    Stretch,
}

/// What a sample of the model's input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SampleType {
    /// 0–255, equal bit for bit to Pillow's bilinear `Image.resize`, which SAM uses.
    U8,
    /// 0–1, as `torch.nn.functional.interpolate(mode="bilinear", antialias=True)`, which SAM 2 uses.
    F32,
}

/// Samples of a model input: `[height][width][3]`, red, green, blue.
#[derive(Clone, Debug, PartialEq)]
pub enum Samples {
    /// 0–255.
    U8(Vec<u8>),
    /// 0–1.
    F32(Vec<f32>),
}

/// An image as the image encoder takes it.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelInput {
    /// Columns, 1 to `input_size`.
    pub width: u32,
    /// Rows, 1 to `input_size`.
    pub height: u32,
    /// Columns of the image it was made from.
    pub original_width: u32,
    /// Rows of the image it was made from.
    pub original_height: u32,
    /// `[height][width][3]`.
    pub samples: Samples,
}

/// Makes a model's input of side `input_size` from an image.
///
/// # Errors
/// [`ImageError::InputSize`] and [`ImageError::OutOfMemory`].
pub fn preprocess(
    _image: &Image,
    _mode: ResizeMode,
    _sample_type: SampleType,
    _input_size: u32,
) -> Result<ModelInput, ImageError> {
    unimplemented!("comes with the next commit")
}
