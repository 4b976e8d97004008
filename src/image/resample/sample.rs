//! The arithmetic of resizing: Pillow's on bytes, PyTorch's on floats.

/// A sample of a resized image, and how weighted sums of such are formed.
pub trait Sample: Copy + Default {
    /// What a source sample is multiplied by.
    type Weight: Copy;
    /// A sum in progress.
    type Sum: Copy;
    /// The sum of nothing, with what rounding needs.
    const ZERO: Self::Sum;

    fn from_byte(byte: u8) -> Self;
    fn weight(weight: f64) -> Self::Weight;
    fn add(sum: &mut Self::Sum, sample: Self, weight: Self::Weight);
    fn finish(sum: Self::Sum) -> Self;

    /// Whether the pass down the columns comes first, given `(width, height)` before and after.
    fn columns_first(from: (u32, u32), to: (u32, u32)) -> bool;
}

/// Bits after the point of Pillow's weights: 32, less 8 for the sample, less 2 for sign and overshoot.
const PILLOW_PRECISION: u32 = 32 - 8 - 2;

/// As Pillow's `ImagingResampleHorizontal_8bpc`, `normalize_coeffs_8bpc` and `clip8`. Weights with fewer bits, such as
/// the 16 of SIMD resizers, round up to a quarter of all samples differently (by 1), and the encoder would see another
/// image than SAM's.
impl Sample for u8 {
    type Weight = i32;
    type Sum = i32;
    const ZERO: i32 = 1 << (PILLOW_PRECISION - 1);

    fn from_byte(byte: u8) -> Self {
        byte
    }

    fn weight(weight: f64) -> i32 {
        (weight * f64::from(1 << PILLOW_PRECISION) + 0.5_f64.copysign(weight)) as i32
    }

    fn add(sum: &mut i32, sample: u8, weight: i32) {
        *sum += i32::from(sample) * weight;
    }

    fn finish(sum: i32) -> u8 {
        (sum >> PILLOW_PRECISION).clamp(0, 255) as u8
    }

    /// Since Pillow 13, `ImagingResampleInner` begins with the columns where they lose more than twice as many pixels
    /// as the rows. Before, it always began with the rows; for such tall images the result differs by 1 in some samples.
    fn columns_first(from: (u32, u32), to: (u32, u32)) -> bool {
        let lost = |from: u32, to: u32| i64::from(from) - i64::from(to);
        let (columns_lose, rows_lose) = (lost(from.1, to.1), lost(from.0, to.0));
        columns_lose > 0 && columns_lose > 2 * rows_lose
    }
}

/// As PyTorch: 8-bit values are divided by 255 first, everything after is single precision.
impl Sample for f32 {
    type Weight = f32;
    type Sum = f32;
    const ZERO: f32 = 0.0;

    fn from_byte(byte: u8) -> Self {
        f32::from(byte) / 255.0
    }

    fn weight(weight: f64) -> f32 {
        weight as f32
    }

    fn add(sum: &mut f32, sample: f32, weight: f32) {
        *sum += sample * weight;
    }

    fn finish(sum: f32) -> f32 {
        sum
    }

    fn columns_first(_from: (u32, u32), _to: (u32, u32)) -> bool {
        false
    }
}
