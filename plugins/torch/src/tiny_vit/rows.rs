//! Feature maps in strips of rows.
//!
//! A feature map is `(H, W, C)`, its channels last, so that a 1×1 convolution is a matrix product on its cells and no
//! part needs another layout. The widest maps of the first stages are far larger than the caches of a processor; a
//! chain of layers is run on a strip of rows at a time, so that what lies between the layers is never written out.

use std::ops::Range;

use tch::Tensor;

use crate::error::Result;

/// Cells that a strip should have: at the widths of TinyViT the values between two layers then stay in cache.
pub const STRIP_CELLS: i64 = 4096;

/// The rows of a map in strips, first to last.
pub fn strips(height: i64, width: i64) -> impl Iterator<Item = Range<i64>> {
    let rows = (STRIP_CELLS / width).clamp(1, height);
    (0..height)
        .step_by(rows as usize)
        .map(move |start| start..(start + rows).min(height))
}

/// The rows that a 3×3 convolution with padding 1 needs for `rows` of its output; may reach over the edge by one.
pub fn needed(rows: &Range<i64>, stride: i64) -> Range<i64> {
    rows.start * stride - 1..(rows.end - 1) * stride + 2
}

/// The part of `rows` that is inside of a map.
pub fn inside(rows: &Range<i64>, height: i64) -> Range<i64> {
    rows.start.max(0)..rows.end.min(height)
}

/// Some rows of a map `(H, W, C)`.
pub fn take(map: &Tensor, rows: &Range<i64>) -> Result<Tensor> {
    Ok(map.f_narrow(0, rows.start, rows.end - rows.start)?)
}

/// Adds a row of zeros where `wanted` reaches over the edge of the map that `rows` were taken from.
pub fn pad(map: Tensor, rows: &Range<i64>, wanted: &Range<i64>) -> Result<Tensor> {
    let (above, below) = (rows.start - wanted.start, wanted.end - rows.end);
    if above == 0 && below == 0 {
        return Ok(map);
    }
    Ok(map.f_constant_pad_nd([0, 0, 0, 0, above, below])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_cover_every_row_once() {
        for (height, width) in [(256, 256), (100, 1000), (7, 5), (1, 1), (3, 9000)] {
            let rows: Vec<i64> = strips(height, width).flatten().collect();
            assert_eq!(rows, (0..height).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_convolution_needs_a_row_around_its_output() {
        assert_eq!(needed(&(4..6), 1), 3..7);
        assert_eq!(needed(&(0..2), 2), -1..4);
        assert_eq!(inside(&(-1..4), 4), 0..4);
    }
}
