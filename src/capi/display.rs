//! Images for the screen: processed to display size, and coordinates and masks there and back.

use std::sync::Arc;

use super::arrays::{addressable, array, write_array};
use super::call::{call, call_init, clear, quiet};
use super::error::sam_mm_error;
use super::handle::Table;
use super::image::{
    IMAGES, SAM_MM_FORMAT_BGR8, SAM_MM_FORMAT_BGRA8, SAM_MM_FORMAT_GRAY8, SAM_MM_FORMAT_RGB8,
    SAM_MM_FORMAT_RGBA8, pixel_format, sam_mm_image,
};
use super::structs::{self, c_struct};
use crate::error::Error;
use crate::image::display::{DisplayImage, ScalingOptions, Space};
use crate::image::{ImageView, Interpolation, PixelFormat};

/// The source pixel under the centre of the output pixel.
pub const SAM_MM_INTERPOLATION_NEAREST: u32 = 0;
/// Weighted mean of the neighbours; when shrinking, of all source pixels that two output pixels cover along each axis.
pub const SAM_MM_INTERPOLATION_BILINEAR: u32 = 1;
/// Mean of the source pixels that the output pixel covers, each by the part covered.
pub const SAM_MM_INTERPOLATION_AREA: u32 = 2;
/// Catmull-Rom. Sharper than bilinear; edges may overshoot.
pub const SAM_MM_INTERPOLATION_CUBIC: u32 = 3;

/// An image as it is shown: pixels, and how they came from the original ones. It never changes, and what is borrowed from
/// it stays valid until it is freed. May be used from many threads at once.
#[allow(non_camel_case_types)]
pub struct sam_mm_display {
    _opaque: [u8; 0],
}

pub(super) static DISPLAYS: Table<sam_mm_display, DisplayImage> = Table::new(6, "sam_mm_display");

/// How an image is brought to display size, in pixels and with its aspect kept. Fill it with
/// `sam_mm_display_options_init`, then change what should differ.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam_mm_display_options {
    /// `sizeof(sam_mm_display_options)`.
    pub struct_size: u32,
    /// The longer side gets this size, whether that shrinks the image or enlarges it; default 1024, 1 to 32768.
    pub target_size: u32,
    /// The shorter side is never smaller: the longer one exceeds `target_size` then; default 600, 0 to 32768.
    pub min_size: u32,
    /// The longer side is never larger, even if the shorter one stays below `min_size`; default 2048, 1 to 32768. Neither
    /// of the others may be above it.
    pub max_size: u32,
    /// `SAM_MM_INTERPOLATION_…` for images that become smaller; default `SAM_MM_INTERPOLATION_AREA`.
    pub shrinking: u32,
    /// `SAM_MM_INTERPOLATION_…` for images that become larger; default `SAM_MM_INTERPOLATION_BILINEAR`.
    pub enlarging: u32,
    /// `SAM_MM_FORMAT_…` of the pixels; default `SAM_MM_FORMAT_RGB8`. Alpha is 255. Gray of colours is their luma
    /// (ITU-R BT.601).
    pub format: u32,
    /// Zero; for later use.
    pub reserved: u32,
}

c_struct!(sam_mm_display_options, |options| {
    let defaults = ScalingOptions::default();
    options.target_size = defaults.target_size;
    options.min_size = defaults.min_size;
    options.max_size = defaults.max_size;
    options.shrinking = interpolation_number(defaults.shrinking);
    options.enlarging = interpolation_number(defaults.enlarging);
    options.format = format_number(defaults.format);
});

/// Fills options with their defaults; `struct_size` is `sizeof(sam_mm_display_options)`. [any thread]
///
/// # Safety
/// `options` points to `struct_size` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_display_options_init(
    options: *mut sam_mm_display_options,
    struct_size: u32,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe { call_init(options, struct_size) }
}

/// Brings an image to display size. Quick when the same picture was processed alike before and is still in the image
/// cache, or a display image of it is not freed yet; several handles then share its memory. `options` may be NULL for
/// defaults. Needs no backend. [any thread]
///
/// # Safety
/// `options` is NULL or valid for its `struct_size`; `display` and `error` are NULL or valid places.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_image_process(
    image: *mut sam_mm_image,
    options: *const sam_mm_display_options,
    display: *mut *mut sam_mm_display,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |call| {
            clear("display", display, std::ptr::null_mut())?;
            let image = IMAGES.get(image)?;
            call.enter(image.context())?;
            let options = scaling(options)?;
            display.write(DISPLAYS.insert(crate::display::process(&image, &options)?)?);
            Ok(())
        })
    }
}

/// A display image: its pixels, and how they came from the original ones.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam_mm_display_info {
    /// `sizeof(sam_mm_display_info)`.
    pub struct_size: u32,
    /// `SAM_MM_FORMAT_…` of the pixels.
    pub format: u32,
    /// Columns of the original image.
    pub original_width: u32,
    /// Rows of the original image.
    pub original_height: u32,
    /// Columns of the display image.
    pub width: u32,
    /// Rows of the display image.
    pub height: u32,
    /// `width / original_width`. Differs from `scale_y` by the rounding of the size.
    pub scale_x: f64,
    /// `height / original_height`.
    pub scale_y: f64,
    /// `original_width / original_height`.
    pub original_aspect: f64,
    /// `width / height`.
    pub aspect: f64,
    /// Bytes from one row to the next; rows follow without a gap.
    pub row_stride: u64,
    /// The first pixel of the top row; borrowed until the display image is freed.
    pub data: *const u8,
    /// Bytes at `data`.
    pub data_len: u64,
}

c_struct!(sam_mm_display_info);

/// Gives the pixels of a display image, its sizes and its scale. [any thread]
///
/// # Safety
/// `info` points to a struct whose `struct_size` is set; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_display_describe(
    display: *const sam_mm_display,
    info: *mut sam_mm_display_info,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            structs::write(info, &structs::zeroed())?;
            let display = DISPLAYS.get(display)?;
            let scaling = display.scaling();
            let mut answer: sam_mm_display_info = structs::zeroed();
            answer.format = format_number(display.format());
            (answer.original_width, answer.original_height) = scaling.original_size();
            (answer.width, answer.height) = scaling.display_size();
            (answer.scale_x, answer.scale_y) = scaling.factors();
            answer.original_aspect = scaling.aspect(Space::Original);
            answer.aspect = scaling.aspect(Space::Display);
            answer.row_stride = display.row_bytes() as u64;
            answer.data = display.pixels().as_ptr();
            answer.data_len = display.pixels().len() as u64;
            structs::write(info, &answer)
        })
    }
}

/// Converts points of the display image, x and y of each, or the vertices of contours, to points of the original image:
/// what the user clicked on, for a prompt. What lies outside of the image is brought to its edge; NaN and infinities are
/// refused. The corners of one image are exactly those of the other. `converted` may be `points`. [any thread]
///
/// # Safety
/// `points` and `converted` point to `2 * num_points` values, or are NULL when that is 0; `error` is NULL or a valid
/// place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_display_points_to_original(
    display: *const sam_mm_display,
    points: *const f32,
    num_points: u64,
    converted: *mut f32,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            convert_points(display, Space::Original, points, num_points, converted)
        })
    }
}

/// Converts points of the original image, or the vertices of contours such as those of `sam_mm_result_polygons`, to
/// points of the display image. Otherwise as `sam_mm_display_points_to_original`. [any thread]
///
/// # Safety
/// As for `sam_mm_display_points_to_original`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_display_points_to_display(
    display: *const sam_mm_display,
    points: *const f32,
    num_points: u64,
    converted: *mut f32,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            convert_points(display, Space::Display, points, num_points, converted)
        })
    }
}

/// Converts boxes of the display image, x0, y0, x1, y1 of each with x0 <= x1 and y0 <= y1, to boxes of the original
/// image. What lies outside of the image is cut off. `converted` may be `boxes`. [any thread]
///
/// # Safety
/// `boxes` and `converted` point to `4 * num_boxes` values, or are NULL when that is 0; `error` is NULL or a valid place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_display_boxes_to_original(
    display: *const sam_mm_display,
    boxes: *const f32,
    num_boxes: u64,
    converted: *mut f32,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            convert_boxes(display, Space::Original, boxes, num_boxes, converted)
        })
    }
}

/// Converts boxes of the original image to boxes of the display image. Otherwise as `sam_mm_display_boxes_to_original`.
/// [any thread]
///
/// # Safety
/// As for `sam_mm_display_boxes_to_original`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_display_boxes_to_display(
    display: *const sam_mm_display,
    boxes: *const f32,
    num_boxes: u64,
    converted: *mut f32,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            convert_boxes(display, Space::Display, boxes, num_boxes, converted)
        })
    }
}

/// Converts a mask of the display image's size, one byte a pixel, to one of the original's: each pixel becomes what lies
/// under its centre, whatever the values mean. Rows are `mask_stride` and `converted_stride` bytes apart; 0: they follow
/// without a gap. Bytes between the rows of `converted` are left alone; the two must lie apart. [any thread]
///
/// # Safety
/// `mask` points to `mask_len` readable bytes, `converted` to `converted_len` writable ones; `error` is NULL or a valid
/// place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_display_mask_to_original(
    display: *const sam_mm_display,
    mask: *const u8,
    mask_len: u64,
    mask_stride: u64,
    converted: *mut u8,
    converted_len: u64,
    converted_stride: u64,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            let display = DISPLAYS.get(display)?;
            let (mask, converted) = (
                Rows::new(mask.cast_mut(), mask_len, mask_stride),
                Rows::new(converted, converted_len, converted_stride),
            );
            convert_mask(&display, Space::Original, &mask, &converted)
        })
    }
}

/// Converts a mask of the original image's size to one of the display image's. Otherwise as
/// `sam_mm_display_mask_to_original`. [any thread]
///
/// # Safety
/// As for `sam_mm_display_mask_to_original`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam_mm_display_mask_to_display(
    display: *const sam_mm_display,
    mask: *const u8,
    mask_len: u64,
    mask_stride: u64,
    converted: *mut u8,
    converted_len: u64,
    converted_stride: u64,
    error: *mut *mut sam_mm_error,
) -> i32 {
    // SAFETY: passed on from the caller.
    unsafe {
        call(error, |_| {
            let display = DISPLAYS.get(display)?;
            let (mask, converted) = (
                Rows::new(mask.cast_mut(), mask_len, mask_stride),
                Rows::new(converted, converted_len, converted_stride),
            );
            convert_mask(&display, Space::Display, &mask, &converted)
        })
    }
}

/// Frees a display image. The image cache may keep its pixels for the next `sam_mm_image_process`. NULL and display
/// images freed before are ignored. [any thread]
#[unsafe(no_mangle)]
pub extern "C" fn sam_mm_display_free(display: *mut sam_mm_display) {
    quiet((), || drop(DISPLAYS.remove(display)));
}

/// # Safety
/// `options` is NULL or valid for its `struct_size`.
pub(super) unsafe fn scaling(
    options: *const sam_mm_display_options,
) -> Result<ScalingOptions, Error> {
    if options.is_null() {
        return Ok(ScalingOptions::default());
    }
    // SAFETY: as promised by the caller.
    scaling_options(&unsafe { structs::read(options)? })
}

/// # Safety
/// As for `sam_mm_display_points_to_original`.
unsafe fn convert_points(
    display: *const sam_mm_display,
    to: Space,
    points: *const f32,
    num_points: u64,
    converted: *mut f32,
) -> Result<(), Error> {
    let display = DISPLAYS.get(display)?;
    let values = 2 * addressable::<[f32; 2]>("num_points", num_points)?;
    // SAFETY: as promised by the caller; the borrow ends before the other array is written.
    let points = unsafe { array("points", points, values)? };
    let made = display.scaling().points(to, points.as_chunks().0)?;
    // SAFETY: as promised by the caller.
    unsafe { write_array("converted", converted, made.as_flattened()) }
}

/// # Safety
/// As for `sam_mm_display_boxes_to_original`.
unsafe fn convert_boxes(
    display: *const sam_mm_display,
    to: Space,
    boxes: *const f32,
    num_boxes: u64,
    converted: *mut f32,
) -> Result<(), Error> {
    let display = DISPLAYS.get(display)?;
    let values = 4 * addressable::<[f32; 4]>("num_boxes", num_boxes)?;
    // SAFETY: as promised by the caller; the borrow ends before the other array is written.
    let boxes = unsafe { array("boxes", boxes, values)? };
    let made = display.scaling().boxes(to, boxes.as_chunks().0)?;
    // SAFETY: as promised by the caller.
    unsafe { write_array("converted", converted, made.as_flattened()) }
}

/// Rows of a caller's mask.
struct Rows {
    first: *mut u8,
    len: u64,
    stride: u64,
}

impl Rows {
    fn new(first: *mut u8, len: u64, stride: u64) -> Self {
        Self { first, len, stride }
    }

    /// Bytes from one row to the next, for rows of `width` bytes.
    fn stride(&self, name: &'static str, width: u32) -> Result<usize, Error> {
        match self.stride {
            0 => Ok(width as usize),
            stride => addressable::<u8>(name, stride),
        }
    }
}

/// # Safety
/// `mask` can be read and `converted` written for their lengths.
unsafe fn convert_mask(
    display: &Arc<DisplayImage>,
    to: Space,
    mask: &Rows,
    converted: &Rows,
) -> Result<(), Error> {
    let scaling = display.scaling();
    let (width, height) = scaling.size(to.other());
    let mask_len = addressable::<u8>("mask_len", mask.len)?;
    let converted_len = addressable::<u8>("converted_len", converted.len)?;
    for (name, place) in [("mask", mask.first), ("converted", converted.first)] {
        if place.is_null() {
            return Err(Error::invalid_argument(name, "is NULL"));
        }
    }
    let (from, into) = (mask.first.addr(), converted.first.addr());
    if from < into.saturating_add(converted_len) && into < from.saturating_add(mask_len) {
        let reason = "overlaps with mask; give it memory of its own";
        return Err(Error::invalid_argument("converted", reason));
    }
    // SAFETY: as promised by the caller; neither is NULL, and they lie apart.
    let (bytes, target) = unsafe {
        (
            std::slice::from_raw_parts(mask.first, mask_len),
            std::slice::from_raw_parts_mut(converted.first, converted_len),
        )
    };
    let stride = mask.stride("mask_stride", width)?;
    let view = ImageView::new(PixelFormat::Gray8, width, height, stride, bytes)?;
    let stride = converted.stride("converted_stride", scaling.size(to).0)?;
    Ok(scaling.mask(to, &view, target, stride)?)
}

fn scaling_options(given: &sam_mm_display_options) -> Result<ScalingOptions, Error> {
    structs::reserved("reserved", given.reserved)?;
    Ok(ScalingOptions {
        target_size: given.target_size,
        min_size: given.min_size,
        max_size: given.max_size,
        shrinking: interpolation("shrinking", given.shrinking)?,
        enlarging: interpolation("enlarging", given.enlarging)?,
        format: pixel_format(given.format)?,
    })
}

fn interpolation(name: &'static str, number: u32) -> Result<Interpolation, Error> {
    match number {
        SAM_MM_INTERPOLATION_NEAREST => Ok(Interpolation::Nearest),
        SAM_MM_INTERPOLATION_BILINEAR => Ok(Interpolation::Bilinear),
        SAM_MM_INTERPOLATION_AREA => Ok(Interpolation::Area),
        SAM_MM_INTERPOLATION_CUBIC => Ok(Interpolation::Cubic),
        other => {
            let reason = format!(
                "is {other}, which is none of SAM_MM_INTERPOLATION_NEAREST (0) to SAM_MM_INTERPOLATION_CUBIC (3)"
            );
            Err(Error::invalid_argument(name, reason))
        }
    }
}

fn interpolation_number(interpolation: Interpolation) -> u32 {
    match interpolation {
        Interpolation::Nearest => SAM_MM_INTERPOLATION_NEAREST,
        Interpolation::Bilinear => SAM_MM_INTERPOLATION_BILINEAR,
        Interpolation::Area => SAM_MM_INTERPOLATION_AREA,
        Interpolation::Cubic => SAM_MM_INTERPOLATION_CUBIC,
    }
}

fn format_number(format: PixelFormat) -> u32 {
    match format {
        PixelFormat::Rgb8 => SAM_MM_FORMAT_RGB8,
        PixelFormat::Bgr8 => SAM_MM_FORMAT_BGR8,
        PixelFormat::Rgba8 => SAM_MM_FORMAT_RGBA8,
        PixelFormat::Bgra8 => SAM_MM_FORMAT_BGRA8,
        PixelFormat::Gray8 => SAM_MM_FORMAT_GRAY8,
    }
}
