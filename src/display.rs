//! Images for the screen: the kept one, or a new one that is kept while memory allows.

use std::sync::Arc;

use crate::cache::image::{Found, Key};
use crate::error::Error;
use crate::image::display::{DisplayImage, DisplayPlan, ScalingOptions};
use crate::memory::analytics::Cache;
use crate::memory::status::Tier;
use crate::registered_image::RegisteredImage;

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
    let looked_up = |hit| context.memory().analytics().looked_up(Cache::Image, hit);
    if let Some(found) = context.images().find(&key) {
        looked_up(true);
        return Ok(still_kept(image, key, found));
    }
    let _turn = image.display_turn();
    if let Some(found) = context.images().find(&key) {
        looked_up(true);
        return Ok(still_kept(image, key, found));
    }
    looked_up(false);
    let made = Arc::new(DisplayImage::new(image.pixels(), plan)?);
    Ok(keep(image, key, made))
}

/// An image that had been dropped and is asked for again is worth keeping again.
fn still_kept(image: &RegisteredImage, key: Key, found: Found<DisplayImage>) -> Arc<DisplayImage> {
    match found {
        Found::Kept(display) => display,
        Found::Held(display) => keep(image, key, display),
    }
}

fn keep(image: &RegisteredImage, key: Key, display: Arc<DisplayImage>) -> Arc<DisplayImage> {
    let context = image.context();
    let may_keep = context.memory().should_cache(Tier::Host).is_ok();
    let bytes = display.size_bytes() as u64;
    context.images().insert(key, display, bytes, may_keep)
}
