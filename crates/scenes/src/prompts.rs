//! Prompts for objects of a scene, as the demo model was trained on them.

use crate::mask::Mask;
use crate::rng::Rng;
use crate::scene::{Scene, Size};

const PROMPTING: u64 = 2;
/// Deviation of a box's sides from the true ones, as a share of the object's width or height.
const BOX_JITTER: f64 = 0.05;

/// A click and a box for one object of a scene.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prompt {
    /// Index of the object in [`Scene::masks`].
    pub object: usize,
    /// x, y of a pixel of the object, away from its edge where the object is thick enough.
    pub click: [f32; 2],
    /// x0, y0, x1, y1 of a box drawn around the object by an unsteady hand.
    pub bounds: [f32; 4],
}

impl Scene {
    /// Prompts for `count` objects, chosen at random; an object may be chosen more than once.
    pub fn prompts(&self, seed: u64, count: usize) -> Vec<Prompt> {
        let mut rng = Rng::new(seed, PROMPTING);
        (0..count).map(|_| self.prompt(&mut rng)).collect()
    }

    fn prompt(&self, rng: &mut Rng) -> Prompt {
        let object = rng.below(0, self.masks.len());
        let mask = &self.masks[object];
        Prompt {
            object,
            click: inside(rng, mask),
            bounds: jittered_box(rng, mask),
        }
    }
}

/// A random pixel of the object, a few pixels away from its edge.
fn inside(rng: &mut Rng, mask: &Mask) -> [f32; 2] {
    let size = Size {
        width: mask.width,
        height: mask.height,
    };
    let depths = mask.depths();
    let deepest = depths.iter().copied().fold(0.0, f32::max);
    let enough = (size.scaled(rng.uniform(1.0, 6.0)) as f32).min(0.7 * deepest);
    let deep: Vec<_> = mask
        .positions()
        .filter(|&(x, y)| depths[y * mask.width + x] >= enough)
        .collect();
    let (x, y) = deep[rng.below(0, deep.len())];
    [x as f32, y as f32]
}

fn jittered_box(rng: &mut Rng, mask: &Mask) -> [f32; 4] {
    let bounds = mask.bounds().unwrap_or_default();
    let sides = [bounds[2] - bounds[0], bounds[3] - bounds[1]];
    let last = [mask.width - 1, mask.height - 1];
    std::array::from_fn(|i| {
        let jitter = rng.normal(BOX_JITTER) * sides[i % 2] as f64;
        (bounds[i] as f64 + jitter).clamp(0.0, last[i % 2] as f64) as f32
    })
}
