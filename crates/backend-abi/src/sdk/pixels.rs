//! A checked view of the pixels that `encode` takes.

use core::slice;

use crate::abi::sam_mm_backend_pixels;
use crate::error::{BackendError, Result};
use crate::types::{Element, ModelInfo};

/// An image as the model wants it: resized, RGB, interleaved, neither normalised nor padded.
#[derive(Clone, Copy, Debug)]
pub struct Pixels<'a> {
    /// Columns, 1 to `input_size`.
    pub width: u32,
    /// Rows, 1 to `input_size`.
    pub height: u32,
    /// Columns of the original image; prompts are in its pixels.
    pub original_width: u32,
    /// Rows of the original image.
    pub original_height: u32,
    /// Elements (not bytes) from one row to the next; at least `3 * width`.
    pub row_stride: usize,
    /// From the first element to the last one of the last row: `row_stride * (height - 1) + 3 * width` elements.
    pub data: PixelData<'a>,
}

/// The elements of an image: red, green, blue, red, …
#[derive(Clone, Copy, Debug)]
pub enum PixelData<'a> {
    /// 0–255.
    U8(&'a [u8]),
    /// 0–1.
    F32(&'a [f32]),
}

impl PixelData<'_> {
    /// Which of the two it is.
    pub fn element(&self) -> Element {
        match self {
            Self::U8(_) => Element::U8,
            Self::F32(_) => Element::F32,
        }
    }
}

impl<'a> Pixels<'a> {
    /// The rows, each of `3 * width` elements, when the elements are `u8`.
    pub fn rows_u8(&self) -> Option<impl ExactSizeIterator<Item = &'a [u8]> + use<'a>> {
        match self.data {
            PixelData::U8(data) => Some(rows(data, self.row_stride, self.width)),
            PixelData::F32(_) => None,
        }
    }

    /// The rows, each of `3 * width` elements, when the elements are `f32`.
    pub fn rows_f32(&self) -> Option<impl ExactSizeIterator<Item = &'a [f32]> + use<'a>> {
        match self.data {
            PixelData::F32(data) => Some(rows(data, self.row_stride, self.width)),
            PixelData::U8(_) => None,
        }
    }

    /// Checks the struct of the border against the model.
    ///
    /// # Safety
    /// `wire.data` is NULL or readable for as many bytes as the other fields say, and not written to during `'a`.
    pub(super) unsafe fn new(wire: &sam_mm_backend_pixels, info: &ModelInfo) -> Result<Self> {
        let element = Element::from_abi(wire.element)
            .filter(|&element| element == info.input_element)
            .ok_or_else(|| {
                invalid(format!(
                    "pixels.element is {}; this model takes {} ({})",
                    wire.element,
                    info.input_element.to_abi(),
                    info.input_element
                ))
            })?;
        for (name, side) in [("width", wire.width), ("height", wire.height)] {
            if side == 0 || side > info.input_size {
                return Err(invalid(format!(
                    "pixels.{name} is {side}; it must be 1 to {}",
                    info.input_size
                )));
            }
        }
        if wire.original_width == 0 || wire.original_height == 0 {
            return Err(invalid(format!(
                "the original image is {}x{} in pixels; both sides must be at least 1",
                wire.original_width, wire.original_height
            )));
        }
        let (row_stride, len) = extent(wire, element)?;
        // SAFETY: not NULL, aligned and within `isize::MAX` bytes by `extent`; readable by the caller's promise.
        let data = unsafe {
            match element {
                Element::U8 => PixelData::U8(slice::from_raw_parts(wire.data.cast(), len)),
                Element::F32 => PixelData::F32(slice::from_raw_parts(wire.data.cast(), len)),
            }
        };
        Ok(Self {
            width: wire.width,
            height: wire.height,
            original_width: wire.original_width,
            original_height: wire.original_height,
            row_stride,
            data,
        })
    }
}

fn invalid(message: String) -> BackendError {
    BackendError::invalid_argument(message)
}

/// Row stride and total length in elements.
fn extent(wire: &sam_mm_backend_pixels, element: Element) -> Result<(usize, usize)> {
    let size = match element {
        Element::U8 => size_of::<u8>(),
        Element::F32 => size_of::<f32>(),
    } as u64;
    let row = 3 * u64::from(wire.width);
    if wire.data.is_null() {
        return Err(invalid("pixels.data is NULL".into()));
    }
    if !wire.row_stride.is_multiple_of(size) || !(wire.data.addr() as u64).is_multiple_of(size) {
        return Err(invalid(format!(
            "pixels.data at {:p} with row_stride {} is not aligned to elements of {size} bytes",
            wire.data, wire.row_stride
        )));
    }
    if wire.row_stride < row * size {
        return Err(invalid(format!(
            "pixels.row_stride is {}; a row of {} pixels has {} bytes",
            wire.row_stride,
            wire.width,
            row * size
        )));
    }
    wire.row_stride
        .checked_mul(u64::from(wire.height))
        .filter(|&bytes| isize::try_from(bytes).is_ok())
        .map(|_| {
            let stride = wire.row_stride / size;
            (
                stride as usize,
                (stride * u64::from(wire.height - 1) + row) as usize,
            )
        })
        .ok_or_else(|| {
            invalid(format!(
                "pixels.row_stride {} times {} rows does not fit in memory",
                wire.row_stride, wire.height
            ))
        })
}

fn rows<T>(data: &[T], row_stride: usize, width: u32) -> impl ExactSizeIterator<Item = &[T]> {
    let row = 3 * width as usize;
    // The last row may be shorter than the stride, never than a row.
    data.chunks(row_stride).map(move |chunk| &chunk[..row])
}
