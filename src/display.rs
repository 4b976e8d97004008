//! Images for the screen: the kept one, or a new one that is kept while memory allows.

use std::sync::Arc;

use crate::cache::image::{Found, Key};
use crate::context::Context;
use crate::error::Error;
use crate::image::display::{DisplayImage, DisplayPlan, ScalingOptions};
use crate::memory::analytics::Cache;
use crate::memory::status::Tier;
use crate::registered_image::RegisteredImage;

/// Whether an image can be brought to display size like this.
///
/// # Errors
/// Why not.
pub fn check(image: &RegisteredImage, options: &ScalingOptions) -> Result<(), Error> {
    let (width, height) = image.size();
    DisplayPlan::new(options, width, height)?;
    Ok(())
}

/// Brings an image to display size. Threads that ask for the same image at once wait for one of them to do it.
pub fn process(
    image: &RegisteredImage,
    options: &ScalingOptions,
) -> Result<Arc<DisplayImage>, Error> {
    let (width, height) = image.size();
    let plan = DisplayPlan::new(options, width, height)?;
    let key = Key {
        image: image.pixels().key(),
        plan,
    };
    let context = image.context();
    let images = context.images();
    let looked_up = |hit| context.memory().analytics().looked_up(Cache::Image, hit);
    match images.find(&key) {
        Some(Found::Kept(display)) => {
            looked_up(true);
            return Ok(display);
        }
        // What had been dropped and is asked for again is worth keeping again.
        Some(Found::Held(display)) => {
            looked_up(true);
            return Ok(insert(context, key, display, may_keep(context)));
        }
        None => {}
    }
    // Asked before the turn is taken: the answer may call back, and a callback may process an image.
    let keep = may_keep(context);
    let _turn = image.display_turn();
    let found = images.find(&key).map(Found::into_image);
    looked_up(found.is_some());
    let display = match found {
        Some(display) => display,
        None => Arc::new(DisplayImage::new(image.pixels(), plan)?),
    };
    Ok(insert(context, key, display, keep))
}

fn may_keep(context: &Context) -> bool {
    context.memory().should_cache(Tier::Host).is_ok()
}

fn insert(
    context: &Context,
    key: Key,
    display: Arc<DisplayImage>,
    keep: bool,
) -> Arc<DisplayImage> {
    let bytes = display.size_bytes() as u64;
    context.images().insert(key, display, bytes, keep)
}
