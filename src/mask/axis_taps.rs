//! Bilinear interpolation along one axis as fixed taps.

use std::ops::Range;

/// Taps of an output. Two composed bilinear steps, the first of which does not shrink, touch at most three cells.
pub(super) const TAPS: usize = 3;

/// Source cells `start..start + TAPS` and their weights, which are not negative and sum to 1. Cells beyond the
/// interpolation's own have weight 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taps {
    pub start: u32,
    pub weights: [f32; TAPS],
}

/// Where each output of an axis comes from.
#[derive(Debug)]
pub(super) struct AxisTaps {
    taps: Vec<Taps>,
    /// Cells with a weight above 0, for each output. Both ends never decrease from one output to the next.
    windows: Vec<Range<u32>>,
    /// For each cell `c`, and one past the last: the number of outputs whose window starts before `c`.
    starting_before: Vec<u32>,
    /// For each cell `c`, and one past the last: the number of outputs whose window ends at or before `c`.
    ended_at: Vec<u32>,
}

/// Weights on neighbouring cells, in double precision while steps are composed.
#[derive(Clone, Copy)]
struct Pair {
    first: u32,
    second: u32,
    second_weight: f64,
}

impl AxisTaps {
    /// One step: `cells` to `outputs`.
    pub fn one_step(cells: u32, outputs: u32) -> Self {
        Self::from_weights(
            cells,
            (0..outputs).map(|output| {
                let pair = bilinear(cells, outputs, output);
                let mut dense = Dense::starting_at(pair.first);
                dense.add(pair, 1.0);
                dense
            }),
        )
    }

    /// Two steps with a crop between them: `cells` to `intermediate`, of which the first `kept` go to `outputs`.
    /// `intermediate` is not less than `cells`.
    pub fn two_steps(cells: u32, intermediate: u32, kept: u32, outputs: u32) -> Self {
        Self::from_weights(
            cells,
            (0..outputs).map(|output| {
                let outer = bilinear(kept, outputs, output);
                let first = bilinear(cells, intermediate, outer.first);
                let second = bilinear(cells, intermediate, outer.second);
                let mut dense = Dense::starting_at(first.first);
                dense.add(first, 1.0 - outer.second_weight);
                dense.add(second, outer.second_weight);
                dense
            }),
        )
    }

    fn from_weights(cells: u32, outputs: impl Iterator<Item = Dense>) -> Self {
        let (taps, windows): (Vec<_>, Vec<_>) = outputs
            .map(|dense| (dense.taps(cells), dense.window()))
            .unzip();
        let count_up_to = |ends: &dyn Fn(&Range<u32>) -> u32| {
            let mut counts = vec![0; cells as usize + 2];
            for window in &windows {
                counts[ends(window) as usize] += 1;
            }
            let mut sum = 0;
            for count in &mut counts {
                sum += *count;
                *count = sum;
            }
            counts
        };
        let ended_at = count_up_to(&|window| window.end);
        let starting_before = count_up_to(&|window| window.start + 1);
        Self {
            taps,
            windows,
            starting_before,
            ended_at,
        }
    }

    /// Taps of each output.
    pub fn taps(&self) -> &[Taps] {
        &self.taps
    }

    /// Cells that have a weight above 0 in an output.
    pub fn window(&self, output: u32) -> Range<u32> {
        self.windows[output as usize].clone()
    }

    /// Outputs that depend on nothing but `cells`.
    pub fn outputs_within(&self, cells: Range<u32>) -> Range<u32> {
        self.starting_before[cells.start as usize]..self.ended_at[cells.end as usize]
    }

    /// Bytes besides the struct itself.
    pub fn heap_bytes(&self) -> usize {
        size_of_val(&*self.taps)
            + size_of_val(&*self.windows)
            + size_of_val(&*self.starting_before)
            + size_of_val(&*self.ended_at)
    }

    /// Number of outputs.
    pub fn len(&self) -> u32 {
        self.taps.len() as u32
    }
}

/// Weights of one output on `start..start + 3`.
struct Dense {
    start: u32,
    weights: [f64; TAPS],
}

impl Dense {
    fn starting_at(start: u32) -> Self {
        Self {
            start,
            weights: [0.0; TAPS],
        }
    }

    fn add(&mut self, pair: Pair, share: f64) {
        self.weights[(pair.first - self.start) as usize] += share * (1.0 - pair.second_weight);
        // Where the second cell is outside (beyond the edge) its weight is 0, and it is the first cell again.
        self.weights[(pair.second - self.start) as usize] += share * pair.second_weight;
    }

    fn window(&self) -> Range<u32> {
        let in_use = |&k: &usize| self.weights[k] as f32 > 0.0;
        let first = (0..TAPS).find(in_use).expect("the weights sum to 1");
        let last = (0..TAPS).rfind(in_use).expect("the weights sum to 1");
        self.start + first as u32..self.start + last as u32 + 1
    }

    /// Moves the taps so that all of them lie inside the axis; those moved in have weight 0.
    fn taps(&self, cells: u32) -> Taps {
        let start = self.start.min(cells - TAPS as u32);
        let shift = (self.start - start) as usize;
        let mut weights = [0.0; TAPS];
        for (k, &weight) in self.weights[..TAPS - shift].iter().enumerate() {
            weights[k + shift] = weight as f32;
        }
        Taps { start, weights }
    }
}

/// The two cells and their weights as `torch.nn.functional.interpolate(mode="bilinear", align_corners=False)` has
/// them (`aten/src/ATen/native/UpSample.h`: `area_pixel_compute_source_index`, `guard_index_and_lambda`). The position
/// is computed in single precision as there: at index 3000 its rounding already moves a weight by 1e-4, and a mask
/// that is to agree pixel by pixel has to be rounded the same way.
fn bilinear(cells: u32, outputs: u32, output: u32) -> Pair {
    if cells == outputs {
        return Pair {
            first: output,
            second: output,
            second_weight: 0.0,
        };
    }
    let scale = cells as f32 / outputs as f32;
    let position = (scale * (output as f32 + 0.5) - 0.5).max(0.0);
    let first = (position as u32).min(cells - 1);
    Pair {
        first,
        second: (first + 1).min(cells - 1),
        second_weight: f64::from((position - first as f32).clamp(0.0, 1.0)),
    }
}
