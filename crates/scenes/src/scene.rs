//! Scenes: a background, objects over one another, parts on objects, shadows, shading, blur and noise.

use std::fmt;

use crate::canvas::{Colors, Plane};
use crate::mask::Mask;
use crate::outline::outline;
use crate::rng::Rng;
use crate::surface::{smooth_noise, surface};

/// Side of the images that the demo model was trained on. Lengths in pixels are given for it and grow with the image.
const TRAINED_SIDE: f64 = 256.0;
/// Smallest object that counts as one, in pixels.
const MIN_AREA: f64 = 150.0;
const DRAWING: u64 = 1;

/// An image, red, green, blue, 8 bits each.
#[derive(Clone, PartialEq, Eq)]
pub struct RgbImage {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `[height][width][3]` without gaps.
    pub pixels: Vec<u8>,
}

impl fmt::Debug for RgbImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RgbImage({}×{})", self.width, self.height)
    }
}

/// A drawn image and what is in it.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The image.
    pub image: RgbImage,
    /// The visible pixels of every object, back to front, at least one object. A part on an object is an object of its
    /// own, and belongs to the one below as well.
    pub masks: Vec<Mask>,
}

#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub width: usize,
    pub height: usize,
}

impl Size {
    /// The longer side.
    pub fn side(self) -> f64 {
        self.width.max(self.height) as f64
    }

    /// A length that is given for an image of the trained size.
    pub fn scaled(self, length: f64) -> f64 {
        length * self.side() / TRAINED_SIDE
    }

    fn is_object(self, mask: &Mask) -> bool {
        mask.area() as f64 > MIN_AREA * self.scaled(1.0).powi(2)
    }
}

impl Scene {
    /// Draws a scene of 256 × 256 pixels, the size the demo model was trained on.
    pub fn draw(seed: u64) -> Self {
        Self::draw_sized(seed, TRAINED_SIDE as usize, TRAINED_SIDE as usize)
    }

    /// Draws a scene of another size. Objects grow with the longer side.
    ///
    /// # Panics
    /// When a side is shorter than 16 pixels.
    pub fn draw_sized(seed: u64, width: usize, height: usize) -> Self {
        assert!(
            width.min(height) >= 16,
            "a scene needs 16 × 16 pixels, not {width} × {height}"
        );
        let mut rng = Rng::new(seed, DRAWING);
        let size = Size { width, height };
        loop {
            let scene = draw(&mut rng, size);
            if !scene.masks.is_empty() {
                return scene;
            }
        }
    }
}

fn draw(rng: &mut Rng, size: Size) -> Scene {
    let mut image = surface(rng, size);
    let mut masks: Vec<Mask> = Vec::new();
    for _ in 0..rng.below(2, 9) {
        let shape = outline(rng, size);
        if rng.chance(0.3) {
            cast_shadow(rng, size, &mut image, &shape);
        }
        paint_object(rng, size, &mut image, &shape);
        masks
            .iter_mut()
            .for_each(|mask| *mask = mask.and_not(&shape));
        let part = if rng.chance(0.3) {
            paint_part(rng, size, &mut image, &shape)
        } else {
            None
        };
        masks.push(shape);
        masks.extend(part);
    }
    if rng.chance(0.5) {
        image = image.blurred(size.scaled(rng.uniform(0.3, 1.5)));
    }
    masks.retain(|mask| size.is_object(mask));
    Scene {
        image: photograph(rng, &image),
        masks,
    }
}

fn coverage(mask: &Mask) -> Plane<f32> {
    Plane {
        width: mask.width,
        height: mask.height,
        values: mask
            .pixels
            .iter()
            .map(|&pixel| f32::from(u8::from(pixel)))
            .collect(),
    }
}

fn cast_shadow(rng: &mut Rng, size: Size, image: &mut Colors, shape: &Mask) {
    let mut shift = || size.scaled(rng.below(0, 17) as f64 - 8.0).round() as isize;
    let (down, right) = (shift(), shift());
    let shadow = coverage(shape)
        .rolled(right, down)
        .blurred(size.scaled(4.0));
    for (color, shade) in image.values.iter_mut().zip(&shadow.values) {
        *color = color.map(|value| value * (1.0 - 0.4 * shade));
    }
}

/// An object with a surface of its own, unevenly lit, with a soft edge.
fn paint_object(rng: &mut Rng, size: Size, image: &mut Colors, shape: &Mask) {
    let surface = surface(rng, size);
    let light = smooth_noise(rng, size, 3);
    let edge = coverage(shape).blurred(size.scaled(rng.uniform(0.4, 1.2)));
    for (i, color) in image.values.iter_mut().enumerate() {
        let (lit, cover) = (0.75 + 0.5 * light.values[i], edge.values[i]);
        let over = surface.values[i];
        *color = std::array::from_fn(|c| color[c] * (1.0 - cover) + over[c] * lit * cover);
    }
}

/// A part on an object, away from its edge: the whole and the part are both right answers to a click on it.
fn paint_part(rng: &mut Rng, size: Size, image: &mut Colors, shape: &Mask) -> Option<Mask> {
    let reach = size.scaled(2.0).round().max(1.0) as usize;
    let part = outline(rng, size).and(&shape.eroded(reach));
    if !size.is_object(&part) {
        return None;
    }
    let surface = surface(rng, size);
    for (x, y) in part.positions() {
        image.values[y * size.width + x] = surface.at(x, y);
    }
    Some(part)
}

/// Brightness, noise, and 8 bits.
fn photograph(rng: &mut Rng, image: &Colors) -> RgbImage {
    let (brightness, noise) = (rng.uniform(0.6, 1.2), rng.uniform(0.0, 10.0));
    let values = image.values.iter().flatten();
    RgbImage {
        width: image.width,
        height: image.height,
        pixels: values
            .map(|&value| (f64::from(value) * brightness + rng.normal(noise)) as u8)
            .collect(),
    }
}
