//! From the logits of a batch to masks that pass the filters, several at a time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::crop::{Crop, inclusive};
use super::found::Measured;
use super::options::Settings;
use crate::error::Error;
use crate::mask::{LogitMask, Rle};
use crate::prediction::Decoded;

/// Masks of one crop are judged by this.
pub(super) struct Judge<'a> {
    pub settings: &'a Settings,
    pub crop: Crop,
    /// Of the whole image.
    pub image_size: (u32, u32),
    /// Most threads to use.
    pub threads: usize,
}

impl Judge<'_> {
    /// The masks of a batch that pass, with their numbers in it, in their order.
    pub fn passing(&self, decoded: &Decoded) -> Result<Vec<(usize, Measured)>, Error> {
        let above = |&index: &usize| self.is_predicted_good(decoded.scores()[index]);
        let candidates: Vec<usize> = (0..decoded.scores().len()).filter(above).collect();
        let next = AtomicUsize::new(0);
        let passed = Mutex::new(Vec::new());
        let work = || -> Result<(), Error> {
            while let Some(&index) = candidates.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Some(measured) = self.measure(decoded, index)? {
                    let mut passed = passed.lock().unwrap_or_else(PoisonError::into_inner);
                    passed.push((index, measured));
                }
            }
            Ok(())
        };
        let helpers = self.threads.min(candidates.len()).saturating_sub(1);
        thread::scope(|scope| {
            // What no thread can be had for is done by this one.
            let started: Vec<_> = (0..helpers)
                .map_while(|_| thread::Builder::new().spawn_scoped(scope, work).ok())
                .collect();
            let own = work();
            let joined = started.into_iter().map(|helper| match helper.join() {
                Ok(outcome) => outcome,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            std::iter::once(own)
                .chain(joined)
                .collect::<Result<Vec<()>, Error>>()
        })?;
        let mut passed = passed.into_inner().unwrap_or_else(PoisonError::into_inner);
        passed.sort_unstable_by_key(|(index, _)| *index);
        Ok(passed)
    }

    fn is_predicted_good(&self, score: f32) -> bool {
        self.settings
            .pred_iou
            .is_none_or(|threshold| score > threshold)
    }

    /// A mask in figures and as runs; `None` when it does not pass.
    fn measure(&self, decoded: &Decoded, index: usize) -> Result<Option<Measured>, Error> {
        let mask = || LogitMask::new(decoded.upsampler(), decoded.mask_logits(index));
        let [smaller, larger] = self.settings.stability_levels;
        let stability_score = stability(
            mask()?.with_threshold(smaller).area(),
            mask()?.with_threshold(larger).area(),
        );
        if self
            .settings
            .stability
            .is_some_and(|least| stability_score < least)
        {
            return Ok(None);
        }
        let [x0, y0, ..] = self.crop.corners;
        let mask = mask()?.with_threshold(self.settings.mask_threshold);
        let (rle, extent) = Rle::encode_part(&mask, (x0, y0), self.image_size);
        if self
            .crop
            .cuts(inclusive(&extent.bounding_box, &self.crop), self.image_size)
        {
            return Ok(None);
        }
        Ok(Some(Measured {
            predicted_iou: decoded.scores()[index],
            stability_score,
            rle,
            extent,
        }))
    }
}

/// IoU of a mask and a larger one around it, which is how many pixels one has by those of the other. 0 for two empty
/// ones, where the official code has a NaN, which passes no threshold either.
fn stability(smaller: u64, larger: u64) -> f32 {
    if larger == 0 {
        return 0.0;
    }
    smaller as f32 / larger as f32
}
