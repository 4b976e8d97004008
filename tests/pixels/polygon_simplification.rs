//! Outlines with fewer vertices.

use std::collections::HashSet;

use proptest::prelude::*;
use sam_mm::mask::{Bitmask, Geometry, LogitMask, PolygonOptions, Upsampler};

use crate::{bitmask::any_bitmask, drawing, polygon_rings::twice_signed_area};

/// Distance of a point from the line between two others.
fn distance(point: [u32; 2], from: [u32; 2], to: [u32; 2]) -> f64 {
    let [[px, py], [ax, ay], [bx, by]] = [point, from, to].map(|p| p.map(f64::from));
    let (dx, dy) = (bx - ax, by - ay);
    let length_squared = dx * dx + dy * dy;
    let along = if length_squared > 0.0 {
        (((px - ax) * dx + (py - ay) * dy) / length_squared).clamp(0.0, 1.0)
    } else {
        0.0
    };
    (px - ax - along * dx).hypot(py - ay - along * dy)
}

fn options(tolerance: f64) -> PolygonOptions {
    PolygonOptions {
        tolerance,
        ..PolygonOptions::default()
    }
}

proptest! {
    #[test]
    fn vertices_are_left_out_only_within_the_tolerance(mask in any_bitmask(30), tolerance in 0.0..6.0f64) {
        let exact = mask.polygons(&options(0.0)).unwrap();
        let simplified = mask.polygons(&options(tolerance)).unwrap();
        prop_assert_eq!(simplified.rings().len(), exact.rings().len());
        for (index, ring) in simplified.rings().iter().enumerate() {
            prop_assert_eq!(ring.parent, exact.rings()[index].parent);
            prop_assert_eq!(ring.is_hole, exact.rings()[index].is_hole);
            let (all, kept) = (exact.ring_vertices(index), simplified.ring_vertices(index));
            prop_assert!(kept.len() >= 3);
            prop_assert_eq!(twice_signed_area(kept) < 0, ring.is_hole);
            // Where a ring passes a corner twice, it is not certain which of the two stayed.
            if all.iter().collect::<HashSet<_>>().len() == all.len() {
                check_ring(all, kept, tolerance)?;
            }
        }
    }
}

/// `kept` is `all` in the same order with vertices left out, each of which is near the edge that replaces it.
fn check_ring(all: &[[u32; 2]], kept: &[[u32; 2]], tolerance: f64) -> Result<(), TestCaseError> {
    prop_assert_eq!(all[0], kept[0]);
    let mut next = 0;
    for &vertex in all {
        if next < kept.len() && vertex == kept[next] {
            next += 1;
            continue;
        }
        let (from, to) = (kept[next - 1], kept[next % kept.len()]);
        let off = distance(vertex, from, to);
        prop_assert!(
            off <= tolerance + 1e-9,
            "{:?} is {} from {:?} to {:?}",
            vertex,
            off,
            from,
            to
        );
    }
    prop_assert_eq!(next, kept.len());
    Ok(())
}

#[test]
fn a_smooth_outline_loses_most_vertices_and_hardly_any_area() {
    let upsampler = Upsampler::new(256, Geometry::Stretch, 1800, 1200).unwrap();
    let logits = drawing::logits("discs", 256);
    let mask = LogitMask::new(&upsampler, &logits).unwrap();
    let exact = mask.polygons(&options(0.0)).unwrap();
    let simplified = mask.polygons(&options(1.0)).unwrap();
    assert!(simplified.vertices().len() * 4 < exact.vertices().len());
    let area = |polygons: &sam_mm::mask::Polygons| {
        let rings = 0..polygons.rings().len();
        rings
            .map(|index| twice_signed_area(polygons.ring_vertices(index)) as f64 / 2.0)
            .sum::<f64>()
    };
    let (before, after) = (area(&exact), area(&simplified));
    assert!(
        (after / before - 1.0).abs() < 0.01,
        "{before} became {after}"
    );
}

#[test]
fn a_ring_much_narrower_than_the_tolerance_stays_a_ring() {
    // A diagonal staircase, 1000 steps long and 1 pixel wide.
    let side = 500;
    let mut pixels = vec![0; side * side];
    for i in 0..side - 1 {
        pixels[i * side + i] = 1;
        pixels[i * side + i + 1] = 1;
    }
    let mask = Bitmask::from_pixels(side as u32, side as u32, pixels).unwrap();
    let simplified = mask.polygons(&options(50.0)).unwrap();
    assert_eq!(simplified.rings().len(), 1);
    let vertices = simplified.vertices();
    assert!(
        (3..20).contains(&vertices.len()),
        "{} vertices",
        vertices.len()
    );
    assert!(twice_signed_area(vertices) > 0);
}

#[test]
fn a_comb_of_thirty_thousand_teeth_is_simplified_without_deep_recursion() {
    // One region whose outline goes up and down all along the image.
    let (width, height) = (60_000, 9);
    let mut pixels = vec![0; width * height];
    for (x, y) in (0..width).flat_map(|x| (0..height).map(move |y| (x, y))) {
        let tooth = x % 2 == 0 && y > drawing::noise(x, 6) as usize % 8;
        pixels[y * width + x] = u8::from(y == height - 1 || tooth);
    }
    let mask = Bitmask::from_pixels(width as u32, height as u32, pixels).unwrap();
    let exact = mask.polygons(&options(0.0)).unwrap();
    assert_eq!(exact.rings().len(), 1);
    let simplified = mask.polygons(&options(0.6)).unwrap();
    check_ring(exact.vertices(), simplified.vertices(), 0.6).unwrap();
    assert!(simplified.vertices().len() < exact.vertices().len());
}
