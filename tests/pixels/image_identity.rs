//! An image's pixels and key, however it was laid out.

use proptest::prelude::*;
use sam_mm::image::{Image, ImageView, PixelFormat};

use crate::drawing;

/// The same picture in any format, rows padded with `padding` bytes of rubbish.
fn laid_out(format: PixelFormat, width: u32, height: u32, rgb: &[u8], padding: usize) -> Image {
    let mut data = Vec::new();
    for row in rgb.chunks_exact(width as usize * 3) {
        for pixel in row.chunks_exact(3) {
            let [r, g, b] = [pixel[0], pixel[1], pixel[2]];
            match format {
                PixelFormat::Rgb8 => data.extend([r, g, b]),
                PixelFormat::Bgr8 => data.extend([b, g, r]),
                PixelFormat::Rgba8 => data.extend([r, g, b, g ^ 0x5A]),
                PixelFormat::Bgra8 => data.extend([b, g, r, r ^ 0xA5]),
                PixelFormat::Gray8 => data.push(g),
            }
        }
        data.extend(std::iter::repeat_n(0xEE, padding));
    }
    let row_stride = width as usize * format.bytes_per_pixel() + padding;
    Image::from_view(&ImageView::new(format, width, height, row_stride, &data).unwrap()).unwrap()
}

proptest! {
    #[test]
    fn every_layout_of_a_picture_gives_the_same_pixels_and_key(
        width in 1u32..20, height in 1u32..20, padding in 0usize..9,
    ) {
        let rgb = drawing::rgb("noise", width, height);
        let reference = laid_out(PixelFormat::Rgb8, width, height, &rgb, 0);
        prop_assert_eq!(reference.pixels(), &rgb);
        for format in [PixelFormat::Rgb8, PixelFormat::Bgr8, PixelFormat::Rgba8, PixelFormat::Bgra8] {
            let image = laid_out(format, width, height, &rgb, padding);
            prop_assert_eq!(image.format(), PixelFormat::Rgb8);
            prop_assert_eq!(image.pixels(), &rgb);
            prop_assert_eq!(image.key(), reference.key());
        }
    }

    #[test]
    fn a_changed_sample_changes_the_key(width in 1u32..9, height in 1u32..9, at in any::<prop::sample::Index>(), by in 1u8..) {
        let mut rgb = drawing::rgb("noise", width, height);
        let before = laid_out(PixelFormat::Rgb8, width, height, &rgb, 0).key();
        let at = at.index(rgb.len());
        rgb[at] = rgb[at].wrapping_add(by);
        prop_assert_ne!(before, laid_out(PixelFormat::Rgb8, width, height, &rgb, 0).key());
    }
}

#[test]
fn an_id_stands_for_the_pixels_and_is_told_apart_by_size_and_from_all_pixels() {
    let rgb = drawing::rgb("noise", 4, 4);
    let image = |width, height| laid_out(PixelFormat::Rgb8, width, height, &rgb, 0);
    let named = image(4, 4).with_content_id(b"one");
    assert!(named.has_key() && !image(4, 4).has_key());
    let other = laid_out(PixelFormat::Rgb8, 4, 4, &[9; 48], 0).with_content_id(b"one");
    assert_eq!(named.key(), other.key());
    assert_ne!(named.key(), image(4, 4).with_content_id(b"two").key());
    assert_ne!(named.key(), image(8, 2).with_content_id(b"one").key());
    assert_ne!(image(4, 4).with_content_id(&rgb).key(), image(4, 4).key());
}

#[test]
fn the_same_bytes_in_another_size_have_another_key() {
    let rgb = drawing::rgb("noise", 4, 4);
    let keys = [(4, 4), (2, 8), (8, 2), (16, 1), (1, 16)]
        .map(|(width, height)| laid_out(PixelFormat::Rgb8, width, height, &rgb, 0).key());
    for (i, key) in keys.iter().enumerate() {
        assert!(keys[..i].iter().all(|other| other != key));
    }
}

#[test]
fn a_gray_picture_stays_one_byte_a_pixel_and_has_the_key_of_its_rgb_twin() {
    // More than one chunk of the hash's conversion.
    let (width, height) = (61, 53);
    let gray: Vec<u8> = (0..width * height)
        .map(|i| drawing::noise(i as usize, 3) as u8)
        .collect();
    let rgb: Vec<u8> = gray.iter().flat_map(|&value| [value; 3]).collect();
    let as_gray = laid_out(PixelFormat::Gray8, width, height, &rgb, 2);
    let as_rgb = laid_out(PixelFormat::Rgb8, width, height, &rgb, 0);
    assert_eq!(as_gray.pixels(), &gray);
    assert_eq!(as_gray.size_bytes(), gray.len());
    assert_eq!(as_gray.key(), as_rgb.key());
}

#[test]
fn the_key_is_the_md5_of_size_and_pixels() {
    // printf '\x02\0\0\0\x01\0\0\0abcdef' | md5sum
    let image = laid_out(PixelFormat::Rgb8, 2, 1, b"abcdef", 0);
    assert_eq!(image.key().to_string(), "80ba84f337b34419b1107eb56222ccc3");
    assert_eq!(image.key().as_bytes()[0], 0x80);
}
