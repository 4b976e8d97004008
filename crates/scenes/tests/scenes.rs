//! What tests and benchmarks rely on when they draw scenes.

use sam_mm_scenes::{Mask, Scene};

const SEEDS: std::ops::Range<u64> = 0..40;

#[test]
fn a_seed_always_draws_the_same_scene() {
    let (one, other) = (Scene::draw(3), Scene::draw(3));
    assert_eq!(one.image, other.image);
    assert_eq!(one.masks, other.masks);
    assert_eq!(one.prompts(5, 4), other.prompts(5, 4));
    assert_ne!(one.image, Scene::draw(4).image);
    assert_ne!(one.prompts(5, 4), one.prompts(6, 4));
}

/// The bounds that the demo model is held to were measured on these very scenes.
#[test]
fn scenes_stay_as_they_were_when_the_demo_model_was_measured() {
    let summary = |seed| {
        let scene = Scene::draw(seed);
        let brightness: u64 = scene
            .image
            .pixels
            .iter()
            .map(|&value| u64::from(value))
            .sum();
        let areas: Vec<_> = scene.masks.iter().map(Mask::area).collect();
        let clicks: Vec<_> = scene
            .prompts(seed, 2)
            .iter()
            .map(|prompt| prompt.click)
            .collect();
        (brightness, areas, clicks)
    };
    assert_eq!(
        summary(0),
        (
            20_222_565,
            vec![6297, 1637, 10_984, 1705],
            vec![[144.0, 95.0], [194.0, 236.0]]
        )
    );
    assert_eq!(
        summary(1),
        (
            26_980_574,
            vec![219, 3332, 1601, 6015, 1149, 518, 319, 3019, 2753],
            vec![[129.0, 126.0], [141.0, 123.0]]
        )
    );
}

#[test]
fn every_scene_has_objects_of_a_size_that_can_be_found() {
    for seed in SEEDS {
        let scene = Scene::draw(seed);
        assert!(!scene.masks.is_empty());
        assert!(
            scene.masks.iter().all(|mask| mask.area() > 150),
            "seed {seed}"
        );
    }
}

#[test]
fn objects_are_visible_in_the_image() {
    // The mean colour of an object's pixels differs from that of its surroundings, for nearly all objects.
    let mut told_apart = 0;
    let mut objects = 0;
    for seed in SEEDS {
        let scene = Scene::draw(seed);
        for mask in &scene.masks {
            let mean = |inside: bool| -> [f64; 3] {
                let pixels = scene
                    .image
                    .pixels
                    .as_chunks::<3>()
                    .0
                    .iter()
                    .zip(&mask.pixels);
                let chosen: Vec<_> = pixels
                    .filter(|(_, pixel)| **pixel == inside)
                    .map(|(color, _)| color)
                    .collect();
                std::array::from_fn(|c| {
                    chosen.iter().map(|color| f64::from(color[c])).sum::<f64>()
                        / chosen.len().max(1) as f64
                })
            };
            let (inside, outside) = (mean(true), mean(false));
            let apart = inside
                .iter()
                .zip(outside)
                .map(|(a, b)| (a - b).powi(2))
                .sum::<f64>()
                .sqrt();
            told_apart += usize::from(apart > 10.0);
            objects += 1;
        }
    }
    assert!(told_apart * 10 > objects * 9, "{told_apart} of {objects}");
}

#[test]
fn clicks_lie_on_their_object_and_boxes_around_it() {
    for seed in SEEDS {
        let scene = Scene::draw(seed);
        for prompt in scene.prompts(seed, 8) {
            let mask = &scene.masks[prompt.object];
            let [x, y] = prompt.click;
            assert!(
                mask.contains(x as usize, y as usize),
                "seed {seed}: {prompt:?}"
            );
            let [x0, y0, x1, y1] = prompt.bounds;
            assert!(x0 < x1 && y0 < y1, "seed {seed}: {prompt:?}");
            let truth = mask.bounds().unwrap().map(|side| side as f32);
            let overlap =
                (x1.min(truth[2]) - x0.max(truth[0])) * (y1.min(truth[3]) - y0.max(truth[1]));
            let size = (truth[2] - truth[0]) * (truth[3] - truth[1]);
            assert!(
                overlap > 0.5 * size,
                "seed {seed}: {prompt:?} around {truth:?}"
            );
        }
    }
}

#[test]
fn other_sizes_are_drawn_with_objects_that_grow_along() {
    let share = |width, height| {
        let areas = |seed| -> usize {
            Scene::draw_sized(seed, width, height)
                .masks
                .iter()
                .map(Mask::area)
                .sum()
        };
        (0..12).map(areas).sum::<usize>() as f64 / (12 * width * height) as f64
    };
    let shares = [share(256, 256), share(400, 400), share(96, 96)];
    let (low, high) = (
        shares.iter().copied().fold(1.0, f64::min),
        shares.iter().copied().fold(0.0, f64::max),
    );
    assert!(high - low < 0.05, "{shares:?}");
    let wide = Scene::draw_sized(1, 300, 170);
    assert_eq!((wide.image.width, wide.image.height), (300, 170));
    assert_eq!(wide.image.pixels.len(), 300 * 170 * 3);
    assert!(
        wide.masks
            .iter()
            .all(|mask| (mask.width, mask.height) == (300, 170))
    );
}

#[test]
fn iou_counts_common_and_joint_pixels() {
    let mask = |x0: usize, x1: usize| Mask::from_fn(4, 2, |x, _| (x0..x1).contains(&x));
    assert_eq!(mask(0, 2).iou(&mask(1, 4).pixels), 0.25);
    assert_eq!(mask(0, 2).iou(&mask(0, 2).pixels), 1.0);
    assert_eq!(mask(0, 0).iou(&mask(0, 0).pixels), 1.0);
    assert_eq!(mask(1, 3).bounds(), Some([1, 0, 3, 2]));
    assert_eq!(mask(0, 0).bounds(), None);
}
