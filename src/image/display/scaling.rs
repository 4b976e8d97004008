//! How one image was scaled, and the way between its pixels and those of the screen.

use std::fmt;

use super::DisplayError;
use crate::image::resample::reserved;

/// The pixels that coordinates are counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Space {
    /// Those of the image as it was given.
    Original,
    /// Those of the image as it is shown.
    Display,
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Original => "original image",
            Self::Display => "display image",
        })
    }
}

/// How one image was scaled. Coordinates are continuous, as in prompts: (0, 0) is the outer corner of the first pixel,
/// (width, height) that of the last, so the corners of one image are exactly those of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scaling {
    original: (u32, u32),
    display: (u32, u32),
}

impl Scaling {
    /// Both sizes as columns and rows, neither of them 0.
    pub(super) const fn new(original: (u32, u32), display: (u32, u32)) -> Self {
        Self { original, display }
    }

    /// Columns and rows of the image as it was given.
    pub const fn original_size(&self) -> (u32, u32) {
        self.original
    }

    /// Columns and rows of the image as it is shown.
    pub const fn display_size(&self) -> (u32, u32) {
        self.display
    }

    /// Columns and rows in a space.
    pub const fn size(&self, space: Space) -> (u32, u32) {
        match space {
            Space::Original => self.original,
            Space::Display => self.display,
        }
    }

    /// Pixels on the screen per pixel of the image, along x and y. They differ by the rounding of the size.
    pub fn factors(&self) -> (f64, f64) {
        (
            f64::from(self.display.0) / f64::from(self.original.0),
            f64::from(self.display.1) / f64::from(self.original.1),
        )
    }

    /// Width over height in a space.
    pub fn aspect(&self, space: Space) -> f64 {
        let (width, height) = self.size(space);
        f64::from(width) / f64::from(height)
    }

    /// Points `[x, y]` of the other space, or the vertices of a contour, as points of `to`. What lies outside of the
    /// image is brought to its edge, as when the mouse was dragged over it.
    ///
    /// # Errors
    /// [`DisplayError::Coordinate`] for what is no finite number; no memory for the result.
    pub fn points(&self, to: Space, points: &[[f32; 2]]) -> Result<Vec<[f32; 2]>, DisplayError> {
        let mut converted = reserved(points.len(), "converted points")?;
        for (index, &[x, y]) in points.iter().enumerate() {
            check_finite("point", index, [("x", x), ("y", y)])?;
            converted.push(self.point(to, [x, y]));
        }
        Ok(converted)
    }

    /// Boxes `[x0, y0, x1, y1]` of the other space as boxes of `to`. What lies outside of the image is cut off.
    ///
    /// # Errors
    /// [`DisplayError::Coordinate`], [`DisplayError::BoxOrder`]; no memory for the result.
    pub fn boxes(&self, to: Space, boxes: &[[f32; 4]]) -> Result<Vec<[f32; 4]>, DisplayError> {
        let mut converted = reserved(boxes.len(), "converted boxes")?;
        for (index, &corners) in boxes.iter().enumerate() {
            let [x0, y0, x1, y1] = corners;
            check_finite(
                "box",
                index,
                [("x0", x0), ("y0", y0), ("x1", x1), ("y1", y1)],
            )?;
            if x0 > x1 || y0 > y1 {
                return Err(DisplayError::BoxOrder { index, corners });
            }
            let ([x0, y0], [x1, y1]) = (self.point(to, [x0, y0]), self.point(to, [x1, y1]));
            converted.push([x0, y0, x1, y1]);
        }
        Ok(converted)
    }

    fn point(&self, to: Space, [x, y]: [f32; 2]) -> [f32; 2] {
        let (from, to) = (self.size(to.other()), self.size(to));
        [convert(x, from.0, to.0), convert(y, from.1, to.1)]
    }
}

impl Space {
    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::Original => Self::Display,
            Self::Display => Self::Original,
        }
    }
}

/// Multiplied before it is divided, so that a whole length becomes exactly the other one.
fn convert(value: f32, from: u32, to: u32) -> f32 {
    let (from, to) = (f64::from(from), f64::from(to));
    (f64::from(value).clamp(0.0, from) * to / from) as f32
}

fn check_finite<const N: usize>(
    what: &'static str,
    index: usize,
    coordinates: [(&'static str, f32); N],
) -> Result<(), DisplayError> {
    let wrong = coordinates
        .into_iter()
        .find(|(_, value)| !value.is_finite());
    wrong.map_or(Ok(()), |(axis, value)| {
        Err(DisplayError::Coordinate {
            what,
            index,
            axis,
            value,
        })
    })
}
