//! The caller's pixels, borrowed and checked.

use super::{ImageError, PixelFormat};

/// Longest side of an image, in pixels.
pub const MAX_SIDE: u32 = 65_535;
/// Most pixels of an image: 2³⁰, so that a pixel's index fits 32 bits with a sign (COCO RLE counts are such).
pub const MAX_PIXELS: u64 = 1 << 30;

/// Pixels that belong to the caller. Only a view whose rows all lie inside the data can be made.
#[derive(Clone, Copy, Debug)]
pub struct ImageView<'a> {
    format: PixelFormat,
    width: u32,
    height: u32,
    row_stride: usize,
    data: &'a [u8],
}

impl<'a> ImageView<'a> {
    /// Checks that `width × height` pixels of `format`, with `row_stride` bytes from one row to the next, lie inside
    /// `data`. The last row needs only its pixels, not the padding up to the stride.
    ///
    /// # Errors
    /// [`ImageError::Empty`], [`ImageError::TooLarge`], [`ImageError::StrideTooShort`],
    /// [`ImageError::StrideTooLong`] or [`ImageError::DataTooShort`], with the values.
    pub fn new(
        format: PixelFormat,
        width: u32,
        height: u32,
        row_stride: usize,
        data: &'a [u8],
    ) -> Result<Self, ImageError> {
        check_size(width, height)?;
        let row_bytes = width as usize * format.bytes_per_pixel();
        if row_stride < row_bytes {
            return Err(ImageError::StrideTooShort {
                row_stride,
                needed: row_bytes,
                width,
                format,
            });
        }
        let needed = (height as usize - 1)
            .checked_mul(row_stride)
            .and_then(|last_row| last_row.checked_add(row_bytes))
            .filter(|&bytes| bytes <= isize::MAX as usize)
            .ok_or(ImageError::StrideTooLong { row_stride, height })?;
        if data.len() < needed {
            return Err(ImageError::DataTooShort {
                width,
                height,
                format,
                row_stride,
                needed,
                given: data.len(),
            });
        }
        Ok(Self {
            format,
            width,
            height,
            row_stride,
            data,
        })
    }

    /// Layout of a pixel.
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

    /// Bytes of a row's pixels, without padding.
    pub const fn row_bytes(&self) -> usize {
        self.width as usize * self.format.bytes_per_pixel()
    }

    /// The pixels of each row, without padding, from the top.
    pub fn rows(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let view = *self;
        (0..self.height).map(move |y| view.row(y))
    }

    /// The pixels of row `y`, without padding.
    pub(super) fn row(&self, y: u32) -> &'a [u8] {
        &self.data[y as usize * self.row_stride..][..self.row_bytes()]
    }
}

/// Refuses sizes that no image may have.
///
/// # Errors
/// [`ImageError::Empty`] or [`ImageError::TooLarge`], with the size.
pub fn check_size(width: u32, height: u32) -> Result<(), ImageError> {
    if width == 0 || height == 0 {
        return Err(ImageError::Empty { width, height });
    }
    if width > MAX_SIDE || height > MAX_SIDE || u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(ImageError::TooLarge { width, height });
    }
    Ok(())
}
