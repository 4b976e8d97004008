//! Which cells of the logits are above a threshold, as bits.

use std::ops::Range;

/// One bit per cell, line after line: set where the logit exceeds the threshold.
#[derive(Debug)]
pub(super) struct SignBits {
    bits: Vec<u64>,
    words_per_line: usize,
    line_len: u32,
}

/// What the cells at one position have in common over several lines: the sign of what they exceed the threshold by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Positive,
    NotPositive,
    Mixed,
}

impl SignBits {
    /// Lines are the rows of `mask_size × mask_size` logits.
    pub fn of_rows(logits: &[f32], mask_size: u32, threshold: f32) -> Self {
        let words_per_line = mask_size.div_ceil(64) as usize;
        let mut bits = vec![0; words_per_line * mask_size as usize];
        let rows = logits.chunks_exact(mask_size as usize);
        for (line, row) in bits.chunks_exact_mut(words_per_line).zip(rows) {
            for (word, cells) in line.iter_mut().zip(row.chunks(64)) {
                for (bit, &logit) in cells.iter().enumerate() {
                    *word |= u64::from(logit > threshold) << bit;
                }
            }
        }
        Self {
            bits,
            words_per_line,
            line_len: mask_size,
        }
    }

    /// Calls `visit` with each stretch of positions that have the same sign over all of `lines`, from the first
    /// position to the last.
    pub fn for_each_stretch(&self, lines: Range<u32>, mut visit: impl FnMut(Range<u32>, Sign)) {
        let mut stretch = (0, None);
        for index in 0..self.words_per_line {
            let (all, any) = self.combine(lines.clone(), index);
            let base = index as u32 * 64;
            let end = self.line_len.min(base + 64);
            let mut at = base;
            while at < end {
                let shift = at - base;
                let (sign, same) = match (all >> shift & 1, any >> shift & 1) {
                    (1, _) => (Sign::Positive, (all >> shift).trailing_ones()),
                    (_, 0) => (Sign::NotPositive, (any >> shift).trailing_zeros()),
                    _ => (Sign::Mixed, ((any & !all) >> shift).trailing_ones()),
                };
                if stretch.1 != Some(sign) {
                    if let (begin, Some(previous)) = stretch {
                        visit(begin..at, previous);
                    }
                    stretch = (at, Some(sign));
                }
                at = end.min(at + same);
            }
        }
        if let (begin, Some(previous)) = stretch {
            visit(begin..self.line_len, previous);
        }
    }

    /// AND and OR of a word over lines.
    fn combine(&self, lines: Range<u32>, index: usize) -> (u64, u64) {
        lines.fold((u64::MAX, 0), |(all, any), line| {
            let word = self.bits[line as usize * self.words_per_line + index];
            (all & word, any | word)
        })
    }
}
