//! Points, boxes, contours and masks between the image and the screen.

use proptest::prelude::*;
use sam_mm::image::display::{DisplayError, Scaling, ScalingOptions, Space};
use sam_mm::image::{ImageError, ImageView, PixelFormat};
use sam_mm::mask::{Bitmask, PolygonOptions};

fn scaling(width: u32, height: u32) -> Scaling {
    ScalingOptions::default().scaling(width, height).unwrap()
}

/// A small one, so that masks of it are quick.
fn small_scaling(width: u32, height: u32, size: u32) -> Scaling {
    let options = ScalingOptions {
        target_size: size,
        min_size: 1,
        max_size: size,
        ..ScalingOptions::default()
    };
    options.scaling(width, height).unwrap()
}

fn corners(size: (u32, u32)) -> Vec<[f32; 2]> {
    let (width, height) = (size.0 as f32, size.1 as f32);
    vec![[0.0, 0.0], [width, 0.0], [width, height], [0.0, height]]
}

#[test]
fn a_click_lands_on_the_pixel_that_is_shown_under_it() {
    let scaling = scaling(2048, 1536);
    assert_eq!(
        scaling.points(Space::Original, &[[100.5, 200.0]]),
        Ok(vec![[201.0, 400.0]])
    );
    assert_eq!(
        scaling.points(Space::Display, &[[201.0, 400.0]]),
        Ok(vec![[100.5, 200.0]])
    );
    assert_eq!(
        scaling.boxes(Space::Original, &[[1.0, 2.0, 3.0, 4.0]]),
        Ok(vec![[2.0, 4.0, 6.0, 8.0]])
    );
}

#[test]
fn what_lies_outside_is_brought_to_the_edge() {
    let scaling = scaling(2048, 1536);
    assert_eq!(
        scaling.points(Space::Original, &[[-5.0, 900.0], [2000.0, 10.0]]),
        Ok(vec![[0.0, 1536.0], [2048.0, 20.0]])
    );
    assert_eq!(
        scaling.boxes(Space::Original, &[[-1.0, -1.0, 1e9, 10.0]]),
        Ok(vec![[0.0, 0.0, 2048.0, 20.0]])
    );
}

#[test]
fn what_is_no_coordinate_is_refused_and_named() {
    let scaling = scaling(2048, 1536);
    let refused = scaling.points(Space::Original, &[[1.0, 1.0], [2.0, f32::NAN]]);
    let message = refused.unwrap_err().to_string();
    assert_eq!(message, "y = NaN of point 1 is not a finite number");
    let message = scaling
        .boxes(Space::Display, &[[0.0, 0.0, f32::INFINITY, 1.0]])
        .unwrap_err()
        .to_string();
    assert_eq!(message, "x1 = inf of box 0 is not a finite number");
    let corners = [5.0, 0.0, 4.0, 1.0];
    assert_eq!(
        scaling.boxes(Space::Display, &[corners]),
        Err(DisplayError::BoxOrder { index: 0, corners })
    );
}

#[test]
fn a_contour_of_the_result_frames_the_same_part_of_the_screen() {
    let mut pixels = vec![0; 200 * 100];
    for y in 20..60 {
        pixels[y * 200 + 50..y * 200 + 150].fill(1);
    }
    let mask = Bitmask::from_pixels(200, 100, pixels).unwrap();
    let polygons = mask.polygons(&PolygonOptions::default()).unwrap();
    let vertices: Vec<[f32; 2]> = polygons
        .vertices()
        .iter()
        .map(|vertex| vertex.map(|coordinate| coordinate as f32))
        .collect();
    let shown = small_scaling(200, 100, 400)
        .points(Space::Display, &vertices)
        .unwrap();
    let mut shown: Vec<[u32; 2]> = shown
        .iter()
        .map(|vertex| vertex.map(|coordinate| coordinate as u32))
        .collect();
    shown.sort_unstable();
    assert_eq!(shown, [[100, 40], [100, 120], [300, 40], [300, 120]]);
}

fn view(pixels: &[u8], size: (u32, u32)) -> ImageView<'_> {
    ImageView::new(PixelFormat::Gray8, size.0, size.1, size.0 as usize, pixels).unwrap()
}

fn converted(scaling: &Scaling, to: Space, mask: &[u8]) -> Vec<u8> {
    let (from, size) = (scaling.size(to.other()), scaling.size(to));
    let mut target = vec![0xEE; size.0 as usize * size.1 as usize];
    scaling
        .mask(to, &view(mask, from), &mut target, size.0 as usize)
        .unwrap();
    target
}

#[test]
fn a_mask_keeps_its_values_and_the_gaps_between_rows_are_left_alone() {
    let scaling = small_scaling(2, 2, 4);
    let mask = [1, 2, 255, 0];
    let mut target = [7; 4 * 6 - 2];
    scaling
        .mask(Space::Display, &view(&mask, (2, 2)), &mut target, 6)
        .unwrap();
    #[rustfmt::skip]
    assert_eq!(target, [
        1, 1, 2, 2, 7, 7,
        1, 1, 2, 2, 7, 7,
        255, 255, 0, 0, 7, 7,
        255, 255, 0, 0,
    ]);
}

#[test]
fn a_mask_of_another_size_or_a_target_too_small_is_refused_and_nothing_is_written() {
    let scaling = small_scaling(2, 2, 4);
    let mut target = [7; 16];
    let wrong = scaling.mask(Space::Display, &view(&[0; 6], (3, 2)), &mut target, 4);
    assert!(wrong.unwrap_err().to_string().contains("3 x 2"));
    let short = scaling.mask(Space::Display, &view(&[0; 4], (2, 2)), &mut target[..15], 4);
    assert!(matches!(
        short,
        Err(DisplayError::Pixels(ImageError::DataTooShort {
            needed: 16,
            given: 15,
            ..
        }))
    ));
    assert_eq!(target, [7; 16]);
}

proptest! {
    #[test]
    fn the_corners_of_one_image_are_exactly_those_of_the_other(
        width in 1..=65_535_u32, height in 1..=65_535_u32,
    ) {
        let scaling = scaling(width, height);
        let (original, display) = (corners((width, height)), corners(scaling.display_size()));
        prop_assert_eq!(scaling.points(Space::Display, &original), Ok(display.clone()));
        prop_assert_eq!(scaling.points(Space::Original, &display), Ok(original));
        let whole = |size: (u32, u32)| [0.0, 0.0, size.0 as f32, size.1 as f32];
        prop_assert_eq!(
            scaling.boxes(Space::Display, &[whole((width, height))]), Ok(vec![whole(scaling.display_size())])
        );
        prop_assert_eq!(
            scaling.boxes(Space::Original, &[whole(scaling.display_size())]), Ok(vec![whole((width, height))])
        );
    }

    #[test]
    fn a_point_comes_back_to_where_it_was(
        width in 1..=65_535_u32, height in 1..=65_535_u32, at in (0.0..=1.0_f32, 0.0..=1.0_f32),
    ) {
        let scaling = scaling(width, height);
        let point = [at.0 * width as f32, at.1 * height as f32];
        let shown = scaling.points(Space::Display, &[point]).unwrap();
        let back = scaling.points(Space::Original, &shown).unwrap()[0];
        // Two roundings to single precision, the first of which is enlarged with the image.
        for (axis, length) in [(0, width), (1, height)] {
            prop_assert!((back[axis] - point[axis]).abs() <= length as f32 * f32::EPSILON, "{point:?} {back:?}");
        }
    }

    #[test]
    fn what_is_left_of_something_stays_left_of_it(width in 1..=65_535_u32, a in 0.0..1e5_f32, b in 0.0..1e5_f32) {
        let scaling = scaling(width, 700);
        let shown = scaling.points(Space::Display, &[[a, 0.0], [b, 0.0]]).unwrap();
        prop_assert!(a > b || shown[0][0] <= shown[1][0]);
    }

    #[test]
    fn a_mask_brought_to_the_larger_space_and_back_is_the_same(
        width in 1..40_u32, height in 1..40_u32, size in 1..60_u32, seed in any::<u32>(),
    ) {
        let scaling = small_scaling(width, height, size);
        let (original, display) = (scaling.original_size(), scaling.display_size());
        let larger = if original.0.max(original.1) < display.0.max(display.1) {
            Space::Display
        } else {
            Space::Original
        };
        // Rounding may make one side larger and the other smaller.
        prop_assume!(scaling.size(larger).0 >= scaling.size(larger.other()).0);
        prop_assume!(scaling.size(larger).1 >= scaling.size(larger.other()).1);
        let (from_width, from_height) = scaling.size(larger.other());
        let mask: Vec<u8> = (0..from_width * from_height)
            .map(|index| crate::drawing::noise(index as usize, seed) as u8)
            .collect();
        let there = converted(&scaling, larger, &mask);
        prop_assert_eq!(converted(&scaling, larger.other(), &there), mask);
    }
}
