//! A mask that is still logits.

use std::{borrow::Cow, ops::Range};

use super::{
    Bitmask, Extent, MaskError, MaskSource, PolygonOptions, Polygons, Rle, Run, Upsampler,
    axis_taps::{AxisTaps, TAPS, Taps},
    bitmask,
    runs::{RunLine, sealed::Sealed},
    sign_bits::{Sign, SignBits},
};

/// Logits are held to this magnitude, so that sums stay finite. What a decoder puts out is far below.
const LOGIT_LIMIT: f32 = 1e30;

/// Low-resolution logits seen at the size of an image: foreground is where the interpolated logit exceeds a threshold,
/// which is 0 unless another is given.
///
/// A pixel's taps are never negative and sum to 1, so where all logits under it lie on one side of the threshold its value
/// is known. Only pixels along the outline are interpolated; everything else comes as runs. With the threshold 0 the result
/// is the same, bit for bit, as if every pixel had been computed; with another, rounding can tell the two apart where all
/// logits under a pixel lie within 1e-6 of it.
///
/// A NaN logit is background, and so is every pixel it contributes to.
#[derive(Clone, Debug)]
pub struct LogitMask<'a> {
    upsampler: &'a Upsampler,
    logits: Cow<'a, [f32]>,
    threshold: f32,
}

impl<'a> LogitMask<'a> {
    /// Takes `[mask_size][mask_size]` logits of one mask.
    ///
    /// # Errors
    /// [`MaskError::LogitCount`].
    pub fn new(upsampler: &'a Upsampler, logits: &'a [f32]) -> Result<Self, MaskError> {
        let mask_size = upsampler.mask_size();
        let needed = mask_size as usize * mask_size as usize;
        if logits.len() != needed {
            return Err(MaskError::LogitCount {
                given: logits.len(),
                needed,
                mask_size,
            });
        }
        Ok(Self {
            upsampler,
            logits: bounded(logits),
            threshold: 0.0,
        })
    }

    /// The same logits with foreground where they exceed `threshold`. NaN, which nothing exceeds, gives an empty mask.
    pub fn with_threshold(self, threshold: f32) -> Self {
        Self { threshold, ..self }
    }

    /// Foreground pixels.
    pub fn area(&self) -> u64 {
        let mut area = 0;
        self.for_each_row(&mut |_, runs| {
            area += runs
                .iter()
                .map(|run| u64::from(run.end - run.start))
                .sum::<u64>();
        });
        area
    }

    /// Full-size mask of 0 and 1.
    ///
    /// # Errors
    /// [`MaskError::OutOfMemory`].
    pub fn bitmask(&self) -> Result<Bitmask, MaskError> {
        Bitmask::from_source(self)
    }

    /// Writes the full-size mask to a buffer: `on` for foreground, 0 for background, rows `row_stride` bytes apart.
    /// Bytes between a row's end and the next row are left alone.
    ///
    /// # Errors
    /// [`MaskError::StrideTooShort`] or [`MaskError::BufferTooShort`]; nothing is written then.
    pub fn write_to(&self, buffer: &mut [u8], row_stride: usize, on: u8) -> Result<(), MaskError> {
        bitmask::write_source(self, buffer, row_stride, on)
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

    /// The logits, each row `mask_size` long.
    fn row(&self, y: u32) -> &[f32] {
        let mask_size = self.upsampler.mask_size() as usize;
        &self.logits[y as usize * mask_size..][..mask_size]
    }

    /// Rows of logits under a row of pixels.
    fn rows_of(&self, taps: &Taps) -> [&[f32]; TAPS] {
        [0, 1, 2].map(|k| self.row(taps.start + k))
    }
}

impl Sealed for LogitMask<'_> {}

impl MaskSource for LogitMask<'_> {
    fn width(&self) -> u32 {
        self.upsampler.width()
    }

    fn height(&self) -> u32 {
        self.upsampler.height()
    }

    fn for_each_row(&self, visit: &mut dyn FnMut(u32, &[Run])) {
        let Upsampler { columns, rows, .. } = self.upsampler;
        let signs = SignBits::of_rows(&self.logits, self.upsampler.mask_size(), self.threshold);
        let mut blended = vec![0.0; self.upsampler.mask_size() as usize];
        scan(&signs, rows, columns, visit, |y, pixels, line| {
            let down = &rows.taps()[y as usize];
            let across = &columns.taps()[pixels.start as usize..pixels.end as usize];
            let (first, last) = (across[0].start, across[across.len() - 1].start);
            let cells = first as usize..last as usize + TAPS;
            let [a, b, c] = self.rows_of(down).map(|row| &row[cells.clone()]);
            let blended = &mut blended[cells.clone()];
            for (i, value) in blended.iter_mut().enumerate() {
                *value = weigh(&down.weights, [a[i], b[i], c[i]]);
            }
            line.push_pixels(pixels.start, across.len(), |x| {
                let taps = &across[x];
                let cells = &blended[(taps.start - first) as usize..][..TAPS];
                weigh(&taps.weights, [cells[0], cells[1], cells[2]]) > self.threshold
            });
        });
    }

    fn for_each_column(&self, visit: &mut dyn FnMut(u32, &[Run])) {
        let Upsampler { columns, rows, .. } = self.upsampler;
        let mask_size = self.upsampler.mask_size() as usize;
        let transposed = transposed(&self.logits, mask_size);
        let signs = SignBits::of_rows(&transposed, self.upsampler.mask_size(), self.threshold);
        scan(&signs, columns, rows, visit, |x, pixels, line| {
            let across = &columns.taps()[x as usize];
            let cells = [0, 1, 2].map(|k| {
                let column = across.start as usize + k;
                &transposed[column * mask_size..][..mask_size]
            });
            let down = &rows.taps()[pixels.start as usize..pixels.end as usize];
            line.push_pixels(pixels.start, down.len(), |y| {
                let taps = &down[y];
                // Down first, as in `for_each_row`: the rounding, and so the mask, is the same both ways.
                let blended = cells.map(|column| {
                    let column = &column[taps.start as usize..][..TAPS];
                    weigh(&taps.weights, [column[0], column[1], column[2]])
                });
                weigh(&across.weights, blended) > self.threshold
            });
        });
    }
}

/// A stretch of a line whose pixels are all foreground, or have to be computed.
enum Stretch {
    Foreground(Range<u32>),
    Outline(Range<u32>),
}

/// Visits the lines along `lines`, each `along` pixels long. `compute` adds the runs of pixels that the signs alone do
/// not tell.
fn scan(
    signs: &SignBits,
    lines: &AxisTaps,
    along: &AxisTaps,
    visit: &mut dyn FnMut(u32, &[Run]),
    mut compute: impl FnMut(u32, Range<u32>, &mut RunLine),
) {
    let mut window = 0..0;
    let mut stretches = Vec::new();
    let mut line = RunLine::default();
    for index in 0..lines.len() {
        // Neighbouring lines mostly lie over the same cells.
        if window != lines.window(index) {
            window = lines.window(index);
            find_stretches(signs, window.clone(), along, &mut stretches);
        }
        line.clear();
        for stretch in &stretches {
            match stretch {
                Stretch::Foreground(pixels) => line.push(pixels.start, pixels.end),
                Stretch::Outline(pixels) => compute(index, pixels.clone(), &mut line),
            }
        }
        visit(index, line.runs());
    }
}

/// What the signs of the logits in the lines of cells `window` tell about the pixels of a line.
fn find_stretches(
    signs: &SignBits,
    window: Range<u32>,
    along: &AxisTaps,
    stretches: &mut Vec<Stretch>,
) {
    stretches.clear();
    let mut known_to = 0;
    signs.for_each_stretch(window, |cells, sign| {
        let pixels = along.outputs_within(cells);
        if sign == Sign::Mixed || pixels.is_empty() {
            return;
        }
        if known_to < pixels.start {
            stretches.push(Stretch::Outline(known_to..pixels.start));
        }
        known_to = pixels.end;
        if sign == Sign::Positive {
            stretches.push(Stretch::Foreground(pixels));
        }
    });
    if known_to < along.len() {
        stretches.push(Stretch::Outline(known_to..along.len()));
    }
}

fn weigh(weights: &[f32; TAPS], values: [f32; TAPS]) -> f32 {
    weights[0] * values[0] + weights[1] * values[1] + weights[2] * values[2]
}

/// Columns as rows.
fn transposed(logits: &[f32], mask_size: usize) -> Vec<f32> {
    /// Columns at a time: a cache line of them.
    const BLOCK: usize = 16;
    let mut transposed = vec![0.0; logits.len()];
    for left in (0..mask_size).step_by(BLOCK) {
        for (y, row) in logits.chunks_exact(mask_size).enumerate() {
            for (x, &logit) in (left..mask_size).zip(&row[left..]).take(BLOCK) {
                transposed[x * mask_size + y] = logit;
            }
        }
    }
    transposed
}

/// The logits as they are when all are of sane size, else a copy in which they are.
fn bounded(logits: &[f32]) -> Cow<'_, [f32]> {
    if logits.iter().all(|logit| logit.abs() <= LOGIT_LIMIT) {
        return Cow::Borrowed(logits);
    }
    let bound = |&logit: &f32| {
        if logit.is_nan() {
            -LOGIT_LIMIT
        } else {
            logit.clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
        }
    };
    Cow::Owned(logits.iter().map(bound).collect())
}
