//! Masks and label maps between the image and the screen.

use super::{DisplayError, Scaling, Space};
use crate::image::resample::nearest_source;
use crate::image::{ImageView, PixelFormat};

impl Scaling {
    /// Writes a mask of the other space as one of `to`: each pixel becomes what lies under its centre, whatever the
    /// values mean. Rows of `target` are `row_stride` bytes apart; the bytes between them are left alone. A mask that is
    /// brought to the larger space and back is the same again.
    ///
    /// # Errors
    /// [`DisplayError::MaskSize`], or [`DisplayError::Pixels`] for a target that is too small; nothing is written then.
    pub fn mask(
        &self,
        to: Space,
        mask: &ImageView<'_>,
        target: &mut [u8],
        row_stride: usize,
    ) -> Result<(), DisplayError> {
        let (from, size) = (self.size(to.other()), self.size(to));
        if (mask.width(), mask.height()) != from {
            return Err(DisplayError::MaskSize {
                space: to.other(),
                given: (mask.width(), mask.height()),
                size: from,
            });
        }
        ImageView::new(PixelFormat::Gray8, size.0, size.1, row_stride, target)?;
        let columns: Vec<usize> = (0..size.0)
            .map(|x| nearest_source(x, from.0, size.0) as usize)
            .collect();
        for (y, row) in (0..size.1).zip(target.chunks_mut(row_stride)) {
            let source = mask.row(nearest_source(y, from.1, size.1));
            for (pixel, &x) in row.iter_mut().zip(&columns) {
                *pixel = source[x];
            }
        }
        Ok(())
    }
}
