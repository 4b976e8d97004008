//! Low-resolution logits at the image's size, against the official two steps.

use proptest::prelude::*;
use sam_mm::{
    image::{ResizeMode, resized_size},
    mask::{Bitmask, Geometry, LogitMask, MaskError, Rle, Upsampler},
};

use crate::{
    drawing,
    goldens::{number, numbers, section, text},
};

fn longest_side(input_size: u32, width: u32, height: u32) -> Geometry {
    let (resized_width, resized_height) =
        resized_size(width, height, ResizeMode::LongestSide, input_size);
    Geometry::LongestSide {
        input_size,
        resized_width,
        resized_height,
    }
}

/// One bilinear step with `align_corners=False`, in double precision and written out: `[rows][columns]`.
fn interpolate(source: &[Vec<f64>], width: usize, height: usize) -> Vec<Vec<f64>> {
    let place = |cells: usize, outputs: usize, output: usize| {
        let position = (output as f64 + 0.5) * cells as f64 / outputs as f64 - 0.5;
        let position = position.clamp(0.0, (cells - 1) as f64);
        let first = position as usize;
        (first, (first + 1).min(cells - 1), position - first as f64)
    };
    let row = |y: usize| {
        let (top, bottom, down) = place(source.len(), height, y);
        let value = |x: usize| {
            let (left, right, across) = place(source[0].len(), width, x);
            let blend = |row: &[f64]| row[left] * (1.0 - across) + row[right] * across;
            blend(&source[top]) * (1.0 - down) + blend(&source[bottom]) * down
        };
        (0..width).map(value).collect()
    };
    (0..height).map(row).collect()
}

/// The full-size logits as the original makes them, at full size.
fn full_logits(logits: &[f32], geometry: Geometry, width: u32, height: u32) -> Vec<Vec<f64>> {
    let mask_size = logits.len().isqrt();
    let rows = logits.chunks_exact(mask_size);
    let mut low: Vec<Vec<f64>> = rows
        .map(|row| row.iter().map(|&v| v.into()).collect())
        .collect();
    if let Geometry::LongestSide {
        input_size,
        resized_width,
        resized_height,
    } = geometry
    {
        low = interpolate(&low, input_size as usize, input_size as usize);
        low.truncate(resized_height as usize);
        for row in &mut low {
            row.truncate(resized_width as usize);
        }
    }
    interpolate(&low, width as usize, height as usize)
}

#[test]
fn with_a_threshold_the_mask_is_where_the_interpolated_logits_exceed_it() {
    for (geometry, width, height) in [
        (longest_side(256, 170, 110), 170, 110),
        (Geometry::Stretch, 101, 190),
    ] {
        let upsampler = Upsampler::new(64, geometry, width, height).unwrap();
        for name in ["discs", "noise"] {
            let logits = drawing::logits(name, 64);
            let full = full_logits(&logits, geometry, width, height);
            let mut areas = Vec::new();
            for threshold in [-6.0_f32, -1.0, 0.0, 1.0, 2.5, f32::NAN] {
                let mask = LogitMask::new(&upsampler, &logits).unwrap();
                let mask = mask.with_threshold(threshold);
                let drawn = mask.bitmask().unwrap();
                // Next to the threshold rounding may go either way.
                let pixels = full.iter().flatten().zip(drawn.pixels());
                let wrong = pixels.filter(|&(&logit, &on)| {
                    let above = logit - f64::from(threshold);
                    above.abs() > 1e-4 && (above > 0.0) != (on == 1)
                });
                let wrong = wrong.count();
                assert_eq!(wrong, 0, "{name} above {threshold}, {geometry:?}");
                assert_eq!(
                    (mask.area(), mask.rle()),
                    (drawn.extent().area, drawn.rle())
                );
                areas.push(mask.area());
            }
            assert!(
                areas.is_sorted_by(|a, b| a >= b) && areas[5] == 0,
                "{areas:?}"
            );
        }
    }
}

#[test]
fn masks_are_those_of_the_original_pixel_for_pixel() {
    for golden in section("masks") {
        let (width, height) = (number(&golden, "width"), number(&golden, "height"));
        let mask_size = number(&golden, "mask_size");
        let geometry = match text(&golden, "geometry") {
            "longest_side" => longest_side(number(&golden, "input_size"), width, height),
            "stretch" => Geometry::Stretch,
            other => panic!("no geometry is called {other}"),
        };
        let logits = drawing::logits(text(&golden, "logits"), mask_size);
        let upsampler = Upsampler::new(mask_size, geometry, width, height).unwrap();
        let mask = LogitMask::new(&upsampler, &logits).unwrap();
        let context = format!("{width} x {height}, {geometry:?}");

        assert_eq!(
            mask.rle().to_compressed(),
            text(&golden, "rle"),
            "{context}"
        );
        let expected = Rle::from_compressed(width, height, text(&golden, "rle")).unwrap();
        assert_eq!(
            mask.bitmask().unwrap(),
            expected.decode().unwrap(),
            "{context}"
        );
        let extent = mask.extent();
        assert_eq!(extent.area, u64::from(number(&golden, "area")), "{context}");
        let bounds = extent.bounding_box;
        assert_eq!(
            [bounds.x, bounds.y, bounds.width, bounds.height].as_slice(),
            numbers(&golden, "box"),
            "{context}"
        );
    }
}

/// Logits with plateaus of one sign, so that some pixels follow from signs and some are computed.
fn any_logits(mask_size: usize) -> impl Strategy<Value = Vec<f32>> {
    let block = 4;
    let blocks = mask_size.div_ceil(block);
    (
        prop::collection::vec(-1.0f32..1.0, blocks * blocks),
        prop::collection::vec(-1.0f32..1.0, mask_size * mask_size),
        0.0f32..1.5,
    )
        .prop_map(move |(coarse, fine, roughness)| {
            let logit = |(index, fine): (usize, &f32)| {
                let (x, y) = (index % mask_size / block, index / mask_size / block);
                coarse[y * blocks + x] + roughness * fine
            };
            fine.iter().enumerate().map(logit).collect()
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_pixel_has_the_sign_of_its_interpolated_logit(
        logits in any_logits(20), width in 1u32..90, height in 1u32..90, keeps_aspect: bool,
    ) {
        let geometry = if keeps_aspect { longest_side(60, width, height) } else { Geometry::Stretch };
        let upsampler = Upsampler::new(20, geometry, width, height).unwrap();
        let mask = LogitMask::new(&upsampler, &logits).unwrap().bitmask().unwrap();
        let full = full_logits(&logits, geometry, width, height);
        for (pixel, logit) in mask.pixels().iter().zip(full.iter().flatten()) {
            // Closer to 0 than single precision can tell, either is right.
            if logit.abs() > 1e-5 {
                prop_assert_eq!(*pixel == 1, *logit > 0.0, "the logit is {}", logit);
            }
        }
    }

    #[test]
    fn columns_and_rows_give_the_same_mask(
        logits in any_logits(20), width in 1u32..90, height in 1u32..90, keeps_aspect: bool,
    ) {
        let geometry = if keeps_aspect { longest_side(60, width, height) } else { Geometry::Stretch };
        let upsampler = Upsampler::new(20, geometry, width, height).unwrap();
        let mask = LogitMask::new(&upsampler, &logits).unwrap();
        let rows = mask.bitmask().unwrap();
        prop_assert_eq!(mask.rle(), rows.rle());
        prop_assert_eq!(mask.rle().decode().unwrap(), rows);
    }
}

#[test]
fn masks_of_more_than_a_word_of_cells_a_side_agree_with_the_written_out_steps() {
    for (mask_size, name) in [
        (64, "noise"),
        (128, "discs"),
        (256, "discs"),
        (256, "noise"),
    ] {
        let logits = drawing::logits(name, mask_size);
        for (width, height) in [(500, 333), (90, 400), (1, 1), (7, 1000)] {
            for geometry in [
                Geometry::Stretch,
                longest_side(mask_size * 4, width, height),
            ] {
                let upsampler = Upsampler::new(mask_size, geometry, width, height).unwrap();
                let mask = LogitMask::new(&upsampler, &logits)
                    .unwrap()
                    .bitmask()
                    .unwrap();
                let full = full_logits(&logits, geometry, width, height);
                let wrong = mask.pixels().iter().zip(full.iter().flatten());
                // Positions are single precision as in the original; on slopes this steep that moves a logit by 1e-3.
                let wrong = wrong.filter(|&(&pixel, &logit)| {
                    (pixel == 1) != (logit > 0.0) && logit.abs() > 1e-3
                });
                assert_eq!(
                    wrong.count(),
                    0,
                    "{name} {mask_size}: {width} x {height}, {geometry:?}"
                );
            }
        }
    }
}

/// The mask of 8 × 8 logits on an image of 80 × 80.
fn mask_of(logits: &[f32]) -> Bitmask {
    let upsampler = Upsampler::new(8, Geometry::Stretch, 80, 80).unwrap();
    LogitMask::new(&upsampler, logits)
        .unwrap()
        .bitmask()
        .unwrap()
}

#[test]
fn what_a_nan_contributes_to_is_background_and_nothing_else_is() {
    let mut logits = vec![1.0; 64];
    logits[3 * 8 + 4] = f32::NAN;
    let mask = mask_of(&logits);
    for (index, &pixel) in mask.pixels().iter().enumerate() {
        let (x, y) = (index % 80, index / 80);
        // Cell (4, 3) has its centre at 45, 35 and reaches to the centres of its neighbours.
        let contributes = (35..55).contains(&x) && (25..45).contains(&y);
        assert_eq!(pixel == 1, !contributes, "at {x}, {y}");
    }
}

#[test]
fn infinite_logits_have_their_sign() {
    assert_eq!(mask_of(&[f32::INFINITY; 64]).extent().area, 6400);
    assert_eq!(mask_of(&[f32::NEG_INFINITY; 64]).extent().area, 0);
    // One step from the left half to the right, halfway between the cells' centres.
    let mut logits = [f32::INFINITY; 64];
    for row in logits.chunks_exact_mut(8) {
        row[..4].fill(f32::NEG_INFINITY);
    }
    let extent = mask_of(&logits).extent();
    assert_eq!(extent.bounding_box.corners(), [40, 0, 80, 80]);
    assert_eq!(extent.area, 3200);
}

#[test]
fn a_logit_of_zero_is_background() {
    assert_eq!(mask_of(&[0.0; 64]).extent().area, 0);
    assert_eq!(mask_of(&[f32::MIN_POSITIVE; 64]).extent().area, 6400);
}

#[test]
fn sizes_that_do_not_go_together_are_refused() {
    let new = |mask_size, geometry, width, height| {
        Upsampler::new(mask_size, geometry, width, height)
            .map(|_| ())
            .unwrap_err()
    };
    assert_eq!(
        new(256, Geometry::Stretch, 0, 4),
        MaskError::Size {
            width: 0,
            height: 4
        }
    );
    assert_eq!(
        new(256, Geometry::Stretch, 4, 65_536),
        MaskError::Size {
            width: 4,
            height: 65_536
        }
    );
    for mask_size in [0, 3, 4097, u32::MAX] {
        assert_eq!(
            new(mask_size, Geometry::Stretch, 4, 4),
            MaskError::MaskSize { mask_size }
        );
    }
    let resized = |input_size, resized_width, resized_height| Geometry::LongestSide {
        input_size,
        resized_width,
        resized_height,
    };
    for input_size in [0, 255, 65_536] {
        assert_eq!(
            new(256, resized(input_size, 1, 1), 4, 4),
            MaskError::InputSize {
                input_size,
                mask_size: 256
            }
        );
    }
    for (resized_width, resized_height) in [(0, 5), (5, 0), (1025, 5), (5, u32::MAX)] {
        assert_eq!(
            new(256, resized(1024, resized_width, resized_height), 4, 4),
            MaskError::ResizedSize {
                resized_width,
                resized_height,
                input_size: 1024
            }
        );
    }
}

#[test]
fn a_wrong_number_of_logits_is_refused() {
    let upsampler = Upsampler::new(8, Geometry::Stretch, 5, 5).unwrap();
    for given in [0, 63, 65] {
        let error = LogitMask::new(&upsampler, &vec![0.0; given]).unwrap_err();
        assert_eq!(
            error,
            MaskError::LogitCount {
                given,
                needed: 64,
                mask_size: 8
            }
        );
    }
}
