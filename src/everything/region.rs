//! Small regions and holes, in finished masks and in logits.
//!
//! Both work on runs of pixels that touch each other, so that no mask of the image's size is drawn.

use std::cmp::Reverse;

use crate::mask::{MaskSource, Rle, Run};

/// Runs, line by line.
#[derive(Default)]
struct Lines {
    runs: Vec<Run>,
    /// How many runs there are up to the end of each line.
    ends: Vec<usize>,
}

/// Which runs are connected, over sides and corners (as `cv2.connectedComponents` with 8 ways).
struct Components {
    /// The component of each run.
    of_run: Vec<usize>,
    areas: Vec<u64>,
    /// Where OpenCV comes across a component first, which is how it numbers them: the first block of 2 × 2 pixels.
    first_blocks: Vec<(u32, u32)>,
}

impl Lines {
    /// Columns of a mask: its foreground, or its background.
    fn columns(mask: &Rle, background: bool) -> Self {
        let mut lines = Self::default();
        let height = mask.height();
        mask.for_each_column(&mut |_, runs| {
            if background {
                lines.push_gaps(runs, height);
            } else {
                lines.runs.extend_from_slice(runs);
            }
            lines.ends.push(lines.runs.len());
        });
        lines
    }

    /// Rows of `side × side` logits: where they are above a threshold, or where they are not.
    fn rows(logits: &[f32], side: usize, threshold: f32, background: bool) -> Self {
        let mut lines = Self::default();
        for row in logits.chunks_exact(side) {
            let mut start = 0;
            for same in row.chunk_by(|&a, &b| (a > threshold) == (b > threshold)) {
                let end = start + same.len() as u32;
                if (same[0] > threshold) != background {
                    lines.runs.push(Run { start, end });
                }
                start = end;
            }
            lines.ends.push(lines.runs.len());
        }
        lines
    }

    fn push_gaps(&mut self, runs: &[Run], length: u32) {
        let mut start = 0;
        for run in runs {
            if run.start > start {
                self.runs.push(Run {
                    start,
                    end: run.start,
                });
            }
            start = run.end;
        }
        if start < length {
            self.runs.push(Run { start, end: length });
        }
    }

    /// Each line's runs, and the number of the first.
    fn each(&self) -> impl Iterator<Item = (usize, &[Run])> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, &end)| (start, &self.runs[start..end]))
    }

    fn components(&self) -> Components {
        let mut roots: Vec<usize> = (0..self.runs.len()).collect();
        let mut before: (usize, &[Run]) = (0, &[]);
        for line in self.each() {
            join(&mut roots, before, line);
            before = line;
        }
        let mut numbers = vec![usize::MAX; roots.len()];
        let mut found = Components {
            of_run: Vec::with_capacity(roots.len()),
            areas: Vec::new(),
            first_blocks: Vec::new(),
        };
        for (line, (first, runs)) in self.each().enumerate() {
            for (index, run) in (first..).zip(runs) {
                let root = root_of(&mut roots, index);
                if numbers[root] == usize::MAX {
                    numbers[root] = found.areas.len();
                    found.areas.push(0);
                    found.first_blocks.push((u32::MAX, u32::MAX));
                }
                let number = numbers[root];
                found.of_run.push(number);
                found.areas[number] += u64::from(run.end - run.start);
                let block = (run.start / 2, line as u32 / 2);
                found.first_blocks[number] = found.first_blocks[number].min(block);
            }
        }
        found
    }
}

/// Joins the runs of two neighbouring lines that touch.
fn join(
    roots: &mut [usize],
    (above_first, above): (usize, &[Run]),
    (first, line): (usize, &[Run]),
) {
    let (mut i, mut j) = (0, 0);
    while i < above.len() && j < line.len() {
        let (a, b) = (above[i], line[j]);
        if a.start <= b.end && b.start <= a.end {
            let (one, other) = (root_of(roots, above_first + i), root_of(roots, first + j));
            roots[one.max(other)] = one.min(other);
        }
        if a.end < b.end { i += 1 } else { j += 1 }
    }
}

fn root_of(roots: &mut [usize], mut index: usize) -> usize {
    while roots[index] != index {
        roots[index] = roots[roots[index]];
        index = roots[index];
    }
    index
}

/// Fills the holes of a mask that have fewer than `min_area` pixels, then removes its regions that have; of a mask with
/// none as large the largest one stays. `None` when there was nothing to do
/// (`segment_anything/utils/amg.py: remove_small_regions`).
pub(super) fn without_small_regions(mask: &Rle, min_area: u64) -> Option<Rle> {
    let filled = fill_small_holes(mask, min_area);
    let cleared = remove_small_islands(filled.as_ref().unwrap_or(mask), min_area);
    cleared.or(filled)
}

fn fill_small_holes(mask: &Rle, min_area: u64) -> Option<Rle> {
    let background = Lines::columns(mask, true);
    let holes = background.components();
    keep(
        mask,
        &background,
        &holes,
        |hole| holes.areas[hole] < min_area,
        true,
    )
}

fn remove_small_islands(mask: &Rle, min_area: u64) -> Option<Rle> {
    let foreground = Lines::columns(mask, false);
    let islands = foreground.components();
    if islands.areas.iter().any(|&area| area >= min_area) {
        return keep(
            mask,
            &foreground,
            &islands,
            |island| islands.areas[island] < min_area,
            false,
        );
    }
    let rank = |&island: &usize| (islands.areas[island], Reverse(islands.first_blocks[island]));
    let largest = (0..islands.areas.len()).max_by_key(rank)?;
    let changed = keep(
        mask,
        &foreground,
        &islands,
        |island| island != largest,
        false,
    );
    // The official code counts a mask as changed that has one region, smaller than asked for, which stays.
    changed.or_else(|| Some(mask.clone()))
}

/// The mask with the components that `chosen` names turned over: background made foreground with `add`, else foreground made
/// background. `None` when no component is chosen.
fn keep(
    mask: &Rle,
    lines: &Lines,
    components: &Components,
    chosen: impl Fn(usize) -> bool,
    add: bool,
) -> Option<Rle> {
    let chosen: Vec<bool> = (0..components.areas.len()).map(chosen).collect();
    if !chosen.contains(&true) {
        return None;
    }
    let wanted = |run: usize| chosen[components.of_run[run]] == add;
    let mut columns: Vec<Vec<Run>> = lines
        .each()
        .map(|(first, runs)| {
            let of_column = (first..).zip(runs).filter(|(index, _)| wanted(*index));
            of_column.map(|(_, run)| *run).collect()
        })
        .collect();
    if add {
        mask.for_each_column(&mut |x, runs| {
            let column = &mut columns[x as usize];
            *column = merge(runs, column);
        });
    }
    Some(Rle::from_columns(mask.height(), &columns))
}

/// Runs of two lists that do not overlap, in order; those that touch become one.
fn merge(a: &[Run], b: &[Run]) -> Vec<Run> {
    let mut all: Vec<Run> = a.iter().chain(b).copied().collect();
    all.sort_unstable_by_key(|run| run.start);
    all.dedup_by(|next, run| {
        let touches = run.end == next.start;
        if touches {
            run.end = next.end;
        }
        touches
    });
    all
}

/// What is written into logits where a hole is filled, and the negative of it where a region is removed.
const CERTAIN: f32 = 10.0;

/// Fills holes of at most `max_area` cells in `side × side` logits and removes regions of at most as many, both as they are
/// before (`sam2/utils/transforms.py: SAM2Transforms.postprocess_masks`, whose threshold is always 0).
pub(super) fn clean_logits(logits: &mut [f32], side: usize, max_area: u64) {
    let mut turned = Vec::new();
    for (background, value) in [(true, CERTAIN), (false, -CERTAIN)] {
        let lines = Lines::rows(logits, side, 0.0, background);
        let components = lines.components();
        for (y, (first, runs)) in lines.each().enumerate() {
            for (index, run) in (first..).zip(runs) {
                if components.areas[components.of_run[index]] <= max_area {
                    let cells = y * side + run.start as usize..y * side + run.end as usize;
                    turned.push((cells, value));
                }
            }
        }
    }
    for (cells, value) in turned {
        logits[cells].fill(value);
    }
}
