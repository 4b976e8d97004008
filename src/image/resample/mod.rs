//! Resizing, row by row.

mod filter;
mod sample;

use super::{Image, ImageError};
use filter::Filter;
pub use filter::Interpolation;
pub(super) use filter::nearest_source;
pub(super) use sample::Sample;

/// Pixels as they are, packed, `C` samples each.
pub(super) struct Source<'a, const C: usize> {
    width: u32,
    height: u32,
    pixels: &'a [[u8; C]],
}

impl<'a, const C: usize> Source<'a, C> {
    /// The pixels of an image whose format has `C` samples.
    pub fn of(image: &'a Image) -> Self {
        debug_assert_eq!(image.format().bytes_per_pixel(), C);
        Self {
            width: image.width(),
            height: image.height(),
            pixels: image.pixels().as_chunks().0,
        }
    }

    fn row(&self, y: usize) -> &[[u8; C]] {
        let width = self.width as usize;
        &self.pixels[y * width..][..width]
    }
}

/// Resizes to `width × height` in two passes, along rows and down columns. Samples are rounded between the passes, so
/// their order is part of the result. Of the first pass no more is held than the second needs for one row.
pub(super) fn resample<S: Sample, const C: usize>(
    source: &Source<'_, C>,
    width: u32,
    height: u32,
    interpolation: Interpolation,
) -> Result<Vec<[S; C]>, ImageError> {
    let along_rows = Filter::new(interpolation, source.width, width, S::weight);
    let down_columns = Filter::new(interpolation, source.height, height, S::weight);
    let mut output = reserved(width as usize * height as usize, "a resized image")?;
    output.resize(width as usize * height as usize, [S::default(); C]);
    let from = (source.width, source.height);
    if S::columns_first(from, (width, height)) {
        columns_then_rows(source, &along_rows, &down_columns, &mut output);
    } else {
        rows_then_columns(source, &along_rows, &down_columns, &mut output)?;
    }
    Ok(output)
}

fn columns_then_rows<S: Sample, const C: usize>(
    source: &Source<'_, C>,
    along_rows: &Filter<S::Weight>,
    down_columns: &Filter<S::Weight>,
    output: &mut [[S; C]],
) {
    let mut blend = Blend::<S, C>::new(source.width as usize);
    let mut samples = vec![[S::default(); C]; source.width as usize];
    let mut blended = samples.clone();
    let rows = output.chunks_exact_mut(along_rows.len());
    for ((window, weights), row) in down_columns.windows().zip(rows) {
        for (y, &weight) in window.zip(weights) {
            load(source.row(y), &mut samples);
            blend.add(&samples, weight);
        }
        blend.finish(&mut blended);
        resize_row(&blended, along_rows, row);
    }
}

fn rows_then_columns<S: Sample, const C: usize>(
    source: &Source<'_, C>,
    along_rows: &Filter<S::Weight>,
    down_columns: &Filter<S::Weight>,
    output: &mut [[S; C]],
) -> Result<(), ImageError> {
    let mut blend = Blend::<S, C>::new(along_rows.len());
    let mut resized = ResizedRows::new(source, along_rows, down_columns.max_len())?;
    let rows = output.chunks_exact_mut(along_rows.len());
    for ((window, weights), row) in down_columns.windows().zip(rows) {
        for (y, &weight) in window.zip(weights) {
            blend.add(resized.row(y), weight);
        }
        blend.finish(row);
    }
    Ok(())
}

/// Source rows resized along the row, as many as an output row needs.
struct ResizedRows<'a, S: Sample, const C: usize> {
    source: &'a Source<'a, C>,
    along_rows: &'a Filter<S::Weight>,
    samples: Vec<[S; C]>,
    /// Row `y` is in slot `y % capacity`.
    slots: Vec<[S; C]>,
    capacity: usize,
    /// Rows before this one were resized; the last `capacity` of them are held.
    next: usize,
}

impl<'a, S: Sample, const C: usize> ResizedRows<'a, S, C> {
    fn new(
        source: &'a Source<'a, C>,
        along_rows: &'a Filter<S::Weight>,
        capacity: usize,
    ) -> Result<Self, ImageError> {
        let len = capacity * along_rows.len();
        let mut slots = reserved(len, "resized rows")?;
        slots.resize(len, [S::default(); C]);
        Ok(Self {
            source,
            along_rows,
            samples: vec![[S::default(); C]; source.width as usize],
            slots,
            capacity,
            next: 0,
        })
    }

    /// Row `y`. Rows are asked for in windows that move down and are no longer than the capacity.
    fn row(&mut self, y: usize) -> &[[S; C]] {
        while self.next <= y {
            load(self.source.row(self.next), &mut self.samples);
            let slot = self.slot(self.next);
            resize_row(&self.samples, self.along_rows, &mut self.slots[slot]);
            self.next += 1;
        }
        &self.slots[self.slot(y)]
    }

    fn slot(&self, y: usize) -> std::ops::Range<usize> {
        let len = self.along_rows.len();
        let start = y % self.capacity * len;
        start..start + len
    }
}

/// A weighted sum of rows.
struct Blend<S: Sample, const C: usize> {
    sums: Vec<[S::Sum; C]>,
}

impl<S: Sample, const C: usize> Blend<S, C> {
    fn new(len: usize) -> Self {
        Self {
            sums: vec![[S::ZERO; C]; len],
        }
    }

    fn add(&mut self, row: &[[S; C]], weight: S::Weight) {
        let sums = self.sums.as_flattened_mut().iter_mut();
        for (sum, &sample) in sums.zip(row.as_flattened()) {
            S::add(sum, sample, weight);
        }
    }

    /// Puts out the sum, and begins another.
    fn finish(&mut self, row: &mut [[S; C]]) {
        for (target, sums) in row.iter_mut().zip(&mut self.sums) {
            *target = std::mem::replace(sums, [S::ZERO; C]).map(S::finish);
        }
    }
}

fn load<S: Sample, const C: usize>(row: &[[u8; C]], samples: &mut [[S; C]]) {
    for (sample, pixel) in samples.iter_mut().zip(row) {
        *sample = pixel.map(S::from_byte);
    }
}

fn resize_row<S: Sample, const C: usize>(
    row: &[[S; C]],
    filter: &Filter<S::Weight>,
    resized: &mut [[S; C]],
) {
    for (target, (window, weights)) in resized.iter_mut().zip(filter.windows()) {
        let mut sums = [S::ZERO; C];
        for (pixel, &weight) in row[window].iter().zip(weights) {
            for (sum, &sample) in sums.iter_mut().zip(pixel) {
                S::add(sum, sample, weight);
            }
        }
        *target = sums.map(S::finish);
    }
}

/// An empty vector with room for `len` elements.
pub(super) fn reserved<T>(len: usize, purpose: &'static str) -> Result<Vec<T>, ImageError> {
    let mut vector = Vec::new();
    vector
        .try_reserve_exact(len)
        .map_err(|_| ImageError::OutOfMemory {
            bytes: len * size_of::<T>(),
            purpose,
        })?;
    Ok(vector)
}
