//! Images.

use std::sync::Arc;

use super::arrays::addressable;
use super::call::{call, call_init, clear, quiet};
use super::context::{CONTEXTS, sam_mm_context};
use super::error::sam_mm_error;
use super::handle::Table;
use super::model::{MODELS, sam_mm_model};
use super::structs::{self, c_struct};
use crate::error::Error;
use crate::image::{ImageView, PixelFormat, check_size};
use crate::registered_image::RegisteredImage;

/// Three bytes a pixel: red, green, blue.
pub const SAM_MM_FORMAT_RGB8: u32 = 0;
/// Three bytes a pixel: blue, green, red (OpenCV).
pub const SAM_MM_FORMAT_BGR8: u32 = 1;
/// Four bytes a pixel: red, green, blue, alpha. Alpha is ignored.
pub const SAM_MM_FORMAT_RGBA8: u32 = 2;
/// Four bytes a pixel: blue, green, red, alpha. Alpha is ignored.
pub const SAM_MM_FORMAT_BGRA8: u32 = 3;
/// One byte a pixel.
pub const SAM_MM_FORMAT_GRAY8: u32 = 4;

/// An image, held as a copy of its pixels. What was computed from it is kept by the context, for as long as the caches
/// have room, also after the image is freed: another image of the same pixels finds it. May be used from many threads at
/// once.
#[allow(non_camel_case_types)]
pub struct sam_mm_image {
    _opaque: [u8; 0],
}

pub(super) static IMAGES: Table<sam_mm_image, RegisteredImage> = Table::new(4, "sam_mm_image");

/// Pixels of a caller, borrowed for the call. Fill it with `sam_mm_image_desc_init`, then set what it is.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam_mm_image_desc {
    /// `sizeof(sam_mm_image_desc)`.
    pub struct_size: u32,
    /// `SAM_MM_FORMAT_…`; default `SAM_MM_FORMAT_RGB8`.
    pub format: u32,
    /// Columns, 1 to 65535.
    pub width: u32,
    /// Rows, 1 to 65535; `width * height` is at most 2^30.
    pub height: u32,
    /// Bytes from one row to the next; 0 (default) when rows follow without a gap.
    pub row_stride: u64,
    /// The first pixel of the top row.
    pub data: *const u8,
    /// Bytes readable at `data`, at least `row_stride * (height - 1)` plus the bytes of the last row's pixels.
    pub data_len: u64,
    /// What tells this picture from others, as `content_id_len` bytes of the caller's choosing: a path with a time, a row of
    /// a database. NULL (default): the MD5 of the pixels, a few milliseconds a megapixel when the image is first used. What
    /// was computed for an image is given to every image of the same id and size, so it must change with the pixels.
    pub content_id: *const u8,
    /// Bytes at `content_id`, at most 4096.
    pub content_id_len: u64,
}

c_struct!(sam_mm_image_desc);

/// Fills a description with its defaults; `struct_size` is `sizeof(sam_mm_image_desc)`. [any thread]
///
/// # Safety
/// `desc` points to `struct_size` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_image_desc_init(
    desc: *mut sam_mm_image_desc,
    struct_size: u32,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe { call_init(desc, struct_size) }
}

/// Makes an image from pixels, which are copied (three bytes a pixel, one for gray). Nothing is computed yet: the first
/// prediction encodes the image, or `sam_mm_image_encode` does. [any thread]
///
/// # Safety
/// `desc` is valid for its `struct_size`, its `data` for `data_len` bytes and its `content_id` for `content_id_len`;
/// `image` and `error` are NULL or valid places.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_image_create(
    context: *mut sam_mm_context,
    desc: *const sam_mm_image_desc,
    image: *mut *mut sam_mm_image,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |call| {
            clear("image", image, std::ptr::null_mut())?;
            let entry = CONTEXTS.get(context)?;
            call.enter(&entry.core)?;
            let desc = structs::read(desc)?;
            let view = view(&desc)?;
            let content_id = content_id(&desc)?;
            let mut made = RegisteredImage::new(&entry.core, &view)?;
            if let Some(id) = content_id {
                made = made.with_content_id(id);
            }
            image.write(IMAGES.insert(Arc::new(made))?);
            Ok(())
        })
    }
}

/// Runs the model's image encoder on an image now, so that the first prediction does not have to. Quick when the
/// embedding is there already. Refused from inside a callback. [any thread]
///
/// # Safety
/// `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_image_encode(
    image: *mut sam_mm_image,
    model: *mut sam_mm_model,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |call| {
            let image = IMAGES.get(image)?;
            let model = MODELS.get(model)?;
            call.enter(image.context())?;
            crate::predictor::encode(&model.core, &image).map(drop)
        })
    }
}

/// Frees an image. Results made from it stay usable. NULL and images freed before are ignored. [any thread]
#[unsafe(no_mangle)]
pub extern "C" fn sam_mm_image_free(image: *mut sam_mm_image) {
    quiet((), || drop(IMAGES.remove(image)));
}

/// # Safety
/// `desc.content_id` is NULL or points to `desc.content_id_len` readable bytes that live as long as `'a`.
unsafe fn content_id<'a>(desc: &sam_mm_image_desc) -> Result<Option<&'a [u8]>, Error> {
    const MOST: u64 = 4096;
    let (id, len) = (desc.content_id, desc.content_id_len);
    if id.is_null() && len == 0 {
        return Ok(None);
    }
    if id.is_null() || len == 0 || len > MOST {
        let reason = if id.is_null() {
            format!("is {len}, but content_id is NULL")
        } else {
            format!(
                "is {len}; an id has 1 to {MOST} bytes, and content_id is NULL when there is none"
            )
        };
        return Err(Error::invalid_argument("content_id_len", reason));
    }
    // SAFETY: as promised by the caller, and not NULL.
    Ok(Some(unsafe {
        std::slice::from_raw_parts(id, len as usize)
    }))
}

/// # Safety
/// `desc.data` is NULL or points to `desc.data_len` readable bytes that live as long as `'a`.
unsafe fn view<'a>(desc: &sam_mm_image_desc) -> Result<ImageView<'a>, Error> {
    let format = pixel_format(desc.format)?;
    // First, as other fields of a size that cannot be make no sense either.
    check_size(desc.width, desc.height)?;
    if desc.data.is_null() {
        return Err(Error::invalid_argument(
            "data",
            "is NULL: an image needs its pixels",
        ));
    }
    let len = addressable::<u8>("data_len", desc.data_len)?;
    // SAFETY: as promised by the caller; the length fits an allocation.
    let data = unsafe { std::slice::from_raw_parts(desc.data, len) };
    let row_stride = match desc.row_stride {
        0 => u64::from(desc.width) * format.bytes_per_pixel() as u64,
        stride => stride,
    };
    let row_stride = usize::try_from(row_stride).map_err(|_| {
        Error::invalid_argument(
            "row_stride",
            format!(
                "is {row_stride} bytes, more than can be addressed; 0 means rows without a gap"
            ),
        )
    })?;
    Ok(ImageView::new(
        format,
        desc.width,
        desc.height,
        row_stride,
        data,
    )?)
}

pub(super) fn pixel_format(number: u32) -> Result<PixelFormat, Error> {
    match number {
        SAM_MM_FORMAT_RGB8 => Ok(PixelFormat::Rgb8),
        SAM_MM_FORMAT_BGR8 => Ok(PixelFormat::Bgr8),
        SAM_MM_FORMAT_RGBA8 => Ok(PixelFormat::Rgba8),
        SAM_MM_FORMAT_BGRA8 => Ok(PixelFormat::Bgra8),
        SAM_MM_FORMAT_GRAY8 => Ok(PixelFormat::Gray8),
        other => {
            let reason = format!(
                "is {other}, which is none of SAM_MM_FORMAT_RGB8 (0) to SAM_MM_FORMAT_GRAY8 (4)"
            );
            Err(Error::invalid_argument("format", reason))
        }
    }
}
