//! Images for the screen: brought to a size that is quick to draw and handy to click on, and the way back from there.
//!
//! [`ScalingOptions`] say what size is wanted, [`Scaling`] is what came of it for one image and converts points, boxes,
//! contours and masks between the two, and a [`DisplayImage`] is the pixels and their scaling, which never part.

mod error;
mod mask;
mod options;
mod pack;
mod processed;
mod scaling;

pub use error::DisplayError;
pub use options::{LARGEST_SIZE, ScalingOptions};
pub use processed::{DisplayImage, DisplayPlan};
pub use scaling::{Scaling, Space};
