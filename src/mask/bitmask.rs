//! A mask as bytes.

use bytemuck::allocation::try_zeroed_vec;

use super::{
    Extent, MaskError, MaskSource, PolygonOptions, Polygons, Rle, Run,
    error::check_size,
    runs::{RunLine, sealed::Sealed},
};

/// A full-size mask: one byte per pixel, 0 or 1, row after row without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitmask {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

impl Bitmask {
    /// Takes `width × height` bytes; every value but 0 is foreground.
    ///
    /// # Errors
    /// [`MaskError::Size`] or [`MaskError::PixelCount`].
    pub fn from_pixels(width: u32, height: u32, mut pixels: Vec<u8>) -> Result<Self, MaskError> {
        check_size(width, height)?;
        let needed = width as usize * height as usize;
        if pixels.len() != needed {
            return Err(MaskError::PixelCount {
                width,
                height,
                needed,
                given: pixels.len(),
            });
        }
        for pixel in &mut pixels {
            *pixel = u8::from(*pixel != 0);
        }
        Ok(Self {
            width,
            height,
            pixels,
        })
    }

    /// Draws a mask.
    ///
    /// # Errors
    /// [`MaskError::OutOfMemory`].
    pub fn from_source(source: &impl MaskSource) -> Result<Self, MaskError> {
        let mut mask = Self::background(source.width(), source.height())?;
        let width = mask.width as usize;
        source.for_each_row(&mut |y, runs| {
            fill(&mut mask.pixels[y as usize * width..][..width], runs, 1);
        });
        Ok(mask)
    }

    /// A mask without foreground, of a size that was checked.
    pub(super) fn background(width: u32, height: u32) -> Result<Self, MaskError> {
        let bytes = width as usize * height as usize;
        // Zeroed by the system, which does not touch a page before it is written: for a small object most never are.
        let pixels = try_zeroed_vec(bytes).map_err(|()| MaskError::OutOfMemory {
            bytes,
            purpose: "a full-size mask",
        })?;
        Ok(Self {
            width,
            height,
            pixels,
        })
    }

    /// Columns.
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// The pixels, 0 or 1, row after row.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// Sets the pixels `start..end`, counted down the columns, to foreground.
    pub(super) fn set_column_major(&mut self, start: u32, end: u32) {
        let (width, height) = (self.width as usize, self.height);
        let (mut x, mut y) = ((start / height) as usize, (start % height) as usize);
        for _ in start..end {
            self.pixels[y * width + x] = 1;
            y += 1;
            if y == height as usize {
                (x, y) = (x + 1, 0);
            }
        }
    }

    /// Copies the mask to a buffer: `on` for foreground, 0 for background, rows `row_stride` bytes apart. Bytes
    /// between a row's end and the next row are left alone.
    ///
    /// # Errors
    /// [`MaskError::StrideTooShort`] or [`MaskError::BufferTooShort`]; nothing is written then.
    pub fn write_to(&self, buffer: &mut [u8], row_stride: usize, on: u8) -> Result<(), MaskError> {
        check_target(self.width, self.height, buffer.len(), row_stride)?;
        let width = self.width as usize;
        let rows = buffer
            .chunks_mut(row_stride)
            .zip(self.pixels.chunks_exact(width));
        for (target, source) in rows {
            for (to, &from) in target.iter_mut().zip(source) {
                *to = from * on;
            }
        }
        Ok(())
    }

    /// Area and box.
    pub fn extent(&self) -> Extent {
        Extent::of(self)
    }

    /// COCO run-length encoding.
    pub fn rle(&self) -> Rle {
        Rle::encode(self)
    }

    /// Outlines.
    ///
    /// # Errors
    /// [`MaskError::Tolerance`] or [`MaskError::OutOfMemory`].
    pub fn polygons(&self, options: &PolygonOptions) -> Result<Polygons, MaskError> {
        Polygons::trace(self, options)
    }
}

impl Sealed for Bitmask {}

impl MaskSource for Bitmask {
    fn width(&self) -> u32 {
        self.width
    }

    fn height(&self) -> u32 {
        self.height
    }

    fn for_each_row(&self, visit: &mut dyn FnMut(u32, &[Run])) {
        let mut line = RunLine::default();
        for (y, row) in (0..).zip(self.pixels.chunks_exact(self.width as usize)) {
            line.clear();
            line.push_pixels(0, row.len(), |x| row[x] != 0);
            visit(y, line.runs());
        }
    }

    fn for_each_column(&self, visit: &mut dyn FnMut(u32, &[Run])) {
        let mut line = RunLine::default();
        let width = self.width as usize;
        for x in 0..self.width {
            line.clear();
            let column = &self.pixels[x as usize..];
            line.push_pixels(0, self.height as usize, |y| column[y * width] != 0);
            visit(x, line.runs());
        }
    }
}

/// Writes a mask to a buffer without an intermediate one.
pub(super) fn write_source(
    source: &impl MaskSource,
    buffer: &mut [u8],
    row_stride: usize,
    on: u8,
) -> Result<(), MaskError> {
    check_target(source.width(), source.height(), buffer.len(), row_stride)?;
    let width = source.width() as usize;
    source.for_each_row(&mut |y, runs| {
        let row = &mut buffer[y as usize * row_stride..][..width];
        row.fill(0);
        fill(row, runs, on);
    });
    Ok(())
}

fn fill(row: &mut [u8], runs: &[Run], on: u8) {
    for run in runs {
        row[run.start as usize..run.end as usize].fill(on);
    }
}

fn check_target(width: u32, height: u32, given: usize, row_stride: usize) -> Result<(), MaskError> {
    if row_stride < width as usize {
        return Err(MaskError::StrideTooShort { row_stride, width });
    }
    let needed = u128::from(height - 1) * row_stride as u128 + u128::from(width);
    if (given as u128) < needed {
        return Err(MaskError::BufferTooShort {
            width,
            height,
            row_stride,
            needed,
            given,
        });
    }
    Ok(())
}
