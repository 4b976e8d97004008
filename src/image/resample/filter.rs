//! What each output sample is made of, along one axis.

use std::ops::Range;

/// How samples between samples are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interpolation {
    /// The source sample under the centre of the output sample.
    Nearest,
    /// A weighted mean of two source samples when enlarging; when shrinking, of all that two output samples cover.
    Bilinear,
    /// The mean of what the output sample covers; source samples on its border count by the part that is covered.
    Area,
    /// Catmull-Rom: four source samples when enlarging; when shrinking, all that four output samples cover. Sharper than
    /// bilinear, and edges may overshoot.
    Cubic,
}

/// Source samples of each output, and their weights.
pub(super) struct Filter<W> {
    windows: Vec<Window>,
    weights: Vec<W>,
    max_len: usize,
}

struct Window {
    start: usize,
    len: usize,
    /// Where its weights begin.
    offset: usize,
}

impl<W> Filter<W> {
    /// The filter that brings `source_len` samples to `output_len`. Weights are found in double precision and brought to
    /// their final type by `to_weight`.
    pub fn new(
        interpolation: Interpolation,
        source_len: u32,
        output_len: u32,
        to_weight: impl Fn(f64) -> W,
    ) -> Self {
        match interpolation {
            Interpolation::Nearest => Self::nearest(source_len, output_len, to_weight),
            Interpolation::Area => Self::area(source_len, output_len, to_weight),
            Interpolation::Bilinear => {
                Self::convolution(source_len, output_len, 1.0, triangle, to_weight)
            }
            Interpolation::Cubic => {
                Self::convolution(source_len, output_len, 2.0, catmull_rom, to_weight)
            }
        }
    }

    fn nearest(source_len: u32, output_len: u32, to_weight: impl Fn(f64) -> W) -> Self {
        let mut filter = Self::with_capacity(output_len);
        for output in 0..output_len {
            let under_centre = nearest_source(output, source_len, output_len);
            filter.push(under_centre as usize, [to_weight(1.0)]);
        }
        filter
    }

    /// Positions are counted in parts of a source sample, `output_len` of them to each, so that all are whole.
    fn area(source_len: u32, output_len: u32, to_weight: impl Fn(f64) -> W) -> Self {
        let (covers, parts) = (u64::from(source_len), u64::from(output_len));
        let mut filter = Self::with_capacity(output_len);
        for output in 0..u64::from(output_len) {
            let (from, to) = (output * covers, (output + 1) * covers);
            let (start, end) = (from / parts, to.div_ceil(parts));
            let weights = (start..end).map(|k| {
                let covered = to.min((k + 1) * parts) - from.max(k * parts);
                to_weight(covered as f64 / covers as f64)
            });
            filter.push(start as usize, weights);
        }
        filter
    }

    /// A kernel that reaches `radius` source samples to either side when enlarging, and output samples when shrinking.
    /// Follows Pillow's `precompute_coeffs` (`src/libImaging/Resample.c`) and so `_compute_indices_min_size_weights_aa`
    /// of PyTorch (`aten/src/ATen/native/cpu/UpSampleKernel.cpp`), which is modelled on it: weights are normalised where
    /// the kernel is cut off by the edge.
    fn convolution(
        source_len: u32,
        output_len: u32,
        radius: f64,
        kernel: impl Fn(f64) -> f64,
        to_weight: impl Fn(f64) -> W,
    ) -> Self {
        let scale = f64::from(source_len) / f64::from(output_len);
        let stretch = scale.max(1.0);
        let support = radius * stretch;
        let slope = 1.0 / stretch;
        let mut filter = Self::with_capacity(output_len);
        let mut raw: Vec<f64> = Vec::new();
        for output in 0..output_len {
            let center = (f64::from(output) + 0.5) * scale;
            let start = (center - support + 0.5).max(0.0) as u32;
            let end = ((center + support + 0.5) as u32).min(source_len);
            raw.clear();
            raw.extend((0..end - start).map(|k| {
                let distance = (f64::from(k) + f64::from(start) - center + 0.5) * slope;
                kernel(distance.abs())
            }));
            let sum: f64 = raw.iter().sum();
            let weights = raw.iter().map(|weight| to_weight(weight / sum));
            filter.push(start as usize, weights);
        }
        filter
    }

    fn with_capacity(output_len: u32) -> Self {
        Self {
            windows: Vec::with_capacity(output_len as usize),
            weights: Vec::new(),
            max_len: 0,
        }
    }

    fn push(&mut self, start: usize, weights: impl IntoIterator<Item = W>) {
        let offset = self.weights.len();
        self.weights.extend(weights);
        let len = self.weights.len() - offset;
        self.windows.push(Window { start, len, offset });
        self.max_len = self.max_len.max(len);
    }

    /// Each output's source samples and their weights, in order. Neither end of the samples ever decreases.
    pub fn windows(&self) -> impl Iterator<Item = (Range<usize>, &[W])> {
        self.windows.iter().map(|window| {
            (
                window.start..window.start + window.len,
                &self.weights[window.offset..][..window.len],
            )
        })
    }

    /// Number of outputs.
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// Most source samples that an output has.
    pub fn max_len(&self) -> usize {
        self.max_len
    }
}

/// The source sample under the centre of an output sample.
pub fn nearest_source(output: u32, source_len: u32, output_len: u32) -> u32 {
    ((2 * u64::from(output) + 1) * u64::from(source_len) / (2 * u64::from(output_len))) as u32
}

fn triangle(distance: f64) -> f64 {
    (1.0 - distance).max(0.0)
}

/// Keys' cubic convolution with a = −1/2, as Pillow's `bicubic_filter`.
fn catmull_rom(distance: f64) -> f64 {
    if distance < 1.0 {
        (1.5 * distance - 2.5) * distance * distance + 1.0
    } else if distance < 2.0 {
        ((2.5 - 0.5 * distance) * distance - 4.0) * distance + 2.0
    } else {
        0.0
    }
}
