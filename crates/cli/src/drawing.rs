//! Masks and prompts drawn over a picture.

use image::{Rgb, RgbImage};
use sam_mm::mask::Bitmask;

use crate::prompts::Object;

/// Colours that differ for people who see few of them (Okabe and Ito, 2008).
const COLORS: [[u8; 3]; 6] = [
    [230, 159, 0],
    [86, 180, 233],
    [0, 158, 115],
    [204, 121, 167],
    [213, 94, 0],
    [240, 228, 66],
];

/// Tints what is in a mask, and draws its contour.
pub fn mask(picture: &mut RgbImage, mask: &Bitmask, index: usize) {
    let color = COLORS[index % COLORS.len()];
    let (width, height) = picture.dimensions();
    let pixels = mask.pixels();
    let inside = |x: i64, y: i64| {
        let there = x >= 0 && y >= 0 && x < i64::from(width) && y < i64::from(height);
        there && pixels[y as usize * width as usize + x as usize] != 0
    };
    let thickness = i64::from((width.max(height) / 600).max(1));
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        let (x, y) = (i64::from(x), i64::from(y));
        if !inside(x, y) {
            continue;
        }
        let around = [
            (thickness, 0),
            (-thickness, 0),
            (0, thickness),
            (0, -thickness),
        ];
        let is_edge = around.iter().any(|(dx, dy)| !inside(x + dx, y + dy));
        let share = if is_edge { 0.9 } else { 0.45 };
        for (value, color) in pixel.0.iter_mut().zip(color) {
            *value = (f64::from(*value) * (1.0 - share) + f64::from(color) * share) as u8;
        }
    }
}

/// Draws what an object was pointed at with: points in the object are green, others red, boxes white.
pub fn prompts(picture: &mut RgbImage, object: &Object) {
    let radius = (f64::from(picture.width().max(picture.height())) / 120.0).max(2.0);
    if let Some([x0, y0, x1, y1]) = object.bounds {
        frame(picture, [x0, y0, x1, y1].map(f64::from), radius / 3.0);
    }
    for (point, label) in object.points.iter().zip(&object.labels) {
        let color = if *label == 1 {
            [0, 200, 0]
        } else {
            [220, 0, 0]
        };
        let at = point.map(f64::from);
        disc(picture, at, radius * 1.4, [255, 255, 255]);
        disc(picture, at, radius, color);
    }
}

/// Colours the pixels whose centres lie in a rectangle.
fn fill(
    picture: &mut RgbImage,
    [x0, y0, x1, y1]: [f64; 4],
    covers: impl Fn(f64, f64) -> bool,
    color: [u8; 3],
) {
    let (width, height) = picture.dimensions();
    // Casts saturate, so what lies outside is cut off.
    let columns = x0.floor() as u32..(x1.ceil() as u32).min(width);
    for y in y0.floor() as u32..(y1.ceil() as u32).min(height) {
        for x in columns.clone() {
            if covers(f64::from(x) + 0.5, f64::from(y) + 0.5) {
                picture.put_pixel(x, y, Rgb(color));
            }
        }
    }
}

fn disc(picture: &mut RgbImage, [x, y]: [f64; 2], radius: f64, color: [u8; 3]) {
    let bounds = [x - radius, y - radius, x + radius, y + radius];
    let covers = |px: f64, py: f64| (px - x).powi(2) + (py - y).powi(2) <= radius * radius;
    fill(picture, bounds, covers, color);
}

fn frame(picture: &mut RgbImage, [x0, y0, x1, y1]: [f64; 4], thickness: f64) {
    let half = (thickness / 2.0).max(0.5);
    let sides = [
        [x0 - half, y0 - half, x1 + half, y0 + half],
        [x0 - half, y1 - half, x1 + half, y1 + half],
        [x0 - half, y0 - half, x0 + half, y1 + half],
        [x1 - half, y0 - half, x1 + half, y1 + half],
    ];
    for side in sides {
        fill(picture, side, |_, _| true, [255, 255, 255]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_at_and_beyond_the_edge_is_cut_off() {
        let mut picture = RgbImage::new(40, 30);
        let object = Object {
            points: vec![[0.0, 0.0], [40.0, 30.0], [20.0, 15.0]],
            labels: vec![1, 0, 1],
            bounds: Some([0.0, 0.0, 40.0, 30.0]),
        };
        prompts(&mut picture, &object);
        assert_eq!(picture.get_pixel(20, 15).0, [0, 200, 0]);
        assert_eq!(picture.get_pixel(39, 29).0, [220, 0, 0]);
        assert_eq!(picture.get_pixel(10, 20).0, [0, 0, 0]);
    }

    #[test]
    fn a_mask_is_tinted_inside_and_stronger_at_its_edge() {
        let mut picture = RgbImage::new(8, 8);
        let mut pixels = vec![0; 64];
        for y in 2..7 {
            pixels[y * 8 + 2..y * 8 + 7].fill(1);
        }
        mask(
            &mut picture,
            &Bitmask::from_pixels(8, 8, pixels).unwrap(),
            1,
        );
        let red = |x, y| picture.get_pixel(x, y).0[2];
        assert_eq!(red(0, 0), 0);
        assert!(red(4, 4) > 0 && red(2, 4) > red(4, 4));
    }
}
