//! A mask as runs of foreground, line by line.

/// Consecutive foreground pixels of a line: `start..end`, never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// First pixel.
    pub start: u32,
    /// One past the last pixel.
    pub end: u32,
}

/// A mask that can be read line by line. The runs of a line are in order and do not touch each other. Implemented by
/// the masks of this library, whose sizes are checked.
pub trait MaskSource: sealed::Sealed {
    /// Columns.
    fn width(&self) -> u32;

    /// Rows.
    fn height(&self) -> u32;

    /// Calls `visit` with each row's index and runs, from the top; every row is visited, empty ones too.
    fn for_each_row(&self, visit: &mut dyn FnMut(u32, &[Run]));

    /// Calls `visit` with each column's index and runs, from the left; every column is visited, empty ones too.
    fn for_each_column(&self, visit: &mut dyn FnMut(u32, &[Run]));
}

pub(super) mod sealed {
    pub trait Sealed {}
}

/// The runs of one line while they are found, from left to right.
#[derive(Debug, Default)]
pub(super) struct RunLine {
    runs: Vec<Run>,
}

impl RunLine {
    pub fn clear(&mut self) {
        self.runs.clear();
    }

    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Adds foreground at or after everything added so far.
    pub fn push(&mut self, start: u32, end: u32) {
        match self.runs.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => self.runs.push(Run { start, end }),
        }
    }

    /// Adds the foreground among the `count` pixels from `start` on. `foreground` tells it of each, counted from 0.
    ///
    /// Pixels are gathered as bits, 64 at a time, and only the ends of runs are looked at one by one: a branch on every
    /// pixel of a ragged outline would be guessed wrong too often.
    pub fn push_pixels(&mut self, start: u32, count: usize, foreground: impl Fn(usize) -> bool) {
        const BITS: usize = u64::BITS as usize;
        let mut open = None;
        for first in (0..count).step_by(BITS) {
            let bits = (first..count.min(first + BITS))
                .enumerate()
                .fold(0, |bits, (bit, pixel)| {
                    bits | u64::from(foreground(pixel)) << bit
                });
            // A bit differs from the one before it where a run begins or ends.
            let mut ends = bits ^ (bits << 1 | u64::from(open.is_some()));
            while ends != 0 {
                let bit = ends.trailing_zeros() as usize;
                let at = start + (first + bit) as u32;
                ends &= ends - 1;
                match open.take() {
                    // Past the last pixel the bits are 0, so a run that ends with it ends here as well.
                    Some(begin) => self.push(begin, at),
                    None => open = Some(at),
                }
            }
        }
        if let Some(begin) = open {
            self.push(begin, start + count as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs_of(pixels: &[bool]) -> Vec<(u32, u32)> {
        let mut line = RunLine::default();
        line.push_pixels(10, pixels.len(), |at| pixels[at]);
        line.runs().iter().map(|run| (run.start, run.end)).collect()
    }

    #[test]
    fn runs_that_cross_begin_or_end_at_a_boundary_of_64_pixels_are_whole() {
        for (start, end) in [
            (0, 1),
            (60, 70),
            (64, 65),
            (63, 64),
            (0, 128),
            (5, 200),
            (127, 129),
            (199, 200),
        ] {
            let pixels: Vec<bool> = (0..200).map(|at| (start..end).contains(&at)).collect();
            assert_eq!(runs_of(&pixels), [(10 + start, 10 + end)]);
        }
    }

    #[test]
    fn every_second_pixel_is_a_run_of_its_own_and_nothing_gives_no_run() {
        let pixels: Vec<bool> = (0..131).map(|at| at % 2 == 0).collect();
        assert_eq!(runs_of(&pixels).len(), 66);
        assert!(runs_of(&[false; 130]).is_empty() && runs_of(&[]).is_empty());
    }
}
