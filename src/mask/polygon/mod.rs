//! Outlines of a mask as polygons with holes.
//!
//! Vertices lie on pixel corners, so a ring encloses whole pixels: filling all rings by the even-odd rule gives the
//! mask back, pixel for pixel.

mod outline;
mod ring;
mod simplify;

use super::{MaskError, MaskSource};
use outline::Outline;
pub use ring::{Polygons, Ring};

/// Which foreground pixels belong together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Connectivity {
    /// Pixels that share a side. What touches at a corner only becomes two polygons, and a hole may touch the outside
    /// at a corner and then is part of it (GDAL's default).
    #[default]
    Four,
    /// Pixels that share a side or a corner. A ring may then touch itself at a corner (OpenCV's `findContours`).
    Eight,
}

/// What outlines are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PolygonOptions {
    /// Which pixels belong together.
    pub connectivity: Connectivity,
    /// Vertices may be left out as long as none of them lies farther than this from the ring, in pixels
    /// (Douglas–Peucker; less than this for a ring so narrow that it would vanish). 0: the outline is exact. Above 0,
    /// rings may touch or cross each other, or themselves, within that distance.
    pub tolerance: f64,
    /// Rings that enclose fewer pixels are left out, with all that lies in them. 0: none is. For a hole this is what
    /// fills it; for an outer ring its holes count as enclosed.
    pub min_area: u64,
}

impl Polygons {
    /// Traces the outlines of a mask. Time and memory are proportional to the number of corners; with a tolerance,
    /// time has a logarithmic factor.
    ///
    /// # Errors
    /// [`MaskError::Tolerance`] for a tolerance that is negative or not finite; [`MaskError::OutOfMemory`].
    pub fn trace(source: &impl MaskSource, options: &PolygonOptions) -> Result<Self, MaskError> {
        let tolerance = options.tolerance;
        if !(tolerance.is_finite() && tolerance >= 0.0) {
            return Err(MaskError::Tolerance { tolerance });
        }
        let exact = Outline::of(source, options.connectivity)?.into_polygons()?;
        let mut polygons = if options.min_area > 0 {
            exact.without_rings_below(options.min_area)
        } else {
            exact
        };
        if tolerance > 0.0 {
            polygons.simplify(tolerance);
        }
        Ok(polygons)
    }
}
