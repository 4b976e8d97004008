//! An image that a context knows: its pixels, and the number its embeddings are kept under.

use std::sync::Arc;

use crate::context::Context;
use crate::error::Error;
use crate::image::{Image, ImageView};

/// Pixels in the care of a context. When the last holder drops it, its embeddings leave the cache.
pub struct RegisteredImage {
    context: Arc<Context>,
    id: u64,
    pixels: Image,
}

impl RegisteredImage {
    /// Copies pixels into the care of a context.
    pub fn new(context: &Arc<Context>, view: &ImageView<'_>) -> Result<Self, Error> {
        Ok(Self {
            context: Arc::clone(context),
            id: context.fresh_id(),
            pixels: Image::from_view(view)?,
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
