//! The parts against what the official code makes of the same: `tools/goldens/make_everything_goldens.py`.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::crop::{Crop, crops_of};
use super::grid::{grid, grids_of_layers};
use super::nms::suppress;
use super::region::{clean_logits, without_small_regions};
use crate::mask::{Bitmask, Rle};

fn section(name: &str) -> Vec<Value> {
    let goldens: Value =
        serde_json::from_str(include_str!("../../tests/everything/goldens.json")).unwrap();
    let entries = goldens[name].as_array().unwrap().clone();
    assert!(!entries.is_empty());
    entries
}

fn get<T: DeserializeOwned>(entry: &Value, key: &str) -> T {
    serde_json::from_value(entry[key].clone()).unwrap()
}

/// 32 random-looking bits for an index.
fn noise(index: u32, seed: u32) -> u32 {
    let mut h = index.wrapping_add(seed.wrapping_mul(0x9E37_79B9));
    h = (h ^ (h >> 16)).wrapping_mul(0x7FEB_352D);
    h = (h ^ (h >> 15)).wrapping_mul(0x846C_A68B);
    h ^ (h >> 16)
}

fn speckled(entry: &Value, width: u32, height: u32) -> Vec<u8> {
    let most = (get::<f64>(entry, "density") * f64::from(0x10000)) as u32;
    let seed = get(entry, "seed");
    (0..width * height)
        .map(|index| u8::from(noise(index, seed) & 0xFFFF < most))
        .collect()
}

#[test]
fn points_of_grids_are_those_of_the_official_code_to_the_last_bit() {
    for entry in section("grids") {
        let axis: Vec<f64> = get(&entry, "axis");
        let made = grid(get(&entry, "points_per_side"));
        let wanted = axis.iter().flat_map(|&y| axis.iter().map(move |&x| [x, y]));
        assert_eq!(made, wanted.collect::<Vec<_>>());
    }
    for entry in section("layers") {
        let grids = grids_of_layers(
            get(&entry, "points_per_side"),
            get(&entry, "layers"),
            get(&entry, "factor"),
        );
        let lens: Vec<usize> = grids.unwrap().iter().map(Vec::len).collect();
        assert_eq!(lens, get::<Vec<usize>>(&entry, "points"));
    }
}

#[test]
fn crops_lie_where_those_of_the_official_code_do() {
    for entry in section("crops") {
        let size = (get(&entry, "width"), get(&entry, "height"));
        let made = crops_of(size, get(&entry, "layers"), get(&entry, "overlap_ratio")).unwrap();
        let flat = made.iter().map(|crop| {
            let [x0, y0, x1, y1] = crop.corners;
            [crop.layer, x0, y0, x1, y1]
        });
        assert_eq!(
            flat.collect::<Vec<_>>(),
            get::<Vec<[u32; 5]>>(&entry, "crops")
        );
    }
}

#[test]
fn an_image_with_fewer_pixels_than_crops_is_refused_with_its_size() {
    let said = crops_of((3, 300), 2, 0.1).unwrap_err().to_string();
    assert!(
        said.contains("crop_n_layers is 2") && said.contains("3 x 300"),
        "{said}"
    );
}

#[test]
fn masks_that_a_crop_cuts_are_told_as_in_the_official_code() {
    for entry in section("edges") {
        let crop = Crop {
            layer: 1,
            corners: get(&entry, "crop"),
        };
        let [width, height] = get(&entry, "image");
        let boxes: Vec<[u32; 4]> = get(&entry, "boxes");
        let cut: Vec<bool> = boxes
            .iter()
            .map(|&inclusive| crop.cuts(inclusive, (width, height)))
            .collect();
        assert_eq!(cut, get::<Vec<bool>>(&entry, "cut"), "{crop:?}");
    }
}

#[test]
fn of_duplicates_the_same_stay_in_the_same_order_ties_and_all() {
    for entry in section("duplicates") {
        let (count, seed, levels): (u32, u32, u32) = (
            get(&entry, "count"),
            get(&entry, "seed"),
            get(&entry, "levels"),
        );
        let bits = |index: u32, part: u32| noise(5 * index + part, seed);
        let boxes: Vec<[f32; 4]> = (0..count)
            .map(|index| {
                let corner = [0, 1].map(|part| bits(index, part) % 24);
                let size = [2, 3].map(|part| bits(index, part) % 9);
                [
                    corner[0],
                    corner[1],
                    corner[0] + size[0],
                    corner[1] + size[1],
                ]
                .map(|side| side as f32)
            })
            .collect();
        let scores: Vec<f32> = (0..count)
            .map(|index| (bits(index, 4) % levels) as f32 / levels as f32)
            .collect();
        let mut kept = suppress(&boxes, &scores, get(&entry, "threshold"));
        if count > 1000 {
            // Of so many, torchvision leaves the order of equal scores to chance.
            kept.sort_unstable();
        }
        assert_eq!(kept, get::<Vec<usize>>(&entry, "kept"), "{count} boxes");
    }
}

#[test]
fn small_regions_and_holes_go_as_in_the_official_code() {
    for entry in section("regions") {
        let (width, height) = (get(&entry, "width"), get(&entry, "height"));
        let pixels = speckled(&entry, width, height);
        let mask = Bitmask::from_pixels(width, height, pixels).unwrap().rle();
        let cleaned = without_small_regions(&mask, get(&entry, "min_area"));
        assert_eq!(cleaned.is_some(), get::<bool>(&entry, "changed"), "{entry}");
        let cleaned = cleaned.unwrap_or(mask);
        let wanted: String = get(&entry, "rle");
        assert_eq!(
            cleaned,
            Rle::from_compressed(width, height, &wanted).unwrap(),
            "{entry}"
        );
    }
}

#[test]
fn logits_are_cleaned_as_sam_2_does_on_a_gpu() {
    for entry in section("logits") {
        let mut logits: Vec<f32> = speckled(&entry, 32, 32)
            .iter()
            .map(|&on| if on == 1 { 3.0 } else { -2.0 })
            .collect();
        clean_logits(&mut logits, 32, get(&entry, "max_area"));
        let pixels = logits.iter().map(|&logit| u8::from(logit > 0.0)).collect();
        let mask = Bitmask::from_pixels(32, 32, pixels).unwrap();
        assert_eq!(mask.rle().to_compressed(), get::<String>(&entry, "rle"));
        assert_eq!(logits.iter().sum::<f32>(), get::<f32>(&entry, "sum"));
    }
}
