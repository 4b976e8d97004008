//! The model's input, against Pillow and PyTorch.

use md5::{Digest, Md5};
use sam_mm::image::{
    Image, ImageError, ImageView, ModelInput, PixelFormat, ResizeMode, SampleType, Samples,
    preprocess, resized_size,
};

use crate::{
    drawing,
    goldens::{number, section, text},
};

fn bytes(input: &ModelInput) -> &[u8] {
    match &input.samples {
        Samples::U8(bytes) => bytes,
        Samples::F32(_) => panic!("bytes were asked for"),
    }
}

fn floats(input: &ModelInput) -> &[f32] {
    match &input.samples {
        Samples::F32(floats) => floats,
        Samples::U8(_) => panic!("floats were asked for"),
    }
}

fn gray(width: u32, height: u32, pixels: &[u8]) -> Image {
    let view = ImageView::new(PixelFormat::Gray8, width, height, width as usize, pixels);
    Image::from_view(&view.unwrap()).unwrap()
}

#[test]
fn bytes_are_those_of_pillow_bit_for_bit() {
    for golden in section("resized_bytes") {
        let (width, height) = (number(&golden, "width"), number(&golden, "height"));
        let image = drawing::image(text(&golden, "image"), width, height);
        let mode = match text(&golden, "mode") {
            "longest_side" => ResizeMode::LongestSide,
            "stretch" => ResizeMode::Stretch,
            other => panic!("no mode is called {other}"),
        };
        let input =
            preprocess(&image, mode, SampleType::U8, number(&golden, "input_size")).unwrap();
        assert_eq!(
            (input.width, input.height),
            (
                number(&golden, "resized_width"),
                number(&golden, "resized_height")
            ),
        );
        assert_eq!(
            (input.original_width, input.original_height),
            (width, height)
        );
        let digest: String = Md5::digest(bytes(&input))
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            digest,
            text(&golden, "md5"),
            "{width} x {height} to {}",
            number(&golden, "input_size")
        );
    }
}

#[test]
fn floats_are_those_of_torch_interpolate_with_antialias() {
    for golden in section("resized_floats") {
        let (width, height) = (number(&golden, "width"), number(&golden, "height"));
        let input_size = number(&golden, "input_size");
        let image = drawing::image(text(&golden, "image"), width, height);
        let input = preprocess(&image, ResizeMode::Stretch, SampleType::F32, input_size).unwrap();
        assert_eq!((input.width, input.height), (input_size, input_size));
        let expected: Vec<f32> = serde_json::from_value(golden["values"].clone()).unwrap();
        assert_eq!(floats(&input).len(), expected.len());
        for (value, expected) in floats(&input).iter().zip(expected) {
            // The goldens have six digits after the point.
            assert!((value - expected).abs() < 2e-6, "{value} is not {expected}");
        }
    }
}

#[test]
fn the_longest_side_is_rounded_as_in_the_original() {
    let size = |width, height| resized_size(width, height, ResizeMode::LongestSide, 1024);
    assert_eq!(size(1800, 1200), (1024, 683));
    assert_eq!(size(1200, 1800), (683, 1024));
    assert_eq!(size(1024, 1024), (1024, 1024));
    assert_eq!(size(1, 1), (1024, 1024));
    // 2048 x 3 is 1.5 rows, which rounds up.
    assert_eq!(size(2048, 3), (1024, 2));
    // A side that would vanish stays.
    assert_eq!(size(65535, 1), (1024, 1));
}

#[test]
fn gray_gives_what_its_rgb_twin_gives() {
    let pixels: Vec<u8> = (0..300 * 200).map(|i| drawing::noise(i, 4) as u8).collect();
    let rgb: Vec<u8> = pixels.iter().flat_map(|&value| [value; 3]).collect();
    let view = ImageView::new(PixelFormat::Rgb8, 300, 200, 900, &rgb).unwrap();
    let twin = Image::from_view(&view).unwrap();
    for mode in [ResizeMode::LongestSide, ResizeMode::Stretch] {
        for sample_type in [SampleType::U8, SampleType::F32] {
            assert_eq!(
                preprocess(&gray(300, 200, &pixels), mode, sample_type, 64),
                preprocess(&twin, mode, sample_type, 64),
            );
        }
    }
}

#[test]
fn an_image_of_the_models_size_is_not_changed() {
    let image = drawing::image("noise", 96, 96);
    let input = preprocess(&image, ResizeMode::LongestSide, SampleType::U8, 96).unwrap();
    assert_eq!(bytes(&input), image.pixels());
    let input = preprocess(&image, ResizeMode::Stretch, SampleType::F32, 96).unwrap();
    let expected: Vec<f32> = image
        .pixels()
        .iter()
        .map(|&byte| f32::from(byte) / 255.0)
        .collect();
    assert_eq!(floats(&input), expected);
}

#[test]
fn a_hundred_megapixels_and_the_longest_sides_are_resized() {
    let side = 10_000;
    let mut pixels = vec![10; side * side];
    for row in pixels.chunks_exact_mut(side).skip(side / 2) {
        row[side / 2..].fill(250);
    }
    let image = gray(side as u32, side as u32, &pixels);
    drop(pixels);
    let input = preprocess(&image, ResizeMode::LongestSide, SampleType::U8, 100).unwrap();
    for (index, pixel) in bytes(&input).chunks_exact(3).enumerate() {
        let (x, y) = (index % 100, index / 100);
        // The two columns and rows at the edge mix both halves.
        if !(49..51).contains(&x) && !(49..51).contains(&y) {
            assert_eq!(
                pixel,
                [if x > 50 && y > 50 { 250 } else { 10 }; 3],
                "at {x}, {y}"
            );
        }
    }
    for (width, height) in [(65_535, 1), (1, 65_535)] {
        let image = gray(width, height, &vec![77; 65_535]);
        let input = preprocess(&image, ResizeMode::LongestSide, SampleType::U8, 1024).unwrap();
        assert_eq!(bytes(&input), [77; 3 * 1024]);
    }
}

#[test]
fn an_input_size_that_cannot_be_is_refused() {
    let image = drawing::image("noise", 2, 2);
    for input_size in [0, 65_536, u32::MAX] {
        let result = preprocess(&image, ResizeMode::Stretch, SampleType::F32, input_size);
        assert_eq!(result, Err(ImageError::InputSize { input_size }));
    }
}
