//! Draws scenes of overlapping objects with known masks: the images the demo model was trained on.
//!
//! The same distribution is drawn by `tools/train_demo_model/scenes.py`; pictures of one seed differ between the two,
//! what they look like does not. A scene and its prompts depend on the seed and the size alone: sines and logarithms are
//! those of the `libm` crate, as those of operating systems differ in the last bit.
//!
//! ```
//! use sam_mm_scenes::Scene;
//!
//! let scene = Scene::draw(7);
//! assert_eq!((scene.image.width, scene.image.height), (256, 256));
//! for prompt in scene.prompts(7, 4) {
//!     let truth = &scene.masks[prompt.object];
//!     let [x, y] = prompt.click;
//!     assert!(truth.contains(x as usize, y as usize));
//! }
//! ```

mod canvas;
mod mask;
mod outline;
mod prompts;
mod rng;
mod scene;
mod surface;

pub use mask::Mask;
pub use prompts::Prompt;
pub use scene::{RgbImage, Scene};
