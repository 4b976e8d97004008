//! Masks of one image, 1800 × 1200, from low-resolution logits: three as a click gives, and single forms of output.
//!
//! `two_steps` is what the original does, written out: logits to 1024², cropped, to the image's size, then compared
//! with 0, in float images of those sizes.

use criterion::{Criterion, criterion_group, criterion_main};
use sam_mm::mask::{Geometry, LogitMask, PolygonOptions, Upsampler};
use std::hint::black_box;

const MASK_SIZE: u32 = 256;
const INPUT_SIZE: u32 = 1024;
const RESIZED: (u32, u32) = (1024, 683);
const IMAGE: (u32, u32) = (1800, 1200);

/// A disc of half the image's height with a slightly rough edge: an object.
fn object() -> Vec<f32> {
    logits(|x, y, noise| 8.0 - ((x - 128.0).powi(2) + (y - 85.0).powi(2)) / 225.0 + noise * 0.2)
}

/// Noise: the worst case, an outline everywhere.
fn noise() -> Vec<f32> {
    logits(|_, _, noise| noise)
}

fn logits(logit: impl Fn(f32, f32, f32) -> f32) -> Vec<f32> {
    let mut state = 1u32;
    (0..MASK_SIZE * MASK_SIZE)
        .map(|index| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (state >> 8) as f32 / (1 << 23) as f32 - 1.0;
            logit(
                (index % MASK_SIZE) as f32,
                (index / MASK_SIZE) as f32,
                noise,
            )
        })
        .collect()
}

fn upsampler() -> Upsampler {
    let geometry = Geometry::LongestSide {
        input_size: INPUT_SIZE,
        resized_width: RESIZED.0,
        resized_height: RESIZED.1,
    };
    Upsampler::new(MASK_SIZE, geometry, IMAGE.0, IMAGE.1).unwrap()
}

fn two_steps(logits: &[f32]) -> Vec<u8> {
    let mask_size = MASK_SIZE as usize;
    let input_size = INPUT_SIZE as usize;
    let input = interpolate(
        logits,
        mask_size,
        (mask_size, mask_size),
        (input_size, input_size),
    );
    let resized = (RESIZED.0 as usize, RESIZED.1 as usize);
    let image = (IMAGE.0 as usize, IMAGE.1 as usize);
    let full = interpolate(&input, input_size, resized, image);
    full.iter().map(|&logit| u8::from(logit > 0.0)).collect()
}

/// Bilinear from the upper left `from` of rows `stride` long to `to`, both `(width, height)`.
fn interpolate(
    source: &[f32],
    stride: usize,
    from: (usize, usize),
    to: (usize, usize),
) -> Vec<f32> {
    let places = |from: usize, to: usize| -> Vec<(usize, usize, f32)> {
        let scale = from as f32 / to as f32;
        let place = |output: usize| {
            let position = (scale * (output as f32 + 0.5) - 0.5).max(0.0);
            let first = (position as usize).min(from - 1);
            (first, (first + 1).min(from - 1), position - first as f32)
        };
        (0..to).map(place).collect()
    };
    let across = places(from.0, to.0);
    let mut output = Vec::with_capacity(to.0 * to.1);
    for (top, bottom, down) in places(from.1, to.1) {
        let (top, bottom) = (&source[top * stride..], &source[bottom * stride..]);
        output.extend(across.iter().map(|&(left, right, across)| {
            let blend = |row: &[f32]| row[left] * (1.0 - across) + row[right] * across;
            blend(top) * (1.0 - down) + blend(bottom) * down
        }));
    }
    output
}

fn masks_of_a_click(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("three_masks_1800x1200");
    for (name, logits) in [("object", object()), ("noise", noise())] {
        group.bench_function(format!("{name}/ours"), |bencher| {
            bencher.iter(|| {
                let upsampler = upsampler();
                [(); 3].map(|()| {
                    LogitMask::new(&upsampler, black_box(&logits))
                        .unwrap()
                        .bitmask()
                })
            });
        });
        group.bench_function(format!("{name}/two_steps"), |bencher| {
            bencher.iter(|| [(); 3].map(|()| two_steps(black_box(&logits))));
        });
    }
    group.finish();
}

fn forms_of_output(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("one_mask_1800x1200");
    let upsampler = upsampler();
    for (name, logits) in [("object", object()), ("noise", noise())] {
        let mask = LogitMask::new(&upsampler, &logits).unwrap();
        let exact = PolygonOptions::default();
        let simplified = PolygonOptions {
            tolerance: 1.0,
            ..exact
        };
        let mut buffer = vec![0; IMAGE.0 as usize * IMAGE.1 as usize];
        group.bench_function(format!("{name}/copy_out"), |bencher| {
            bencher.iter(|| mask.write_to(&mut buffer, IMAGE.0 as usize, 255));
        });
        group.bench_function(format!("{name}/extent"), |bencher| {
            bencher.iter(|| mask.extent());
        });
        group.bench_function(format!("{name}/rle"), |bencher| {
            bencher.iter(|| mask.rle().to_compressed());
        });
        group.bench_function(format!("{name}/polygons"), |bencher| {
            bencher.iter(|| mask.polygons(&exact));
        });
        group.bench_function(format!("{name}/polygons_simplified"), |bencher| {
            bencher.iter(|| mask.polygons(&simplified));
        });
    }
    group.finish();
}

criterion_group!(benches, masks_of_a_click, forms_of_output);
criterion_main!(benches);
