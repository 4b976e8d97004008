//! What an image looks like on the screen.

use proptest::prelude::*;
use sam_mm::image::display::{DisplayImage, DisplayPlan, ScalingOptions};
use sam_mm::image::{Image, ImageView, Interpolation, PixelFormat};

use crate::drawing;

const INTERPOLATIONS: [Interpolation; 4] = [
    Interpolation::Nearest,
    Interpolation::Bilinear,
    Interpolation::Area,
    Interpolation::Cubic,
];

const FORMATS: [PixelFormat; 5] = [
    PixelFormat::Rgb8,
    PixelFormat::Bgr8,
    PixelFormat::Rgba8,
    PixelFormat::Bgra8,
    PixelFormat::Gray8,
];

fn gray(width: u32, height: u32, pixels: &[u8]) -> Image {
    let view = ImageView::new(PixelFormat::Gray8, width, height, width as usize, pixels);
    Image::from_view(&view.unwrap()).unwrap()
}

/// Options that bring the longer side to `size`, in one way.
fn to(size: u32, interpolation: Interpolation, format: PixelFormat) -> ScalingOptions {
    ScalingOptions {
        target_size: size,
        min_size: 0,
        max_size: size,
        shrinking: interpolation,
        enlarging: interpolation,
        format,
    }
}

fn shown(image: &Image, options: &ScalingOptions) -> DisplayImage {
    let plan = DisplayPlan::new(options, image.width(), image.height()).unwrap();
    DisplayImage::new(image, plan).unwrap()
}

fn shown_gray(image: &Image, size: u32, interpolation: Interpolation) -> Vec<u8> {
    shown(image, &to(size, interpolation, PixelFormat::Gray8))
        .pixels()
        .to_vec()
}

#[test]
fn area_is_the_mean_of_what_a_pixel_covers_also_where_it_covers_parts() {
    // 3 pixels become 2, each of one and a half: (20·1 + 50·0.5) / 1.5 and (50·0.5 + 80·1) / 1.5.
    let row = gray(3, 1, &[20, 50, 80]);
    assert_eq!(shown_gray(&row, 2, Interpolation::Area), [30, 70]);
    let blocks = gray(
        4,
        4,
        &[0, 4, 100, 100, 8, 12, 100, 104, 9, 9, 1, 1, 9, 9, 1, 5],
    );
    assert_eq!(shown_gray(&blocks, 2, Interpolation::Area), [6, 101, 9, 2]);
}

#[test]
fn each_way_of_enlarging_is_what_its_name_says() {
    let edge = gray(4, 1, &[0, 0, 200, 200]);
    let row = |interpolation| shown_gray(&edge, 8, interpolation)[..8].to_vec();
    let doubled = [0, 0, 0, 0, 200, 200, 200, 200];
    assert_eq!(row(Interpolation::Nearest), doubled);
    assert_eq!(row(Interpolation::Area), doubled);
    assert_eq!(
        row(Interpolation::Bilinear),
        [0, 0, 0, 50, 150, 200, 200, 200]
    );
    // By Keys' kernel with a = −1/2 at the distances 1.25, 0.25, 0.75 and 1.75; beside the edge it overshoots.
    let cubic = row(Interpolation::Cubic);
    assert_eq!(cubic[2..6], [0, 41, 159, 214]);
}

#[test]
fn an_image_is_shrunk_by_area_and_enlarged_bilinearly_unless_told_otherwise() {
    let image = drawing::image("noise", 300, 200);
    for (target_size, interpolation) in [(100, Interpolation::Area), (450, Interpolation::Bilinear)]
    {
        let options = ScalingOptions {
            target_size,
            min_size: 0,
            ..ScalingOptions::default()
        };
        let explicit = to(target_size, interpolation, PixelFormat::Rgb8);
        assert_eq!(
            shown(&image, &options).pixels(),
            shown(&image, &explicit).pixels()
        );
    }
}

#[test]
fn an_image_that_keeps_its_size_keeps_its_pixels() {
    let image = drawing::image("noise", 40, 30);
    for interpolation in INTERPOLATIONS {
        let display = shown(&image, &to(40, interpolation, PixelFormat::Rgb8));
        assert_eq!(display.pixels(), image.pixels());
    }
}

#[test]
fn every_format_shows_the_same_colours() {
    let image = drawing::image("noise", 30, 20);
    let rgb = shown(&image, &to(12, Interpolation::Area, PixelFormat::Rgb8));
    for format in FORMATS {
        let display = shown(&image, &to(12, Interpolation::Area, format));
        assert_eq!(display.format(), format);
        assert_eq!(display.row_bytes(), 12 * format.bytes_per_pixel());
        let pixels = display.pixels().chunks_exact(format.bytes_per_pixel());
        assert_eq!(pixels.len(), 12 * 8);
        for (pixel, rgb) in pixels.zip(rgb.pixels().chunks_exact(3)) {
            let (r, g, b) = (rgb[0], rgb[1], rgb[2]);
            let luma = 0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b);
            match format {
                PixelFormat::Rgb8 => assert_eq!(pixel, [r, g, b]),
                PixelFormat::Bgr8 => assert_eq!(pixel, [b, g, r]),
                PixelFormat::Rgba8 => assert_eq!(pixel, [r, g, b, 255]),
                PixelFormat::Bgra8 => assert_eq!(pixel, [b, g, r, 255]),
                PixelFormat::Gray8 => assert!((f64::from(pixel[0]) - luma).abs() <= 0.5 + 1e-9),
            }
        }
    }
}

#[test]
fn options_that_come_to_the_same_are_one_plan() {
    let plan = |options: &ScalingOptions| DisplayPlan::new(options, 400, 300).unwrap();
    let a = to(200, Interpolation::Area, PixelFormat::Rgb8);
    let b = ScalingOptions {
        enlarging: Interpolation::Cubic,
        max_size: 9000,
        ..a
    };
    assert_eq!(plan(&a), plan(&b));
    // Where the size stays, nothing is interpolated.
    let at_its_size = |interpolation| plan(&to(400, interpolation, PixelFormat::Rgb8));
    assert_eq!(
        at_its_size(Interpolation::Area),
        at_its_size(Interpolation::Cubic)
    );
    for other in [
        to(201, Interpolation::Area, PixelFormat::Rgb8),
        to(200, Interpolation::Cubic, PixelFormat::Rgb8),
        to(200, Interpolation::Area, PixelFormat::Bgr8),
    ] {
        assert_ne!(plan(&a), plan(&other));
    }
}

proptest! {
    #[test]
    fn one_colour_stays_that_colour(
        width in 1..90_u32, height in 1..90_u32, size in 1..90_u32, colour in any::<u8>(), way in 0..4_usize,
    ) {
        let image = gray(width, height, &vec![colour; (width * height) as usize]);
        let pixels = shown_gray(&image, size, INTERPOLATIONS[way]);
        prop_assert!(pixels.iter().all(|&pixel| pixel == colour), "{} became {:?}", colour, pixels);
    }

    #[test]
    fn shrinking_by_area_keeps_the_mean(width in 2..90_u32, factor in 1..5_u32, seed in any::<u32>()) {
        let (wide, high) = (width * factor, 2 * factor);
        let pixels: Vec<u8> = (0..wide * high).map(|index| drawing::noise(index as usize, seed) as u8).collect();
        let mean = |pixels: &[u8]| pixels.iter().map(|&pixel| f64::from(pixel)).sum::<f64>() / pixels.len() as f64;
        let image = gray(wide, high, &pixels);
        // Rounded twice, once along each axis.
        let shrunk = shown_gray(&image, width, Interpolation::Area);
        prop_assert!((mean(&shrunk) - mean(&pixels)).abs() <= 1.0);
    }

    #[test]
    fn gray_looks_like_the_same_grays_as_rgb(width in 1..40_u32, height in 1..40_u32, size in 1..60_u32, way in 0..4_usize) {
        let grays: Vec<u8> = (0..width * height).map(|index| drawing::noise(index as usize, 4) as u8).collect();
        let rgb: Vec<u8> = grays.iter().flat_map(|&value| [value; 3]).collect();
        let view = ImageView::new(PixelFormat::Rgb8, width, height, width as usize * 3, &rgb).unwrap();
        let (as_gray, as_rgb) = (gray(width, height, &grays), Image::from_view(&view).unwrap());
        for format in FORMATS {
            let options = to(size, INTERPOLATIONS[way], format);
            let (a, b) = (shown(&as_gray, &options), shown(&as_rgb, &options));
            prop_assert_eq!(a.pixels(), b.pixels());
        }
    }
}
