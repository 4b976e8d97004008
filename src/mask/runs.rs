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

    /// Adds the foreground among pixels `start, start + 1, …`, given whether each is foreground.
    pub fn push_pixels(&mut self, start: u32, pixels: impl Iterator<Item = bool>) {
        let mut at = start;
        let mut open = None;
        for foreground in pixels {
            match (foreground, open) {
                (true, None) => open = Some(at),
                (false, Some(begin)) => {
                    self.push(begin, at);
                    open = None;
                }
                _ => {}
            }
            at += 1;
        }
        if let Some(begin) = open {
            self.push(begin, at);
        }
    }
}
