//! Reading and writing pictures.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use image::{ImageReader, RgbImage};
use sam_mm::image::{ImageView, MAX_PIXELS, MAX_SIDE, PixelFormat};
use sam_mm::registered_image::RegisteredImage;

/// Reads a picture as red, green and blue.
pub fn read(path: &Path) -> Result<RgbImage> {
    let about = || format!("{} cannot be read", path.display());
    let opened = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
    let mut reader = opened.with_context(about)?;
    // Sizes are held against the library's own limits below.
    reader.no_limits();
    if let Some((width, height)) = ImageReader::open(path)
        .and_then(ImageReader::with_guessed_format)
        .ok()
        .and_then(|header| header.into_dimensions().ok())
    {
        ensure!(
            width <= MAX_SIDE
                && height <= MAX_SIDE
                && u64::from(width) * u64::from(height) <= MAX_PIXELS,
            "{} has {width} × {height} pixels; sides of {MAX_SIDE} and {MAX_PIXELS} pixels are the most",
            path.display()
        );
    }
    let decoded = reader.decode().with_context(|| {
        format!(
            "{} is no PNG, JPEG, BMP or PPM that can be read",
            path.display()
        )
    })?;
    Ok(decoded.into_rgb8())
}

/// Gives a picture to a context.
pub fn register(
    context: &std::sync::Arc<sam_mm::context::Context>,
    picture: &RgbImage,
) -> Result<RegisteredImage> {
    let (width, height) = picture.dimensions();
    let view = ImageView::new(
        PixelFormat::Rgb8,
        width,
        height,
        3 * width as usize,
        picture.as_raw(),
    )
    .map_err(sam_mm::error::Error::from)?;
    Ok(RegisteredImage::new(context, &view)?)
}

/// The name of a file that is written for a picture: `photo.mask.png` for `photo.jpg`.
pub fn beside(picture: &Path, folder: &Path, ending: &str) -> PathBuf {
    let stem = picture.file_stem().unwrap_or(picture.as_os_str());
    let mut name = stem.to_owned();
    name.push(".");
    name.push(ending);
    folder.join(name)
}

/// Makes a folder that is to be written to.
pub fn make_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))
}

/// Writes a file.
pub fn write(path: &Path, contents: &[u8]) -> Result<()> {
    fs::write(path, contents).with_context(|| format!("{} cannot be written", path.display()))
}

/// Writes a PNG.
pub fn write_png(
    path: &Path,
    pixels: &[u8],
    (width, height): (u32, u32),
    color: image::ExtendedColorType,
) -> Result<()> {
    image::save_buffer(path, pixels, width, height, color)
        .with_context(|| format!("{} cannot be written", path.display()))
}
