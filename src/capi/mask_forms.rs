//! The forms in which masks are handed out, whatever they come from.

use std::ffi::CString;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::arrays::addressable;
use super::result::{
    SAM_MM_CONNECTIVITY_4, SAM_MM_CONNECTIVITY_8, sam_mm_polygon_options, sam_mm_polygons,
    sam_mm_rle,
};
use super::structs;
use crate::error::Error;
use crate::mask::{Connectivity, PolygonOptions, Polygons, Ring, Rle};

/// What a caller has borrowed of a mask so far.
#[derive(Default)]
pub(super) struct Forms {
    rle: OnceLock<RleTexts>,
    /// One per set of options asked for. What is borrowed are the arrays' own allocations, which stay in place while
    /// the list grows.
    polygons: Mutex<Vec<OutlineArrays>>,
}

struct RleTexts {
    rle: Rle,
    compressed: CString,
}

struct OutlineArrays {
    options: PolygonOptions,
    points: Vec<f32>,
    ring_starts: Vec<u32>,
    parents: Vec<i32>,
}

impl Forms {
    /// The run-length encoding; `make` is called the first time.
    pub fn rle(&self, make: impl FnOnce() -> Result<Rle, Error>) -> Result<sam_mm_rle, Error> {
        let made = match self.rle.get() {
            Some(made) => made,
            None => {
                let rle = make()?;
                self.rle.get_or_init(|| RleTexts {
                    compressed: super::error::c_text(&rle.to_compressed()),
                    rle,
                })
            }
        };
        let mut answer: sam_mm_rle = structs::zeroed();
        (answer.width, answer.height) = (made.rle.width(), made.rle.height());
        answer.num_counts = made.rle.counts().len() as u32;
        answer.counts = made.rle.counts().as_ptr();
        answer.compressed = made.compressed.as_ptr();
        answer.compressed_len = made.compressed.as_bytes().len() as u64;
        Ok(answer)
    }

    /// The outlines; `trace` is called the first time that these options come.
    pub fn polygons(
        &self,
        options: PolygonOptions,
        trace: impl FnOnce(&PolygonOptions) -> Result<Polygons, Error>,
    ) -> Result<sam_mm_polygons, Error> {
        let mut kept = self.polygons.lock().unwrap_or_else(PoisonError::into_inner);
        let at = match kept.iter().position(|made| made.options == options) {
            Some(at) => at,
            None => {
                kept.push(OutlineArrays::new(options, &trace(&options)?));
                kept.len() - 1
            }
        };
        let made = &kept[at];
        let mut answer: sam_mm_polygons = structs::zeroed();
        answer.num_rings = made.parents.len() as u32;
        answer.points = made.points.as_ptr();
        answer.ring_starts = made.ring_starts.as_ptr();
        answer.parents = made.parents.as_ptr();
        Ok(answer)
    }
}

impl OutlineArrays {
    fn new(options: PolygonOptions, polygons: &Polygons) -> Self {
        let rings = polygons.rings();
        let parent_of_hole = |ring: &Ring| match ring.parent {
            Some(parent) if ring.is_hole => parent as i32,
            _ => -1,
        };
        Self {
            options,
            points: polygons
                .vertices()
                .as_flattened()
                .iter()
                .map(|&corner| corner as f32)
                .collect(),
            ring_starts: std::iter::once(0)
                .chain(rings.iter().map(|ring| ring.range.end as u32))
                .collect(),
            parents: rings.iter().map(parent_of_hole).collect(),
        }
    }
}

/// What outlines a caller wants; exact ones by default.
///
/// # Safety
/// `given` is NULL or valid for its `struct_size`.
pub(super) unsafe fn polygon_options(
    given: *const sam_mm_polygon_options,
) -> Result<PolygonOptions, Error> {
    let given: sam_mm_polygon_options = match given.is_null() {
        true => structs::CStruct::defaults(),
        // SAFETY: as promised by the caller.
        false => unsafe { structs::read(given)? },
    };
    let connectivity = match given.connectivity {
        SAM_MM_CONNECTIVITY_4 => Connectivity::Four,
        SAM_MM_CONNECTIVITY_8 => Connectivity::Eight,
        other => {
            let reason = format!(
                "is {other}, which is neither SAM_MM_CONNECTIVITY_4 (0) nor SAM_MM_CONNECTIVITY_8 (1)"
            );
            return Err(Error::invalid_argument("connectivity", reason));
        }
    };
    Ok(PolygonOptions {
        connectivity,
        tolerance: given.tolerance,
        min_area: given.min_area,
    })
}

/// A caller's memory that a mask is to be written to.
pub(super) struct Target<'a> {
    pub buffer: &'a mut [u8],
    pub row_stride: usize,
    /// What is written where the mask is.
    pub on: u8,
}

impl Target<'_> {
    /// Checks the memory for a mask of `width` columns.
    ///
    /// # Safety
    /// `data` is NULL or points to `data_len` writable bytes that live as long as what this returns.
    pub unsafe fn new(
        (data, data_len): (*mut u8, u64),
        row_stride: u64,
        on_value: u32,
        width: u32,
    ) -> Result<Self, Error> {
        if data.is_null() {
            return Err(Error::invalid_argument(
                "data",
                "is NULL: there is no place for the mask",
            ));
        }
        let on = u8::try_from(on_value).ok().filter(|&on| on > 0);
        let on = on.ok_or_else(|| {
            let reason = format!("is {on_value}; it must be from 1 to 255");
            Error::invalid_argument("on_value", reason)
        })?;
        let stride = match row_stride {
            0 => u64::from(width),
            stride => stride,
        };
        let row_stride = addressable::<u8>("row_stride", stride)?;
        let len = addressable::<u8>("data_len", data_len)?;
        Ok(Self {
            // SAFETY: as promised by the caller; the length fits an allocation.
            buffer: unsafe { std::slice::from_raw_parts_mut(data, len) },
            row_stride,
            on,
        })
    }
}
