//! Planes of numbers, and the few operations on them that drawing needs.

/// A plane of `width` × `height` values, row after row.
#[derive(Clone)]
pub(crate) struct Plane<T> {
    pub width: usize,
    pub height: usize,
    pub values: Vec<T>,
}

/// Reds, greens and blues, 0–255.
pub(crate) type Colors = Plane<[f32; 3]>;

/// What can be mixed with weights.
pub(crate) trait Mix: Copy + Default {
    fn add_scaled(self, other: Self, weight: f32) -> Self;
}

impl Mix for f32 {
    fn add_scaled(self, other: Self, weight: f32) -> Self {
        self + other * weight
    }
}

impl Mix for [f32; 3] {
    fn add_scaled(self, other: Self, weight: f32) -> Self {
        std::array::from_fn(|i| self[i] + other[i] * weight)
    }
}

impl<T: Copy> Plane<T> {
    pub fn from_fn(width: usize, height: usize, value: impl Fn(usize, usize) -> T) -> Self {
        let values = (0..width * height)
            .map(|i| value(i % width, i / width))
            .collect();
        Self {
            width,
            height,
            values,
        }
    }

    pub fn at(&self, x: usize, y: usize) -> T {
        self.values[y * self.width + x]
    }

    /// Moved by whole cells; what leaves on one side comes in on the other.
    pub fn rolled(&self, right: isize, down: isize) -> Self {
        let from = |to: usize, by: isize, size: usize| {
            (to as isize - by).rem_euclid(size as isize) as usize
        };
        Self::from_fn(self.width, self.height, |x, y| {
            self.at(from(x, right, self.width), from(y, down, self.height))
        })
    }
}

impl<T: Mix> Plane<T> {
    /// Blurred by a Gaussian, cut off at four deviations, with mirrored borders.
    pub fn blurred(&self, deviation: f64) -> Self {
        let kernel = gaussian(deviation);
        let reach = (kernel.len() / 2) as isize;
        let rows = self.values.chunks_exact(self.width);
        let across: Vec<Vec<T>> = rows.map(|row| blur_row(row, &kernel, reach)).collect();
        let mut values = Vec::with_capacity(self.values.len());
        for y in 0..self.height as isize {
            let mut sum = vec![T::default(); self.width];
            for (&weight, from) in kernel.iter().zip(y - reach..) {
                add_scaled(&mut sum, &across[mirrored(from, self.height)], weight);
            }
            values.extend(sum);
        }
        Self { values, ..*self }
    }
}

fn blur_row<T: Mix>(row: &[T], kernel: &[f32], reach: isize) -> Vec<T> {
    let reached = -reach..row.len() as isize + reach;
    let bordered: Vec<T> = reached.map(|x| row[mirrored(x, row.len())]).collect();
    let mut sum = vec![T::default(); row.len()];
    for (shift, &weight) in kernel.iter().enumerate() {
        add_scaled(&mut sum, &bordered[shift..], weight);
    }
    sum
}

fn add_scaled<T: Mix>(sum: &mut [T], values: &[T], weight: f32) {
    for (sum, &value) in sum.iter_mut().zip(values) {
        *sum = sum.add_scaled(value, weight);
    }
}

fn gaussian(deviation: f64) -> Vec<f32> {
    let reach = (4.0 * deviation).round().max(1.0) as isize;
    let weight = |at: isize| libm::exp(-((at * at) as f64) / (2.0 * deviation * deviation));
    let sum: f64 = (-reach..=reach).map(weight).sum();
    (-reach..=reach)
        .map(|at| (weight(at) / sum) as f32)
        .collect()
}

/// A position beyond the border, mirrored about the border's cell.
fn mirrored(at: isize, size: usize) -> usize {
    let period = (2 * size as isize - 2).max(1);
    let at = at.rem_euclid(period);
    at.min(period - at) as usize
}

/// `values`, `cells` × `cells` of them, spread over a plane by bicubic interpolation (a = −0.75, Keys 1981).
pub(crate) fn spread(values: &Plane<f32>, width: usize, height: usize) -> Plane<f32> {
    let columns: Vec<_> = (0..width)
        .map(|x| cubic_taps(x, width, values.width))
        .collect();
    let rows: Vec<_> = (0..height)
        .map(|y| cubic_taps(y, height, values.height))
        .collect();
    let mix = |value: &dyn Fn(usize) -> f32, taps: &[(usize, f32); 4]| {
        taps.iter()
            .map(|&(tap, weight)| value(tap) * weight)
            .sum::<f32>()
    };
    let across = Plane::from_fn(width, values.height, |x, y| {
        mix(&|tap| values.at(tap, y), &columns[x])
    });
    Plane::from_fn(width, height, |x, y| {
        mix(&|tap| across.at(x, tap), &rows[y])
    })
}

/// The four cells that a point of the finer plane is mixed from, and their weights. Borders are repeated.
fn cubic_taps(at: usize, size: usize, cells: usize) -> [(usize, f32); 4] {
    const A: f64 = -0.75;
    let center = (at as f64 + 0.5) * cells as f64 / size as f64 - 0.5;
    let first = center.floor();
    std::array::from_fn(|k| {
        let cell = first + k as f64 - 1.0;
        let d = (center - cell).abs();
        let weight = if d <= 1.0 {
            ((A + 2.0) * d - (A + 3.0)) * d * d + 1.0
        } else {
            ((A * d - 5.0 * A) * d + 8.0 * A) * d - 4.0 * A
        };
        (cell.clamp(0.0, cells as f64 - 1.0) as usize, weight as f32)
    })
}
