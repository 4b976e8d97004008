//! Exact outlines.

use proptest::prelude::*;
use sam_mm::mask::{Bitmask, Connectivity, MaskError, PolygonOptions, Polygons};

use crate::{bitmask::any_bitmask, drawing};

/// Filled by the even-odd rule: each vertical edge inverts all pixels to the right of it.
pub fn fill(polygons: &Polygons, width: u32, height: u32) -> Bitmask {
    let (columns, rows) = (width as usize, height as usize);
    let mut toggles = vec![0u8; (columns + 1) * rows];
    for index in 0..polygons.rings().len() {
        let ring = polygons.ring_vertices(index);
        for (&[x, y], &[next_x, next_y]) in ring.iter().zip(ring.iter().cycle().skip(1)) {
            assert!(
                (x == next_x) != (y == next_y),
                "an edge is neither level nor upright"
            );
            if x == next_x {
                for y in y.min(next_y)..y.max(next_y) {
                    toggles[y as usize * (columns + 1) + x as usize] ^= 1;
                }
            }
        }
    }
    let mut pixels = Vec::new();
    for row in toggles.chunks_exact(columns + 1) {
        let mut inside = 0;
        pixels.extend(row[..columns].iter().map(|toggle| {
            inside ^= toggle;
            inside
        }));
    }
    Bitmask::from_pixels(width, height, pixels).unwrap()
}

/// Positive when the ring runs clockwise on the screen.
pub fn twice_signed_area(ring: &[[u32; 2]]) -> i64 {
    let edges = ring.iter().zip(ring.iter().cycle().skip(1));
    edges
        .map(|(a, b)| i64::from(a[0]) * i64::from(b[1]) - i64::from(b[0]) * i64::from(a[1]))
        .sum()
}

/// Number of connected regions of `value`, and how many of them do not reach the border.
fn regions(mask: &Bitmask, value: u8, connectivity: Connectivity) -> (usize, usize) {
    let (width, height) = (mask.width() as i32, mask.height() as i32);
    let mut left: Vec<bool> = mask.pixels().iter().map(|&pixel| pixel == value).collect();
    let (mut all, mut inner) = (0, 0);
    for start in 0..left.len() {
        if !left[start] {
            continue;
        }
        let mut reaches_border = false;
        let mut pending = vec![start as i32];
        left[start] = false;
        while let Some(at) = pending.pop() {
            let (x, y) = (at % width, at / width);
            for (dx, dy) in [
                (1, 0),
                (0, 1),
                (-1, 0),
                (0, -1),
                (1, 1),
                (-1, 1),
                (-1, -1),
                (1, -1),
            ] {
                if dx != 0 && dy != 0 && connectivity == Connectivity::Four {
                    continue;
                }
                let (x, y) = (x + dx, y + dy);
                if !(0..width).contains(&x) || !(0..height).contains(&y) {
                    reaches_border = true;
                } else if std::mem::take(&mut left[(y * width + x) as usize]) {
                    pending.push(y * width + x);
                }
            }
        }
        all += 1;
        inner += usize::from(!reaches_border);
    }
    (all, inner)
}

const BOTH: [Connectivity; 2] = [Connectivity::Four, Connectivity::Eight];

fn exact(connectivity: Connectivity) -> PolygonOptions {
    PolygonOptions {
        connectivity,
        ..PolygonOptions::default()
    }
}

fn drawn(rows: &[&str]) -> Bitmask {
    let pixels = rows
        .concat()
        .bytes()
        .map(|byte| u8::from(byte == b'#'))
        .collect();
    Bitmask::from_pixels(rows[0].len() as u32, rows.len() as u32, pixels).unwrap()
}

proptest! {
    #[test]
    fn filling_the_rings_gives_the_mask_back(mask in any_bitmask(24)) {
        for connectivity in BOTH {
            let polygons = mask.polygons(&exact(connectivity)).unwrap();
            prop_assert_eq!(&fill(&polygons, mask.width(), mask.height()), &mask);
        }
    }

    #[test]
    fn there_is_an_outer_ring_for_each_region_and_a_hole_for_each_enclosed_one(mask in any_bitmask(16)) {
        for (connectivity, of_background) in [
            (Connectivity::Four, Connectivity::Eight),
            (Connectivity::Eight, Connectivity::Four),
        ] {
            let polygons = mask.polygons(&exact(connectivity)).unwrap();
            let holes = polygons.rings().iter().filter(|ring| ring.is_hole).count();
            prop_assert_eq!(polygons.rings().len() - holes, regions(&mask, 1, connectivity).0);
            prop_assert_eq!(holes, regions(&mask, 0, of_background).1);
        }
    }

    #[test]
    fn outer_rings_are_positive_holes_negative_and_the_sum_is_the_area(mask in any_bitmask(24)) {
        for connectivity in BOTH {
            let polygons = mask.polygons(&exact(connectivity)).unwrap();
            let mut sum = 0;
            for (index, ring) in polygons.rings().iter().enumerate() {
                let area = twice_signed_area(polygons.ring_vertices(index));
                prop_assert_eq!(area < 0, ring.is_hole);
                sum += area;
            }
            prop_assert_eq!(sum, 2 * mask.extent().area as i64);
        }
    }

    #[test]
    fn vertices_are_used_once_and_only_where_the_ring_turns(mask in any_bitmask(24)) {
        let polygons = mask.polygons(&PolygonOptions::default()).unwrap();
        let mut end = 0;
        for (index, ring) in polygons.rings().iter().enumerate() {
            prop_assert_eq!(ring.range.start, end);
            end = ring.range.end;
            let vertices = polygons.ring_vertices(index);
            let next = vertices.iter().cycle().skip(1);
            for ((a, b), c) in vertices.iter().zip(next).zip(vertices.iter().cycle().skip(2)) {
                prop_assert!((a[0] == b[0]) != (b[0] == c[0]), "no turn at {:?}", b);
            }
        }
        prop_assert_eq!(end, polygons.vertices().len());
    }

    #[test]
    fn a_parent_is_the_innermost_ring_of_the_other_kind_around_its_child(mask in any_bitmask(16)) {
        for connectivity in BOTH {
            let polygons = mask.polygons(&exact(connectivity)).unwrap();
            let filled: Vec<_> = (0..polygons.rings().len())
                .map(|index| alone(&polygons, index, &mask))
                .collect();
            for (index, ring) in polygons.rings().iter().enumerate() {
                let inside = filled[index].extent().area;
                let around = |other: &usize| {
                    *other != index && filled[*other].extent().area > inside && contains(&filled[*other], &filled[index])
                };
                let innermost = (0..filled.len()).filter(around).min_by_key(|&other| filled[other].extent().area);
                prop_assert_eq!(ring.parent, innermost);
                if let Some(parent) = innermost {
                    prop_assert!(parent < index);
                    prop_assert_ne!(polygons.rings()[parent].is_hole, ring.is_hole);
                }
                prop_assert!(innermost.is_some() || !ring.is_hole);
            }
        }
    }

    #[test]
    fn a_minimum_area_drops_exactly_the_rings_below_it(mask in any_bitmask(16), min_area in 0u64..12) {
        let all = mask.polygons(&PolygonOptions::default()).unwrap();
        let kept = mask.polygons(&PolygonOptions { min_area, ..PolygonOptions::default() }).unwrap();
        let expected: Vec<_> = (0..all.rings().len())
            .map(|index| all.ring_vertices(index))
            .filter(|ring| twice_signed_area(ring).unsigned_abs() / 2 >= min_area)
            .collect();
        let found: Vec<_> = (0..kept.rings().len()).map(|index| kept.ring_vertices(index)).collect();
        prop_assert_eq!(found, expected);
        for ring in kept.rings() {
            prop_assert_eq!(ring.parent.map(|parent| kept.rings()[parent].is_hole), ring.parent.map(|_| !ring.is_hole));
            prop_assert!(ring.parent.is_some() || !ring.is_hole);
        }
    }
}

/// What one ring encloses.
fn alone(polygons: &Polygons, index: usize, mask: &Bitmask) -> Bitmask {
    let ring = polygons.ring_vertices(index);
    let mut pixels = vec![0; mask.pixels().len()];
    for (at, pixel) in (0..).zip(&mut pixels) {
        let (x, y) = (at % mask.width(), at / mask.width());
        let edges = ring.iter().zip(ring.iter().cycle().skip(1));
        let left_of_pixel = edges.filter(|(a, b)| {
            a[0] == b[0] && a[0] <= x && a[1].min(b[1]) <= y && y < a[1].max(b[1])
        });
        *pixel = (left_of_pixel.count() % 2) as u8;
    }
    Bitmask::from_pixels(mask.width(), mask.height(), pixels).unwrap()
}

fn contains(outer: &Bitmask, inner: &Bitmask) -> bool {
    outer
        .pixels()
        .iter()
        .zip(inner.pixels())
        .all(|(outer, inner)| outer >= inner)
}

#[test]
fn a_pixel_is_a_square_that_runs_clockwise_from_its_upper_left() {
    let polygons = drawn(&["...", ".#."])
        .polygons(&PolygonOptions::default())
        .unwrap();
    assert_eq!(polygons.vertices(), [[1, 1], [2, 1], [2, 2], [1, 2]]);
    assert_eq!(polygons.rings().len(), 1);
    assert_eq!(polygons.rings()[0].parent, None);
}

#[test]
fn an_island_in_a_hole_knows_both() {
    let mask = drawn(&["#######", "#.....#", "#.#.#.#", "#.....#", "#######"]);
    let polygons = mask.polygons(&PolygonOptions::default()).unwrap();
    let nesting: Vec<_> = polygons
        .rings()
        .iter()
        .map(|ring| (ring.is_hole, ring.parent))
        .collect();
    assert_eq!(
        nesting,
        [
            (false, None),
            (true, Some(0)),
            (false, Some(1)),
            (false, Some(1))
        ]
    );
}

#[test]
fn pixels_that_touch_at_a_corner_are_one_or_two_as_asked() {
    for mask in [drawn(&["#.", ".#"]), drawn(&[".#", "#."])] {
        let rings = |connectivity| mask.polygons(&exact(connectivity)).unwrap().rings().len();
        assert_eq!(rings(Connectivity::Four), 2);
        assert_eq!(rings(Connectivity::Eight), 1);
    }
}

#[test]
fn a_mask_without_foreground_has_no_rings_and_a_full_one_has_the_frame() {
    let empty = Bitmask::from_pixels(4, 3, vec![0; 12]).unwrap();
    assert_eq!(
        empty.polygons(&PolygonOptions::default()).unwrap(),
        Polygons::default()
    );
    let full = Bitmask::from_pixels(4, 3, vec![1; 12]).unwrap();
    let polygons = full.polygons(&PolygonOptions::default()).unwrap();
    assert_eq!(polygons.vertices(), [[0, 0], [4, 0], [4, 3], [0, 3]]);
}

#[test]
fn a_minimum_area_fills_small_holes_and_drops_small_regions() {
    let mask = drawn(&["####.#", "#.##..", "####..", "......"]);
    let options = PolygonOptions {
        min_area: 2,
        ..PolygonOptions::default()
    };
    let polygons = mask.polygons(&options).unwrap();
    assert_eq!(polygons.vertices(), [[0, 0], [4, 0], [4, 3], [0, 3]]);
}

#[test]
fn large_noise_and_the_longest_sides_are_traced() {
    let (width, height) = (3000, 2000);
    let pixels = (0..width * height)
        .map(|i| (drawing::noise(i, 5) >> 7 & 1) as u8)
        .collect();
    let mask = Bitmask::from_pixels(width as u32, height as u32, pixels).unwrap();
    for connectivity in BOTH {
        let polygons = mask.polygons(&exact(connectivity)).unwrap();
        assert_eq!(fill(&polygons, mask.width(), mask.height()), mask);
    }
    for (width, height) in [(65_535, 1), (1, 65_535)] {
        let pixels = (0..65_535).map(|i| (i % 2) as u8).collect();
        let mask = Bitmask::from_pixels(width, height, pixels).unwrap();
        let polygons = mask.polygons(&PolygonOptions::default()).unwrap();
        assert_eq!(polygons.rings().len(), 32_767);
        assert_eq!(fill(&polygons, width, height), mask);
    }
}

#[test]
fn a_tolerance_that_is_no_distance_is_refused() {
    let mask = drawn(&["#"]);
    for tolerance in [-1.0, -f64::MIN_POSITIVE, f64::INFINITY] {
        let options = PolygonOptions {
            tolerance,
            ..PolygonOptions::default()
        };
        assert_eq!(
            mask.polygons(&options),
            Err(MaskError::Tolerance { tolerance })
        );
    }
    let options = PolygonOptions {
        tolerance: f64::NAN,
        ..PolygonOptions::default()
    };
    assert!(mask.polygons(&options).is_err());
}
