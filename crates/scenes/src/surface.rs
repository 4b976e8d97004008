//! Random surfaces: flat, graded, striped, checked and mottled.

use std::f64::consts::PI;

use crate::canvas::{Colors, Plane, spread};
use crate::rng::Rng;
use crate::scene::Size;

/// A smooth random field from 0 to 1, made of `cells` × `cells` random values.
pub(crate) fn smooth_noise(rng: &mut Rng, size: Size, cells: usize) -> Plane<f32> {
    let values = (0..cells * cells).map(|_| rng.unit() as f32).collect();
    let values = Plane {
        width: cells,
        height: cells,
        values,
    };
    let mut field = spread(&values, size.width, size.height);
    field
        .values
        .iter_mut()
        .for_each(|value| *value = value.clamp(0.0, 1.0));
    field
}

/// A surface that goes from one random colour to another in some pattern.
pub(crate) fn surface(rng: &mut Rng, size: Size) -> Colors {
    let from: [f64; 3] = std::array::from_fn(|_| rng.uniform(0.0, 255.0));
    let to: [f64; 3] = std::array::from_fn(|_| rng.uniform(0.0, 255.0));
    // Most surfaces vary little.
    let to = if rng.chance(0.6) {
        from.map(|value| (value + rng.normal(25.0)).clamp(0.0, 255.0))
    } else {
        to
    };
    let pattern = pattern(rng, size);
    let color = |t: f32| std::array::from_fn(|i| from[i] as f32 + (to[i] - from[i]) as f32 * t);
    Plane {
        width: size.width,
        height: size.height,
        values: pattern.values.into_iter().map(color).collect(),
    }
}

/// How far each pixel is from the first colour to the second, 0 to 1.
fn pattern(rng: &mut Rng, size: Size) -> Plane<f32> {
    let (sin, cos) = libm::sincos(rng.uniform(0.0, PI));
    let place = |x: usize, y: usize| (x as f64 / size.side(), y as f64 / size.side());
    let ramp = |x, y| {
        let (x, y) = place(x, y);
        x * cos + y * sin
    };
    let plane = |value: &dyn Fn(usize, usize) -> f64| {
        Plane::from_fn(size.width, size.height, |x, y| value(x, y) as f32)
    };
    match rng.below(0, 5) {
        0 => plane(&|_, _| 0.0),
        1 => {
            let (right, bottom) = (size.width - 1, size.height - 1);
            let ends = [
                ramp(0, 0),
                ramp(right, 0),
                ramp(0, bottom),
                ramp(right, bottom),
            ];
            let low = ends.into_iter().fold(f64::INFINITY, f64::min);
            let high = ends.into_iter().fold(f64::NEG_INFINITY, f64::max);
            plane(&|x, y| (ramp(x, y) - low) / (high - low).max(f64::EPSILON))
        }
        2 => {
            let frequency = rng.uniform(20.0, 120.0);
            plane(&|x, y| f64::from(is_crest(ramp(x, y) * frequency)))
        }
        3 => {
            let frequency = rng.uniform(10.0, 50.0);
            plane(&|x, y| {
                let (x, y) = place(x, y);
                f64::from(is_crest(x * frequency) != is_crest(y * frequency))
            })
        }
        _ => {
            let cells = rng.below(4, 40);
            smooth_noise(rng, size, cells)
        }
    }
}

/// Whether the sine of an angle is positive.
fn is_crest(angle: f64) -> bool {
    (angle / PI).floor() as i64 % 2 == 0
}
