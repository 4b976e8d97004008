//! An image that the library keeps.

use std::sync::OnceLock;

use super::{ImageError, ImageKey, ImageView, PixelFormat, key};

/// An owned copy of a picture: tightly packed RGB, or gray when it came as gray. Alpha is not kept.
#[derive(Clone, Debug)]
pub struct Image {
    format: PixelFormat,
    width: u32,
    height: u32,
    pixels: Box<[u8]>,
    key: OnceLock<ImageKey>,
}

impl Image {
    /// Copies the caller's pixels.
    ///
    /// # Errors
    /// [`ImageError::OutOfMemory`] when there is no memory for the copy.
    pub fn from_view(view: &ImageView<'_>) -> Result<Self, ImageError> {
        let format = match view.format() {
            PixelFormat::Gray8 => PixelFormat::Gray8,
            _ => PixelFormat::Rgb8,
        };
        let row_bytes = view.width() as usize * format.bytes_per_pixel();
        let bytes = row_bytes * view.height() as usize;
        let mut pixels = Vec::new();
        pixels
            .try_reserve_exact(bytes)
            .map_err(|_| ImageError::OutOfMemory {
                bytes,
                purpose: "a copy of the image",
            })?;
        for row in view.rows() {
            append_row(&mut pixels, row, view.format());
        }
        Ok(Self {
            format,
            width: view.width(),
            height: view.height(),
            pixels: pixels.into_boxed_slice(),
            key: OnceLock::new(),
        })
    }

    /// The same picture, told from others by an id of its owner's instead of its pixels.
    pub fn with_content_id(self, id: &[u8]) -> Self {
        let key = ImageKey::of_content_id(id, self.width, self.height);
        Self {
            key: OnceLock::from(key),
            ..self
        }
    }

    /// [`PixelFormat::Rgb8`] or [`PixelFormat::Gray8`].
    pub const fn format(&self) -> PixelFormat {
        self.format
    }

    /// Columns.
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// All pixels, row after row without padding.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// A part of it: x0, y0, x1, y1, with x1 and y1 one past the last pixel.
    ///
    /// # Errors
    /// [`ImageError::Empty`] or [`ImageError::DataTooShort`] when there is no such part.
    pub fn part(&self, [x0, y0, x1, y1]: [u32; 4]) -> Result<ImageView<'_>, ImageError> {
        let each = self.format.bytes_per_pixel();
        let stride = self.width as usize * each;
        let first = y0 as usize * stride + x0 as usize * each;
        let data = self.pixels.get(first..).unwrap_or_default();
        let (width, height) = (x1.saturating_sub(x0), y1.saturating_sub(y0));
        ImageView::new(self.format, width, height, stride, data)
    }

    /// Bytes of memory the pixels take.
    pub fn size_bytes(&self) -> usize {
        self.pixels.len()
    }

    /// Whether [`key`](Self::key) is there already.
    pub fn has_key(&self) -> bool {
        self.key.get().is_some()
    }

    /// The picture's identity. Computed by the first call, a few milliseconds per megapixel, and kept.
    pub fn key(&self) -> ImageKey {
        *self.key.get_or_init(|| match self.format {
            PixelFormat::Gray8 => key::of_gray(self.width, self.height, &self.pixels),
            _ => key::of_rgb(self.width, self.height, &self.pixels),
        })
    }
}

/// Appends a row to packed RGB or gray pixels.
fn append_row(pixels: &mut Vec<u8>, row: &[u8], format: PixelFormat) {
    match format {
        PixelFormat::Rgb8 | PixelFormat::Gray8 => pixels.extend_from_slice(row),
        PixelFormat::Bgr8 => append_swizzled(pixels, row, |[b, g, r]: [u8; 3]| [r, g, b]),
        PixelFormat::Rgba8 => append_swizzled(pixels, row, |[r, g, b, _]: [u8; 4]| [r, g, b]),
        PixelFormat::Bgra8 => append_swizzled(pixels, row, |[b, g, r, _]: [u8; 4]| [r, g, b]),
    }
}

fn append_swizzled<const N: usize>(
    pixels: &mut Vec<u8>,
    row: &[u8],
    to_rgb: impl Fn([u8; N]) -> [u8; 3],
) {
    let (sources, _) = row.as_chunks::<N>();
    let start = pixels.len();
    pixels.resize(start + sources.len() * 3, 0);
    let (targets, _) = pixels[start..].as_chunks_mut::<3>();
    for (target, &source) in targets.iter_mut().zip(sources) {
        *target = to_rgb(source);
    }
}
