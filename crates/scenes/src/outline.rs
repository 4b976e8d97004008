//! Random outlines: ellipses, boxes, polygons, stars and blobs.

use std::f64::consts::{PI, TAU};

use crate::mask::Mask;
use crate::rng::Rng;
use crate::scene::Size;

/// A filled random outline, which may reach out of the image.
pub(crate) fn outline(rng: &mut Rng, size: Size) -> Mask {
    let center = [
        rng.uniform(0.1, 0.9) * size.width as f64,
        rng.uniform(0.1, 0.9) * size.height as f64,
    ];
    let radius = size.side() * rng.uniform(0.05, 0.33);
    let stretch = rng.uniform(0.45, 1.0);
    let (turn_sin, turn_cos) = libm::sincos(rng.uniform(0.0, TAU));
    let corner = |(angle, share): (f64, f64)| {
        let (sin, cos) = libm::sincos(angle);
        let (x, y) = (share * cos * radius, share * sin * radius * stretch);
        let px = center[0] + x * turn_cos - y * turn_sin;
        let py = center[1] + x * turn_sin + y * turn_cos;
        [px.round_ties_even() as i64, py.round_ties_even() as i64]
    };
    let corners: Vec<_> = shape(rng).into_iter().map(corner).collect();
    fill_polygon(&corners, size)
}

/// Corners of a shape about the origin: angle, and distance as a share of the radius.
fn shape(rng: &mut Rng) -> Vec<(f64, f64)> {
    let even = |count: usize| (0..count).map(move |i| TAU * i as f64 / count as f64);
    match rng.below(0, 5) {
        0 => even(64).map(|angle| (angle, 1.0)).collect(),
        1 => even(4).map(|angle| (angle + PI / 4.0, 1.0)).collect(),
        2 => {
            let mut angles: Vec<_> = (0..rng.below(3, 9))
                .map(|_| rng.uniform(0.0, TAU))
                .collect();
            angles.sort_by(f64::total_cmp);
            angles
                .into_iter()
                .map(|angle| (angle, rng.uniform(0.6, 1.0)))
                .collect()
        }
        3 => {
            let count = 2 * rng.below(4, 8);
            let inner = rng.uniform(0.4, 0.7);
            even(count)
                .enumerate()
                .map(|(i, angle)| (angle, if i % 2 == 1 { inner } else { 1.0 }))
                .collect()
        }
        _ => {
            let waves: Vec<_> = (2..6)
                .map(|k| {
                    (
                        f64::from(k),
                        rng.uniform(0.0, 0.28) / f64::from(k),
                        rng.uniform(0.0, 7.0),
                    )
                })
                .collect();
            let share = |angle: f64| {
                1.0 + waves
                    .iter()
                    .map(|(k, height, at)| height * libm::sin(k * angle + at))
                    .sum::<f64>()
            };
            even(96).map(|angle| (angle, share(angle))).collect()
        }
    }
}

/// All pixels inside of a polygon by the even-odd rule, and those its edges pass through.
fn fill_polygon(corners: &[[i64; 2]], size: Size) -> Mask {
    let mut mask = Mask::from_fn(size.width, size.height, |_, _| false);
    let edges: Vec<_> = corners.iter().zip(corners.iter().cycle().skip(1)).collect();
    for y in 0..size.height as i64 {
        let mut crossings: Vec<f64> = edges
            .iter()
            .filter(|(a, b)| (a[1] <= y) != (b[1] <= y))
            .map(|(a, b)| {
                a[0] as f64 + (b[0] - a[0]) as f64 * (y - a[1]) as f64 / (b[1] - a[1]) as f64
            })
            .collect();
        crossings.sort_by(f64::total_cmp);
        for [from, to] in crossings.as_chunks().0 {
            for x in from.ceil().max(0.0) as i64..=to.floor().min(size.width as f64 - 1.0) as i64 {
                set(&mut mask, x, y);
            }
        }
    }
    for (a, b) in edges {
        draw_line(&mut mask, *a, *b);
    }
    mask
}

fn set(mask: &mut Mask, x: i64, y: i64) {
    if (0..mask.width as i64).contains(&x) && (0..mask.height as i64).contains(&y) {
        mask.pixels[y as usize * mask.width + x as usize] = true;
    }
}

/// Every pixel nearest to the line, one per column or per row, whichever are more.
fn draw_line(mask: &mut Mask, a: [i64; 2], b: [i64; 2]) {
    let steps = (b[0] - a[0]).abs().max((b[1] - a[1]).abs()).max(1);
    for step in 0..=steps {
        let along = |i: usize| {
            (a[i] as f64 + (b[i] - a[i]) as f64 * step as f64 / steps as f64).round() as i64
        };
        set(mask, along(0), along(1));
    }
}
