//! Sets of pixels.

/// A set of pixels of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `[height][width]`, whether the pixel belongs to the object.
    pub pixels: Vec<bool>,
}

/// Cost of a step to a neighbour across a side and across a corner, in a chamfer distance (Borgefors 1986).
const STEP: [f32; 2] = [0.955, 1.3693];

impl Mask {
    /// A mask by what each pixel is.
    pub fn from_fn(width: usize, height: usize, pixel: impl Fn(usize, usize) -> bool) -> Self {
        let pixels = (0..width * height)
            .map(|i| pixel(i % width, i / width))
            .collect();
        Self {
            width,
            height,
            pixels,
        }
    }

    /// Whether a pixel belongs to the object.
    pub fn contains(&self, x: usize, y: usize) -> bool {
        x < self.width && y < self.height && self.pixels[y * self.width + x]
    }

    /// Number of pixels of the object.
    pub fn area(&self) -> usize {
        self.pixels.iter().filter(|pixel| **pixel).count()
    }

    /// x0, y0, x1, y1 of the smallest box around the object, x1 and y1 just outside; none when it is empty.
    pub fn bounds(&self) -> Option<[usize; 4]> {
        let mut bounds: Option<[usize; 4]> = None;
        for (x, y) in self.positions() {
            let [x0, y0, x1, y1] = bounds.unwrap_or([x, y, x + 1, y + 1]);
            bounds = Some([x0.min(x), y0.min(y), x1.max(x + 1), y1.max(y + 1)]);
        }
        bounds
    }

    /// Intersection over union with another mask of the same size, given pixel by pixel; 1 when both are empty.
    ///
    /// # Panics
    /// When the sizes differ.
    pub fn iou(&self, other: &[bool]) -> f64 {
        assert_eq!(self.pixels.len(), other.len(), "masks of different sizes");
        let pairs = || self.pixels.iter().zip(other);
        let both = pairs().filter(|(a, b)| **a && **b).count();
        let either = pairs().filter(|(a, b)| **a || **b).count();
        if either == 0 {
            1.0
        } else {
            both as f64 / either as f64
        }
    }

    pub(crate) fn positions(&self) -> impl Iterator<Item = (usize, usize)> {
        let width = self.width;
        let inside = self.pixels.iter().enumerate().filter(|(_, pixel)| **pixel);
        inside.map(move |(i, _)| (i % width, i / width))
    }

    pub(crate) fn and(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a && b)
    }

    pub(crate) fn and_not(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a && !b)
    }

    fn combine(&self, other: &Self, rule: impl Fn(bool, bool) -> bool) -> Self {
        let pixels = self
            .pixels
            .iter()
            .zip(&other.pixels)
            .map(|(&a, &b)| rule(a, b))
            .collect();
        Self { pixels, ..*self }
    }

    /// Without the pixels that have another one within `reach` rows and columns outside of the object. The border of
    /// the image is no outside.
    pub(crate) fn eroded(&self, reach: usize) -> Self {
        let window = |at: usize, size: usize| at.saturating_sub(reach)..(at + reach + 1).min(size);
        let across = Self::from_fn(self.width, self.height, |x, y| {
            window(x, self.width).all(|x| self.contains(x, y))
        });
        Self::from_fn(self.width, self.height, |x, y| {
            window(y, self.height).all(|y| across.contains(x, y))
        })
    }

    /// Distance of every pixel of the object to the nearest one outside, in pixels; beyond the border is outside.
    pub(crate) fn depths(&self) -> Vec<f32> {
        let (width, height) = (self.width + 2, self.height + 2);
        let mut depths = vec![0.0f32; width * height];
        for (x, y) in self.positions() {
            depths[(y + 1) * width + x + 1] = f32::INFINITY;
        }
        let neighbours = |i: usize| {
            [
                (i - width - 1, STEP[1]),
                (i - width, STEP[0]),
                (i - width + 1, STEP[1]),
                (i - 1, STEP[0]),
            ]
        };
        let inner: Vec<usize> = (1..height - 1)
            .flat_map(|y| (1..width - 1).map(move |x| y * width + x))
            .collect();
        for &i in &inner {
            for (near, step) in neighbours(i) {
                depths[i] = depths[i].min(depths[near] + step);
            }
        }
        let last = width * height - 1;
        for &i in inner.iter().rev() {
            for (near, step) in neighbours(last - i) {
                depths[i] = depths[i].min(depths[last - near] + step);
            }
        }
        (0..self.height)
            .flat_map(|y| depths[(y + 1) * width + 1..][..self.width].to_vec())
            .collect()
    }
}
