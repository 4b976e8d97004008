//! Masks as bytes, in the library's memory and in the caller's.

use proptest::prelude::*;
use sam_mm::mask::{Bitmask, BoundingBox, Extent, Geometry, LogitMask, MaskError, Upsampler};

use crate::drawing;

/// Masks with every mixture of foreground and background.
pub fn any_bitmask(max_side: u32) -> impl Strategy<Value = Bitmask> {
    (1..=max_side, 1..=max_side, 0.0..=1.0f64).prop_flat_map(|(width, height, density)| {
        let pixel = prop::bool::weighted(density).prop_map(u8::from);
        prop::collection::vec(pixel, (width * height) as usize)
            .prop_map(move |pixels| Bitmask::from_pixels(width, height, pixels).unwrap())
    })
}

fn pixel(mask: &Bitmask, x: u32, y: u32) -> bool {
    mask.pixels()[(y * mask.width() + x) as usize] == 1
}

proptest! {
    #[test]
    fn area_and_box_are_those_of_the_pixels(mask in any_bitmask(12)) {
        let foreground: Vec<_> = (0..mask.height())
            .flat_map(|y| (0..mask.width()).map(move |x| (x, y)))
            .filter(|&(x, y)| pixel(&mask, x, y))
            .collect();
        let extent = mask.extent();
        prop_assert_eq!(extent.area, foreground.len() as u64);
        let min = |side: fn(&(u32, u32)) -> u32| foreground.iter().map(side).min().unwrap_or(0);
        let end = |side: fn(&(u32, u32)) -> u32| foreground.iter().map(side).max().map_or(0, |last| last + 1);
        prop_assert_eq!(
            extent.bounding_box.corners(),
            [min(|p| p.0), min(|p| p.1), end(|p| p.0), end(|p| p.1)]
        );
    }

    #[test]
    fn a_buffer_of_any_stride_gets_the_pixels_and_keeps_its_gaps(
        mask in any_bitmask(9), padding in 0usize..5, on in 1u8..,
    ) {
        let stride = mask.width() as usize + padding;
        let mut buffer = vec![0xAA; stride * mask.height() as usize];
        mask.write_to(&mut buffer, stride, on).unwrap();
        for (y, row) in (0..).zip(buffer.chunks_exact(stride)) {
            let (pixels, gap) = row.split_at(mask.width() as usize);
            for (x, &value) in (0..).zip(pixels) {
                prop_assert_eq!(value, if pixel(&mask, x, y) { on } else { 0 });
            }
            prop_assert!(gap.iter().all(|&byte| byte == 0xAA));
        }
    }
}

#[test]
fn an_empty_mask_has_an_empty_box_at_the_origin() {
    let mask = Bitmask::from_pixels(5, 3, vec![0; 15]).unwrap();
    assert_eq!(
        mask.extent(),
        Extent {
            area: 0,
            bounding_box: BoundingBox {
                x: 0,
                y: 0,
                width: 0,
                height: 0
            }
        }
    );
}

#[test]
fn any_byte_but_zero_is_foreground() {
    let mask = Bitmask::from_pixels(2, 2, vec![0, 1, 255, 7]).unwrap();
    assert_eq!(mask.pixels(), [0, 1, 1, 1]);
}

#[test]
fn a_wrong_number_of_pixels_or_an_impossible_size_is_refused() {
    assert_eq!(
        Bitmask::from_pixels(2, 3, vec![0; 5]),
        Err(MaskError::PixelCount {
            width: 2,
            height: 3,
            needed: 6,
            given: 5
        })
    );
    for (width, height) in [(0, 1), (1, 0), (65_536, 1), (40_000, 40_000)] {
        assert_eq!(
            Bitmask::from_pixels(width, height, vec![]),
            Err(MaskError::Size { width, height })
        );
    }
}

#[test]
fn writing_from_logits_is_the_same_as_copying_the_bitmask() {
    let upsampler = Upsampler::new(64, Geometry::Stretch, 90, 70).unwrap();
    let logits = drawing::logits("discs", 64);
    let mask = LogitMask::new(&upsampler, &logits).unwrap();
    let (mut direct, mut copied) = (vec![9; 100 * 70], vec![9; 100 * 70]);
    mask.write_to(&mut direct, 100, 255).unwrap();
    mask.bitmask()
        .unwrap()
        .write_to(&mut copied, 100, 255)
        .unwrap();
    assert_eq!(direct, copied);
    assert!(direct.contains(&255));
}

#[test]
fn a_buffer_that_is_too_small_is_refused_and_not_touched() {
    let upsampler = Upsampler::new(64, Geometry::Stretch, 30, 20).unwrap();
    let logits = vec![1.0; 64 * 64];
    let from_logits = LogitMask::new(&upsampler, &logits).unwrap();
    let from_bytes = from_logits.bitmask().unwrap();

    let needed = 19 * 32 + 30;
    let mut buffer = vec![3; needed - 1];
    let too_short = MaskError::BufferTooShort {
        width: 30,
        height: 20,
        row_stride: 32,
        needed: needed as u128,
        given: needed - 1,
    };
    assert_eq!(
        from_logits.write_to(&mut buffer, 32, 1),
        Err(too_short.clone())
    );
    assert_eq!(from_bytes.write_to(&mut buffer, 32, 1), Err(too_short));

    let stride = MaskError::StrideTooShort {
        row_stride: 29,
        width: 30,
    };
    assert_eq!(
        from_logits.write_to(&mut buffer, 29, 1),
        Err(stride.clone())
    );
    assert_eq!(from_bytes.write_to(&mut buffer, 29, 1), Err(stride));
    assert!(from_logits.write_to(&mut buffer, usize::MAX, 1).is_err());
    assert!(buffer.iter().all(|&byte| byte == 3));

    // The last row needs no padding.
    let mut buffer = vec![3; needed];
    from_logits.write_to(&mut buffer, 32, 1).unwrap();
    from_bytes.write_to(&mut buffer, 32, 1).unwrap();
    assert_eq!(buffer[needed - 1], 1);
    assert_eq!(buffer[30], 3);
}
