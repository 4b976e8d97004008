//! Run-length encoding, against pycocotools.

use proptest::prelude::*;
use sam_mm::mask::{Bitmask, MaskError, MaskSource, PolygonOptions, Rle};

use crate::{
    bitmask::any_bitmask,
    goldens::{number, numbers, section, text},
};

/// Rectangles drawn one after the other, each the inverse of what was there.
fn rectangles(width: u32, height: u32, rectangles: &[[u32; 4]]) -> Bitmask {
    let mut pixels = vec![0; width as usize * height as usize];
    for &[left, top, columns, rows] in rectangles {
        for y in top..height.min(top + rows) {
            for x in left..width.min(left + columns) {
                pixels[(y * width + x) as usize] ^= 1;
            }
        }
    }
    Bitmask::from_pixels(width, height, pixels).unwrap()
}

#[test]
fn counts_text_area_and_box_are_those_of_pycocotools() {
    for golden in section("rle") {
        let (width, height) = (number(&golden, "width"), number(&golden, "height"));
        let drawn: Vec<[u32; 4]> = serde_json::from_value(golden["rectangles"].clone()).unwrap();
        let mask = rectangles(width, height, &drawn);
        let rle = mask.rle();
        assert_eq!(rle.counts(), numbers(&golden, "counts"));
        assert_eq!(rle.to_compressed(), text(&golden, "rle"));
        assert_eq!(rle.area(), u64::from(number(&golden, "area")));
        assert_eq!(mask.extent().area, rle.area());
        let bounds = mask.extent().bounding_box;
        assert_eq!(
            [bounds.x, bounds.y, bounds.width, bounds.height].as_slice(),
            numbers(&golden, "box")
        );
        let read = Rle::from_compressed(width, height, text(&golden, "rle")).unwrap();
        assert_eq!(read, rle);
        assert_eq!(read.decode().unwrap(), mask);
    }
}

/// All runs, line by line.
fn runs(each: impl FnOnce(&mut dyn FnMut(u32, &[sam_mm::mask::Run]))) -> Vec<(u32, u32, u32)> {
    let mut all = Vec::new();
    each(&mut |line, runs| all.extend(runs.iter().map(|run| (line, run.start, run.end))));
    all
}

proptest! {
    #[test]
    fn runs_read_line_by_line_are_those_of_the_drawn_mask(mask in any_bitmask(90)) {
        let rle = mask.rle();
        prop_assert_eq!(runs(|visit| rle.for_each_row(visit)), runs(|visit| mask.for_each_row(visit)));
        prop_assert_eq!(runs(|visit| rle.for_each_column(visit)), runs(|visit| mask.for_each_column(visit)));
        prop_assert_eq!(rle.extent(), mask.extent());
        let exact = PolygonOptions::default();
        prop_assert_eq!(rle.polygons(&exact).unwrap(), mask.polygons(&exact).unwrap());
        let (width, height) = (mask.width() as usize, mask.height() as usize);
        let mut written = vec![7; (width + 3) * height];
        rle.write_to(&mut written, width + 3, 9).unwrap();
        for (row, drawn) in written.chunks(width + 3).zip(mask.pixels().chunks(width)) {
            prop_assert!(row[..width].iter().zip(drawn).all(|(&to, &on)| to == 9 * on));
            prop_assert_eq!(&row[width..], &[7; 3]);
        }
    }

    #[test]
    fn a_part_is_encoded_as_the_whole_with_nothing_around_it(
        mask in any_bitmask(30), before in (0..9_u32, 0..9_u32), behind in (0..9_u32, 0..9_u32),
    ) {
        let (width, height) = (before.0 + mask.width() + behind.0, before.1 + mask.height() + behind.1);
        let mut pixels = vec![0; (width * height) as usize];
        for (y, row) in (before.1..).zip(mask.pixels().chunks(mask.width() as usize)) {
            pixels[(y * width + before.0) as usize..][..row.len()].copy_from_slice(row);
        }
        let whole = Bitmask::from_pixels(width, height, pixels).unwrap();
        let (rle, extent) = Rle::encode_part(&mask, before, (width, height));
        prop_assert_eq!(rle, whole.rle());
        prop_assert_eq!(extent, whole.extent());
    }

    #[test]
    fn a_mask_survives_encoding_compression_and_back(mask in any_bitmask(40)) {
        let rle = mask.rle();
        let read = Rle::from_compressed(mask.width(), mask.height(), &rle.to_compressed()).unwrap();
        prop_assert_eq!(&read, &rle);
        prop_assert_eq!(read.decode().unwrap(), mask);
    }

    #[test]
    fn counts_alternate_and_only_the_first_may_be_zero(mask in any_bitmask(30)) {
        let rle = mask.rle();
        prop_assert!(rle.counts()[1..].iter().all(|&count| count > 0));
        let first_is_foreground = mask.pixels()[0] == 1;
        prop_assert_eq!(rle.counts()[0] == 0, first_is_foreground);
        prop_assert_eq!(rle.counts().iter().sum::<u32>(), mask.width() * mask.height());
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[ -~\u{e9}]{0,40}", width in 0u32..50, height in 0u32..50) {
        if let Ok(rle) = Rle::from_compressed(width, height, &text) {
            prop_assert_eq!(rle.decode().unwrap().extent().area, rle.area());
        }
    }

    #[test]
    fn counts_of_every_size_survive_compression(counts in prop::collection::vec(0u32..10_000_000, 1..60)) {
        // As many pixels as the counts say, in columns of 1000.
        let mut counts = counts;
        let sum: u32 = counts.iter().sum();
        counts.push(sum.next_multiple_of(20_000) - sum);
        let pixels: u32 = counts.iter().sum();
        prop_assume!(pixels > 0 && pixels / 20_000 <= 50_000);
        let rle = Rle::from_counts(pixels / 20_000, 20_000, counts).unwrap();
        prop_assert_eq!(Rle::from_compressed(rle.width(), rle.height(), &rle.to_compressed()), Ok(rle));
    }
}

#[test]
fn counts_that_do_not_fill_the_mask_are_refused() {
    for (counts, sum) in [
        (vec![3, 2], 5),
        (vec![], 0),
        (vec![u32::MAX; 4], 4 * u64::from(u32::MAX)),
    ] {
        assert_eq!(
            Rle::from_counts(2, 3, counts),
            Err(MaskError::RleLength {
                sum,
                needed: 6,
                width: 2,
                height: 3
            })
        );
    }
    assert_eq!(
        Rle::from_counts(0, 3, vec![]),
        Err(MaskError::Size {
            width: 0,
            height: 3
        })
    );
}

#[test]
fn text_that_is_no_encoding_is_refused_with_the_place() {
    let refusal = |text| Rle::from_compressed(2, 3, text).unwrap_err();
    assert_eq!(
        refusal("3/"),
        MaskError::RleCharacter {
            byte: b'/',
            position: 1
        }
    );
    assert_eq!(
        refusal("3p"),
        MaskError::RleCharacter {
            byte: b'p',
            position: 1
        }
    );
    // A group that announces another, and the end.
    assert_eq!(refusal("3P"), MaskError::RleCount { position: 1 });
    assert_eq!(refusal("ooooooooo"), MaskError::RleCount { position: 0 });
    // Minus one.
    assert_eq!(refusal("O"), MaskError::RleCount { position: 0 });
}
