//! Pixels as a caller wants them.

use crate::image::resample::reserved;
use crate::image::{ImageError, PixelFormat};

const OPAQUE: u8 = 255;

/// RGB pixels in a format.
pub fn pack_rgb(rgb: Vec<[u8; 3]>, format: PixelFormat) -> Result<Vec<u8>, ImageError> {
    match format {
        PixelFormat::Rgb8 => Ok(rgb.into_flattened()),
        PixelFormat::Bgr8 => pack(&rgb, |[r, g, b]| [b, g, r]),
        PixelFormat::Rgba8 => pack(&rgb, |[r, g, b]| [r, g, b, OPAQUE]),
        PixelFormat::Bgra8 => pack(&rgb, |[r, g, b]| [b, g, r, OPAQUE]),
        PixelFormat::Gray8 => pack(&rgb, |rgb| [luma(rgb)]),
    }
}

/// Gray pixels in a format.
pub fn pack_gray(gray: Vec<[u8; 1]>, format: PixelFormat) -> Result<Vec<u8>, ImageError> {
    match format {
        PixelFormat::Gray8 => Ok(gray.into_flattened()),
        PixelFormat::Rgb8 | PixelFormat::Bgr8 => pack(&gray, |[value]| [value; 3]),
        PixelFormat::Rgba8 | PixelFormat::Bgra8 => {
            pack(&gray, |[value]| [value, value, value, OPAQUE])
        }
    }
}

fn pack<const FROM: usize, const TO: usize>(
    pixels: &[[u8; FROM]],
    convert: impl Fn([u8; FROM]) -> [u8; TO],
) -> Result<Vec<u8>, ImageError> {
    let mut packed = reserved(pixels.len() * TO, "a display image")?;
    for &pixel in pixels {
        packed.extend(convert(pixel));
    }
    Ok(packed)
}

/// Luma of ITU-R BT.601, in whole numbers: the weights of red, green and blue are 0.299, 0.587 and 0.114.
fn luma([r, g, b]: [u8; 3]) -> u8 {
    let sum = 299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b);
    ((sum + 500) / 1000) as u8
}
