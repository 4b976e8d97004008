//! Area and box of a mask.

use super::MaskSource;

/// The smallest upright box around the foreground, in whole pixels. COCO's `bbox` is `[x, y, width, height]`; an empty
/// mask has `[0, 0, 0, 0]`, as in pycocotools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BoundingBox {
    /// Leftmost foreground column.
    pub x: u32,
    /// Topmost foreground row.
    pub y: u32,
    /// Columns from the leftmost to the rightmost foreground column, both included.
    pub width: u32,
    /// Rows from the topmost to the bottommost foreground row, both included.
    pub height: u32,
}

impl BoundingBox {
    /// `[x0, y0, x1, y1]` with `x1` and `y1` one past the last pixel: the corners of the box as a region.
    pub const fn corners(&self) -> [u32; 4] {
        [self.x, self.y, self.x + self.width, self.y + self.height]
    }
}

/// How much of the image a mask covers, and where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Foreground pixels.
    pub area: u64,
    /// Box around them.
    pub bounding_box: BoundingBox,
}

impl Extent {
    /// Measures a mask in one pass, without holding it.
    pub fn of(source: &impl MaskSource) -> Self {
        let mut area = 0;
        let (mut left, mut right) = (u32::MAX, 0);
        let (mut top, mut bottom) = (u32::MAX, 0);
        source.for_each_row(&mut |y, runs| {
            let [Some(first), Some(last)] = [runs.first(), runs.last()] else {
                return;
            };
            area += runs
                .iter()
                .map(|run| u64::from(run.end - run.start))
                .sum::<u64>();
            left = left.min(first.start);
            right = right.max(last.end);
            top = top.min(y);
            bottom = y + 1;
        });
        if area == 0 {
            return Self::default();
        }
        Self {
            area,
            bounding_box: BoundingBox {
                x: left,
                y: top,
                width: right - left,
                height: bottom - top,
            },
        }
    }
}
