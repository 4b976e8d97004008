//! Run-length encoding as COCO has it.
//!
//! Pixels are counted down the columns, from the leftmost: background first (0 if the first pixel is foreground),
//! then foreground and background in turn. The compressed form is pycocotools' (`common/maskApi.c: rleToString`): each
//! count as a signed number in groups of 5 bits, the fourth and later ones as difference to the one two before.

use super::{Bitmask, MaskError, MaskSource, error::check_size};

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
        let (width, height) = (source.width(), source.height());
        let mut counts: Vec<u32> = Vec::new();
        let mut counted = 0;
        source.for_each_column(&mut |x, runs| {
            for run in runs {
                let (start, end) = (x * height + run.start, x * height + run.end);
                match counts.last_mut() {
                    // The foreground goes on from the last pixel of the column before.
                    Some(foreground) if start == counted => *foreground += end - start,
                    _ => counts.extend([start - counted, end - start]),
                }
                counted = end;
            }
        });
        if counted < width * height {
            counts.push(width * height - counted);
        }
        Self {
            width,
            height,
            counts,
        }
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

    /// COCO's compressed `counts`, byte for byte what `pycocotools.mask.encode` gives.
    pub fn to_compressed(&self) -> String {
        let mut text = String::with_capacity(self.counts.len() * 2);
        for (i, &count) in self.counts.iter().enumerate() {
            let base = if i > 2 { self.counts[i - 2] } else { 0 };
            write_number(&mut text, i64::from(count) - i64::from(base));
        }
        text
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
