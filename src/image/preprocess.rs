//! From an image to what the image encoder takes: resized, RGB, neither normalised nor padded.

use super::resample::{Interpolation, Sample, Source, resample, reserved};
use super::{Image, ImageError, MAX_SIDE, PixelFormat};

/// Version of what [`preprocess`] gives. To be raised with any change of its samples: what was computed from other ones is
/// not to be met again on disk.
pub const PREPROCESSING: u32 = 1;

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
    image: &Image,
    mode: ResizeMode,
    sample_type: SampleType,
    input_size: u32,
) -> Result<ModelInput, ImageError> {
    if !(1..=MAX_SIDE).contains(&input_size) {
        return Err(ImageError::InputSize { input_size });
    }
    let (width, height) = resized_size(image.width(), image.height(), mode, input_size);
    let samples = match sample_type {
        SampleType::U8 => Samples::U8(resize_to_rgb(image, width, height)?),
        SampleType::F32 => Samples::F32(resize_to_rgb(image, width, height)?),
    };
    Ok(ModelInput {
        width,
        height,
        original_width: image.width(),
        original_height: image.height(),
        samples,
    })
}

/// Columns and rows of the model's input.
///
/// The longest side as in `segment_anything/utils/transforms.py: get_preprocess_shape`, rounding half up. Where an
/// image is so narrow that its short side rounds to 0, and the original fails, it is 1.
pub fn resized_size(width: u32, height: u32, mode: ResizeMode, input_size: u32) -> (u32, u32) {
    match mode {
        ResizeMode::Stretch => (input_size, input_size),
        ResizeMode::LongestSide => {
            let scale = f64::from(input_size) / f64::from(width.max(height));
            let scaled = |side: u32| ((f64::from(side) * scale + 0.5) as u32).max(1);
            (scaled(width), scaled(height))
        }
    }
}

/// `[height][width][3]` samples. Gray is resized as one channel, which gives what three alike would.
fn resize_to_rgb<S: Sample>(image: &Image, width: u32, height: u32) -> Result<Vec<S>, ImageError> {
    match image.format() {
        PixelFormat::Gray8 => {
            let gray = resize::<S, 1>(image, width, height)?;
            let mut rgb = reserved(gray.len() * 3, "the model's input")?;
            for [value] in gray {
                rgb.extend([value; 3]);
            }
            Ok(rgb)
        }
        _ => Ok(resize::<S, 3>(image, width, height)?.into_flattened()),
    }
}

fn resize<S: Sample, const C: usize>(
    image: &Image,
    width: u32,
    height: u32,
) -> Result<Vec<[S; C]>, ImageError> {
    resample(&Source::of(image), width, height, Interpolation::Bilinear)
}
