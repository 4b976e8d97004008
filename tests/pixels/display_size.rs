//! What size an image gets on the screen.

use proptest::prelude::*;
use sam_mm::image::display::{DisplayError, LARGEST_SIZE, ScalingOptions, Space};

const DEFAULTS: fn() -> ScalingOptions = ScalingOptions::default;

fn display_size(options: ScalingOptions, width: u32, height: u32) -> (u32, u32) {
    options.scaling(width, height).unwrap().display_size()
}

#[test]
fn the_longer_side_gets_the_target_size_and_the_aspect_stays() {
    for (given, shown) in [
        ((4096, 3072), (1024, 768)),
        ((3072, 4096), (768, 1024)),
        ((512, 384), (1024, 768)),
        ((1024, 700), (1024, 700)),
        ((1500, 1001), (1024, 683)),
    ] {
        assert_eq!(
            display_size(DEFAULTS(), given.0, given.1),
            shown,
            "{given:?}"
        );
    }
}

#[test]
fn defect_13_min_size_is_a_minimum_a_square_of_1024_stays() {
    assert_eq!(display_size(DEFAULTS(), 1024, 1024), (1024, 1024));
    assert_eq!(display_size(DEFAULTS(), 3000, 3000), (1024, 1024));
    // A shorter side that would be 576 is brought to the minimum, and the longer one follows.
    assert_eq!(display_size(DEFAULTS(), 1920, 1080), (1067, 600));
    assert_eq!(display_size(DEFAULTS(), 1080, 1920), (600, 1067));
    let no_minimum = ScalingOptions {
        min_size: 0,
        ..DEFAULTS()
    };
    assert_eq!(display_size(no_minimum, 1920, 1080), (1024, 576));
}

#[test]
fn defect_13_max_size_is_reached_and_never_exceeded() {
    assert_eq!(display_size(DEFAULTS(), 2048, 600), (2048, 600));
    assert_eq!(display_size(DEFAULTS(), 4000, 1000), (2048, 512));
    assert_eq!(display_size(DEFAULTS(), 100, 800), (256, 2048));
}

#[test]
fn no_image_is_so_narrow_that_a_side_vanishes() {
    for options in [
        DEFAULTS(),
        ScalingOptions {
            target_size: 1,
            min_size: 0,
            max_size: 1,
            ..DEFAULTS()
        },
    ] {
        for (width, height) in [(65_535, 1), (1, 65_535), (1, 1)] {
            let (shown_width, shown_height) = display_size(options, width, height);
            assert!(shown_width > 0 && shown_height > 0, "{width} x {height}");
            assert!(shown_width.max(shown_height) <= options.max_size);
        }
    }
}

#[test]
fn sizes_that_contradict_each_other_or_cannot_be_are_refused_with_their_values() {
    let message = |options: ScalingOptions| options.scaling(10, 10).unwrap_err().to_string();
    let target_size = LARGEST_SIZE + 1;
    let too_large = ScalingOptions {
        target_size,
        max_size: target_size,
        ..DEFAULTS()
    };
    assert!(message(too_large).contains("target_size is 32769"));
    let none = ScalingOptions {
        target_size: 0,
        ..DEFAULTS()
    };
    assert!(message(none).contains("target_size is 0"));
    let crossed = ScalingOptions {
        min_size: 700,
        max_size: 650,
        target_size: 640,
        ..DEFAULTS()
    };
    assert_eq!(
        crossed.scaling(10, 10),
        Err(DisplayError::AboveMaximum {
            option: "min_size",
            given: 700,
            max_size: 650
        })
    );
}

#[test]
fn the_metadata_are_those_of_the_image() {
    let scaling = DEFAULTS().scaling(1920, 1080).unwrap();
    assert_eq!(scaling.original_size(), (1920, 1080));
    assert_eq!(scaling.factors(), (1067.0 / 1920.0, 600.0 / 1080.0));
    assert_eq!(scaling.aspect(Space::Original), 1920.0 / 1080.0);
    assert_eq!(scaling.aspect(Space::Display), 1067.0 / 600.0);
}

proptest! {
    #[test]
    fn the_sizes_mean_what_their_names_say(
        width in 1..=65_535_u32, height in 1..=65_535_u32,
        sizes in (1..=LARGEST_SIZE, 0..=LARGEST_SIZE, 1..=LARGEST_SIZE),
    ) {
        let options = ScalingOptions {
            max_size: sizes.0.max(sizes.1).max(sizes.2),
            target_size: sizes.0,
            min_size: sizes.1,
            ..DEFAULTS()
        };
        let (shown_width, shown_height) = display_size(options, width, height);
        let (long, short) = (shown_width.max(shown_height), shown_width.min(shown_height));
        prop_assert!(short >= 1 && long <= options.max_size);
        prop_assert!(short >= options.min_size || long == options.max_size, "below the minimum without need");
        prop_assert!(
            long == options.target_size || short == options.min_size || long == options.max_size,
            "{} x {} is neither of the sizes asked for", shown_width, shown_height
        );
        prop_assert!((width >= height) == (shown_width >= shown_height) || shown_width == shown_height);
        // One side is exact; the other is off by half a pixel at most, or was held at 1.
        let exact = f64::from(long) * f64::from(width.min(height)) / f64::from(width.max(height));
        let exact_long = f64::from(short) * f64::from(width.max(height)) / f64::from(width.min(height));
        prop_assert!(
            (f64::from(short) - exact).abs() <= 0.5 + 1e-6
                || (f64::from(long) - exact_long).abs() <= 0.5 + 1e-6
                || short == 1
        );
    }
}
