//! Run-length encoding as COCO has it.
//!
//! Pixels are counted down the columns, from the leftmost: background first (0 if the first pixel is foreground),
//! then foreground and background in turn. The compressed form is pycocotools' (`common/maskApi.c: rleToString`): each
//! count as a signed number in groups of 5 bits, the fourth and later ones as difference to the one two before.

use super::{
    Bitmask, BoundingBox, Extent, MaskError, MaskSource, PolygonOptions, Polygons, Run, bitmask,
    error::check_size,
    runs::{RunLine, sealed::Sealed},
};

/// A mask as COCO's counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rle {
    width: u32,
    height: u32,
    counts: Vec<u32>,
}

impl Rle {
    /// Encodes a mask, column by column, without holding it.
    pub fn encode(source: &impl MaskSource) -> Self {
        let mut counts = Counts::new(source.width(), source.height());
        source.for_each_column(&mut |x, runs| {
            for run in runs {
                counts.push(x, *run);
            }
        });
        counts.finish()
    }

    /// Encodes a mask of a part of an image as one of the whole image, with nothing outside of the part; its area and box
    /// besides, as they come on the way. `(x0, y0)` is where the part's first pixel is in the image of `(width, height)`,
    /// and the part lies inside.
    pub fn encode_part(
        source: &impl MaskSource,
        (x0, y0): (u32, u32),
        (width, height): (u32, u32),
    ) -> (Self, Extent) {
        let mut counts = Counts::new(width, height);
        let mut area = 0;
        let (mut left, mut right) = (u32::MAX, 0);
        let (mut top, mut bottom) = (u32::MAX, 0);
        source.for_each_column(&mut |x, runs| {
            let [Some(first), Some(last)] = [runs.first(), runs.last()] else {
                return;
            };
            left = left.min(x);
            right = x + 1;
            top = top.min(first.start);
            bottom = bottom.max(last.end);
            for run in runs {
                area += u64::from(run.end - run.start);
                let (start, end) = (run.start + y0, run.end + y0);
                counts.push(x + x0, Run { start, end });
            }
        });
        let mut extent = Extent::default();
        if area > 0 {
            extent.area = area;
            extent.bounding_box = BoundingBox {
                x: left + x0,
                y: top + y0,
                width: right - left,
                height: bottom - top,
            };
        }
        (counts.finish(), extent)
    }

    /// Takes the runs of each column, of a mask whose size is possible. They are in order and do not touch.
    pub(crate) fn from_columns(height: u32, columns: &[Vec<Run>]) -> Self {
        let mut counts = Counts::new(columns.len() as u32, height);
        for (x, runs) in (0..).zip(columns) {
            for run in runs {
                counts.push(x, *run);
            }
        }
        counts.finish()
    }

    /// Takes counts of background and foreground in turn.
    ///
    /// # Errors
    /// [`MaskError::Size`], or [`MaskError::RleLength`] when they do not add up to `width × height`.
    pub fn from_counts(width: u32, height: u32, counts: Vec<u32>) -> Result<Self, MaskError> {
        check_size(width, height)?;
        let sum = counts.iter().map(|&count| u64::from(count)).sum();
        let needed = u64::from(width) * u64::from(height);
        if sum != needed {
            return Err(MaskError::RleLength {
                sum,
                needed,
                width,
                height,
            });
        }
        Ok(Self {
            width,
            height,
            counts,
        })
    }

    /// Reads the compressed form.
    ///
    /// # Errors
    /// [`MaskError::RleCharacter`] or [`MaskError::RleCount`] for text that is no such form, and as
    /// [`Rle::from_counts`].
    pub fn from_compressed(width: u32, height: u32, text: &str) -> Result<Self, MaskError> {
        let mut counts: Vec<u32> = Vec::new();
        let bytes = text.as_bytes();
        let mut position = 0;
        while position < bytes.len() {
            let (mut count, length) = read_number(bytes, position)?;
            if counts.len() > 2 {
                count += i64::from(counts[counts.len() - 2]);
            }
            counts.push(u32::try_from(count).map_err(|_| MaskError::RleCount { position })?);
            position += length;
        }
        Self::from_counts(width, height, counts)
    }

    /// Columns of the mask.
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Rows of the mask.
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// Pixels of background and foreground in turn, background first. COCO's uncompressed `counts`.
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// Foreground pixels.
    pub fn area(&self) -> u64 {
        self.counts
            .iter()
            .skip(1)
            .step_by(2)
            .map(|&count| u64::from(count))
            .sum()
    }

    /// Runs of foreground, counted down the columns.
    fn runs(&self) -> impl Iterator<Item = Run> {
        let mut at = 0;
        self.counts.chunks(2).filter_map(move |pair| {
            let start = at + pair[0];
            let length = pair.get(1).copied().unwrap_or(0);
            at = start + length;
            (length > 0).then_some(Run { start, end: at })
        })
    }

    /// COCO's compressed `counts`, byte for byte what `pycocotools.mask.encode` gives.
    pub fn to_compressed(&self) -> String {
        let mut text = String::with_capacity(self.counts.len() * 2);
        for (i, &count) in self.counts.iter().enumerate() {
            let base = if i > 2 { self.counts[i - 2] } else { 0 };
            write_number(&mut text, i64::from(count) - i64::from(base));
        }
        text
    }

    /// Area and box.
    pub fn extent(&self) -> Extent {
        Extent::of(self)
    }

    /// Writes the mask to a buffer: `on` for foreground, 0 for background, rows `row_stride` bytes apart. Bytes between a
    /// row's end and the next row are left alone.
    ///
    /// # Errors
    /// [`MaskError::StrideTooShort`] or [`MaskError::BufferTooShort`]; nothing is written then.
    pub fn write_to(&self, buffer: &mut [u8], row_stride: usize, on: u8) -> Result<(), MaskError> {
        bitmask::write_source(self, buffer, row_stride, on)
    }

    /// Outlines.
    ///
    /// # Errors
    /// [`MaskError::Tolerance`] or [`MaskError::OutOfMemory`].
    pub fn polygons(&self, options: &PolygonOptions) -> Result<Polygons, MaskError> {
        Polygons::trace(self, options)
    }

    /// Draws the mask.
    ///
    /// # Errors
    /// [`MaskError::OutOfMemory`].
    pub fn decode(&self) -> Result<Bitmask, MaskError> {
        let mut mask = Bitmask::background(self.width, self.height)?;
        let mut at = 0;
        for (i, &count) in self.counts.iter().enumerate() {
            if i % 2 == 1 {
                mask.set_column_major(at, at + count);
            }
            at += count;
        }
        Ok(mask)
    }
}

impl Sealed for Rle {}

impl MaskSource for Rle {
    fn width(&self) -> u32 {
        self.width
    }

    fn height(&self) -> u32 {
        self.height
    }

    fn for_each_column(&self, visit: &mut dyn FnMut(u32, &[Run])) {
        let mut line = RunLine::default();
        let mut runs = self.runs();
        // What is left of a run that goes on in the next column.
        let mut pending = runs.next();
        for x in 0..self.width {
            line.clear();
            let (top, below) = (x * self.height, (x + 1) * self.height);
            while let Some(run) = pending.filter(|run| run.start < below) {
                line.push(run.start - top, run.end.min(below) - top);
                pending = if run.end > below {
                    Some(Run {
                        start: below,
                        end: run.end,
                    })
                } else {
                    runs.next()
                };
            }
            visit(x, line.runs());
        }
    }

    /// Takes a bit a column, and sixteen bytes for each run of a column.
    fn for_each_row(&self, visit: &mut dyn FnMut(u32, &[Run])) {
        // Columns in which the foreground begins or ends with a row, by row.
        let mut turns = Vec::new();
        self.for_each_column(&mut |x, runs| {
            for run in runs {
                turns.extend([(run.start, x), (run.end, x)]);
            }
        });
        turns.sort_unstable();
        let mut turns = turns.into_iter().peekable();
        let mut columns = vec![0_u64; self.width.div_ceil(u64::BITS) as usize];
        let mut line = RunLine::default();
        for y in 0..self.height {
            let mut changed = false;
            while let Some((_, x)) = turns.next_if(|&(row, _)| row == y) {
                columns[(x / u64::BITS) as usize] ^= 1 << (x % u64::BITS);
                changed = true;
            }
            if changed {
                line.clear();
                line.push_pixels(0, self.width as usize, |x| {
                    columns[x / 64] >> (x % 64) & 1 == 1
                });
            }
            visit(y, line.runs());
        }
    }
}

/// Counts of a mask whose runs come column by column.
struct Counts {
    width: u32,
    height: u32,
    counts: Vec<u32>,
    counted: u32,
}

impl Counts {
    fn new(width: u32, height: u32) -> Self {
        Self {
            width,
            height,
            counts: Vec::new(),
            counted: 0,
        }
    }

    /// Adds foreground of column `x`, after everything added so far.
    fn push(&mut self, x: u32, run: Run) {
        let (start, end) = (x * self.height + run.start, x * self.height + run.end);
        match self.counts.last_mut() {
            // The foreground goes on from the last pixel of the column before.
            Some(foreground) if start == self.counted => *foreground += end - start,
            _ => self.counts.extend([start - self.counted, end - start]),
        }
        self.counted = end;
    }

    fn finish(mut self) -> Rle {
        let all = self.width * self.height;
        if self.counted < all {
            self.counts.push(all - self.counted);
        }
        Rle {
            width: self.width,
            height: self.height,
            counts: self.counts,
        }
    }
}

/// Added to each group so that the text is printable.
const FIRST_CHARACTER: u8 = 48;
/// Set in a group that is not the last of its number.
const MORE: u8 = 0x20;
/// Sign of the last group, which extends to all higher bits.
const SIGN: u8 = 0x10;

fn write_number(text: &mut String, mut number: i64) {
    loop {
        let group = (number & 0x1f) as u8;
        number >>= 5;
        let last = number == if group & SIGN != 0 { -1 } else { 0 };
        let group = if last { group } else { group | MORE };
        text.push(char::from(group + FIRST_CHARACTER));
        if last {
            return;
        }
    }
}

/// The number that begins at `start`, and how many bytes it takes.
fn read_number(bytes: &[u8], start: usize) -> Result<(i64, usize), MaskError> {
    /// Groups that 33 bits, a difference of two counts, can take.
    const MAX_GROUPS: usize = 7;
    let mut number = 0;
    for (k, &byte) in bytes[start..].iter().take(MAX_GROUPS).enumerate() {
        let group = byte
            .checked_sub(FIRST_CHARACTER)
            .filter(|&group| group < 2 * MORE)
            .ok_or(MaskError::RleCharacter {
                byte,
                position: start + k,
            })?;
        number |= i64::from(group & 0x1f) << (5 * k);
        if group & MORE == 0 {
            if group & SIGN != 0 {
                number |= -1 << (5 * (k + 1));
            }
            return Ok((number, k + 1));
        }
    }
    Err(MaskError::RleCount { position: start })
}
