//! The pictures of a session, made when they are opened.

use std::sync::Arc;

use anyhow::Result;
use sam_mm::context::Context;
use sam_mm::image::{ImageView, PixelFormat};
use sam_mm::registered_image::RegisteredImage;
use sam_mm_scenes::Scene;

/// Clicks and boxes of an image that annotators choose from.
const PROMPTS: usize = 3;
/// Clicks that refine.
const REFINEMENTS: usize = 8;

/// A picture, and where its objects are.
pub struct Picture {
    pub width: u32,
    pub height: u32,
    /// `[height][width][3]` red, green, blue.
    pub pixels: Vec<u8>,
    /// Points inside of objects.
    pub clicks: [[f32; 2]; PROMPTS],
    /// Around the same objects.
    pub boxes: [[f32; 4]; PROMPTS],
    /// Points to refine with, inside the picture, and whether each belongs to the object.
    pub refinements: [([f32; 2], i32); REFINEMENTS],
}

/// What pictures look like.
#[derive(Clone, Copy, Debug)]
pub enum Album {
    /// Drawn scenes, which the demo model knows.
    Scenes {
        /// Of the first.
        seed: u64,
    },
    /// Pictures of one colour each, which are quick to make.
    Colors,
}

impl Album {
    /// Picture number `index`; always the same pixels for the same number.
    pub fn picture(self, index: usize) -> Picture {
        match self {
            Self::Scenes { seed } => scene(seed.wrapping_add(index as u64)),
            Self::Colors => color(index),
        }
    }
}

impl Picture {
    /// Gives the pixels to a context, as a tool does that has just read a file.
    pub fn register(&self, context: &Arc<Context>) -> Result<Arc<RegisteredImage>> {
        let (width, height, stride) = (self.width, self.height, 3 * self.width as usize);
        let view = ImageView::new(PixelFormat::Rgb8, width, height, stride, &self.pixels)?;
        Ok(Arc::new(RegisteredImage::new(context, &view)?))
    }
}

fn scene(seed: u64) -> Picture {
    let scene = Scene::draw(seed);
    let prompts = scene.prompts(seed, PROMPTS);
    let more = scene.prompts(seed ^ 0x5eed, REFINEMENTS);
    let target = prompts[0].object;
    Picture {
        width: scene.image.width as u32,
        height: scene.image.height as u32,
        clicks: std::array::from_fn(|i| prompts[i].click),
        boxes: std::array::from_fn(|i| prompts[i].bounds),
        refinements: std::array::from_fn(|i| (more[i].click, i32::from(more[i].object == target))),
        pixels: scene.image.pixels,
    }
}

fn color(index: usize) -> Picture {
    let (width, height) = (32, 16);
    let color = [index as u8, (index >> 8) as u8, 77];
    Picture {
        width,
        height,
        pixels: color.repeat((width * height) as usize),
        clicks: [[5.0, 4.0], [16.0, 8.0], [27.0, 12.0]],
        boxes: [
            [1.0, 1.0, 9.0, 8.0],
            [10.0, 3.0, 22.0, 13.0],
            [20.0, 6.0, 31.0, 15.0],
        ],
        refinements: std::array::from_fn(|i| ([3.0 + 3.0 * i as f32, 9.0], (i % 2) as i32)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_differ_and_come_again_as_they_were() {
        for album in [Album::Colors, Album::Scenes { seed: 5 }] {
            let pixels = |index| album.picture(index).pixels;
            assert_eq!(pixels(3), pixels(3));
            assert_ne!(pixels(3), pixels(259), "{album:?}");
        }
    }
}
