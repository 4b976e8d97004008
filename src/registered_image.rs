//! An image that a context knows: its pixels, and the number its embeddings are kept under.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::context::Context;
use crate::error::Error;
use crate::image::{Image, ImageView};

/// Pixels in the care of a context. When the last holder drops it, its embeddings leave the cache.
pub struct RegisteredImage {
    context: Arc<Context>,
    id: u64,
    pixels: Image,
    /// Held while it is processed for display.
    display_turn: Mutex<()>,
}

impl RegisteredImage {
    /// Copies pixels into the care of a context.
    pub fn new(context: &Arc<Context>, view: &ImageView<'_>) -> Result<Self, Error> {
        Ok(Self {
            context: Arc::clone(context),
            id: context.fresh_id(),
            pixels: Image::from_view(view)?,
            display_turn: Mutex::new(()),
        })
    }

    /// The context.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Its number within the context, never used twice.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Its pixels.
    pub fn pixels(&self) -> &Image {
        &self.pixels
    }

    /// Waits until nobody else is processing it for display; whoever is next may find the work done.
    pub(crate) fn display_turn(&self) -> MutexGuard<'_, ()> {
        self.display_turn
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Columns and rows.
    pub fn size(&self) -> (u32, u32) {
        (self.pixels.width(), self.pixels.height())
    }
}

impl Drop for RegisteredImage {
    fn drop(&mut self) {
        self.context
            .embeddings()
            .remove_where(|key| key.image == self.id);
    }
}
