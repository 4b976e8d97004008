//! An image that a context knows: its pixels, and the key that all computed from them is kept under.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::context::Context;
use crate::error::Error;
use crate::image::{Image, ImageKey, ImageView};

/// Pixels in the care of a context. What was computed from them stays in the context's caches when they are dropped, for
/// the same pixels may come again.
pub struct RegisteredImage {
    context: Arc<Context>,
    id: u64,
    pixels: Arc<Image>,
    /// Held while it is processed for display.
    display_turn: Mutex<()>,
}

impl RegisteredImage {
    /// Copies pixels into the care of a context.
    pub fn new(context: &Arc<Context>, view: &ImageView<'_>) -> Result<Self, Error> {
        Ok(Self {
            context: Arc::clone(context),
            id: context.fresh_id(),
            pixels: Arc::new(Image::from_view(view)?),
            display_turn: Mutex::new(()),
        })
    }

    /// A part of it as an image of its own: x0, y0, x1, y1, with x1 and y1 one past the last pixel, inside the image. Told
    /// from others by the key of the whole and by where it is, so that its pixels need not be read for that.
    pub(crate) fn part(&self, corners: [u32; 4]) -> Result<Self, Error> {
        let mut id = b"part of ".to_vec();
        id.extend(self.key().as_bytes());
        id.extend(corners.iter().flat_map(|corner| corner.to_le_bytes()));
        let part = Self::new(&self.context, &self.pixels.part(corners)?)?;
        Ok(part.with_content_id(&id))
    }

    /// The same image, told from others by an id of its owner's instead of its pixels.
    pub fn with_content_id(self, id: &[u8]) -> Self {
        Self {
            pixels: Arc::new(Arc::unwrap_or_clone(self.pixels).with_content_id(id)),
            ..self
        }
    }

    /// Pixels that were in the care of this context before, under the number that they had.
    pub(crate) fn again(context: &Arc<Context>, id: u64, pixels: Arc<Image>) -> Self {
        Self {
            context: Arc::clone(context),
            id,
            pixels,
            display_turn: Mutex::new(()),
        }
    }

    /// The context.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Its number within the context, never used twice: what it is called in the log.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What tells the picture from others. Unless its owner gave an id, the first call reads all pixels.
    pub fn key(&self) -> ImageKey {
        self.pixels.key()
    }

    /// Its pixels.
    pub fn pixels(&self) -> &Image {
        &self.pixels
    }

    /// Its pixels, for who needs them longer.
    pub(crate) fn shared_pixels(&self) -> &Arc<Image> {
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
