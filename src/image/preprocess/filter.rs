//! Bilinear filter with antialiasing, along one axis.

use std::ops::Range;

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
    /// A triangle that covers two source samples when enlarging, and two output samples when shrinking. Follows
    /// Pillow's `precompute_coeffs` (`src/libImaging/Resample.c`) and so `_compute_indices_min_size_weights_aa` of
    /// PyTorch (`aten/src/ATen/native/cpu/UpSampleKernel.cpp`), which is modelled on it: weights in double precision,
    /// normalised where the triangle is cut off by the edge. `to_weight` brings them to their final type.
    pub fn bilinear(source_len: u32, output_len: u32, to_weight: impl Fn(f64) -> W) -> Self {
        let scale = f64::from(source_len) / f64::from(output_len);
        let support = scale.max(1.0);
        let slope = 1.0 / support;
        let mut filter = Self {
            windows: Vec::with_capacity(output_len as usize),
            weights: Vec::new(),
            max_len: 0,
        };
        let mut raw: Vec<f64> = Vec::new();
        for output in 0..output_len {
            let center = (f64::from(output) + 0.5) * scale;
            let start = (center - support + 0.5).max(0.0) as u32;
            let end = ((center + support + 0.5) as u32).min(source_len);
            raw.clear();
            raw.extend((0..end - start).map(|k| {
                let distance = (f64::from(k) + f64::from(start) - center + 0.5) * slope;
                (1.0 - distance.abs()).max(0.0)
            }));
            let sum: f64 = raw.iter().sum();
            filter.windows.push(Window {
                start: start as usize,
                len: raw.len(),
                offset: filter.weights.len(),
            });
            filter
                .weights
                .extend(raw.iter().map(|weight| to_weight(weight / sum)));
            filter.max_len = filter.max_len.max(raw.len());
        }
        filter
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
