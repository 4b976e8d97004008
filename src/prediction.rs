//! The result of a prediction: low-resolution logits, and everything that is made from them when asked for.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use crate::backend::MaskBuffers;
use crate::embeddings::Source;
use crate::error::Error;
use crate::mask::{Bitmask, Extent, LogitMask, Upsampler};
use crate::memory::execute::Ran;
use crate::memory::status::Tier;
use crate::model::Model;
use crate::prompt::Prompts;

/// What the parts of a prediction took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timings {
    /// Milliseconds in the image encoder; `None` when the embedding had been kept.
    pub encode_ms: Option<f64>,
    /// Milliseconds in prompt encoder and mask decoder; `None` when the prediction had been kept.
    pub decode_ms: Option<f64>,
}

/// What the mask decoder gave for a number of objects of one image. This is what is kept of a prediction: no mask of the
/// image's size is among it.
pub struct Decoded {
    /// Objects asked for.
    pub num_objects: usize,
    /// Masks of each.
    pub masks_per_object: usize,
    /// Side of the square logits.
    pub mask_size: usize,
    /// Columns and rows of the image.
    pub image_size: (u32, u32),
    /// The model's device has a memory of its own.
    pub has_device: bool,
    /// How it was decoded; `None` until it is.
    pub ran: Option<Ran>,
    /// The model is a SAM 2, whose logits are held to [`LARGEST_RETURNED_LOGIT`] for callers.
    is_sam2: bool,
    /// Shared by all that is decoded for images of this size.
    upsampler: Arc<Upsampler>,
    /// `[num_objects][masks_per_object][mask_size][mask_size]`
    logits: Vec<f32>,
    /// `[num_objects][masks_per_object]` predicted IoU.
    scores: Vec<f32>,
    /// `[num_objects]` object scores; [`LEFT_ALONE`] where the model gave none.
    object_scores: Vec<f32>,
}

/// Official SAM 2 holds the logits that it returns to ± this. Its masks are made from those it does not return.
const LARGEST_RETURNED_LOGIT: f32 = 32.0;

/// What an object score is until a model writes one: a NaN that no computation makes by chance.
const LEFT_ALONE: u32 = 0x7fc0_5a44;

/// Masks of a number of objects of one image: what was decoded, now or earlier, and what has been made from it for this
/// caller. Full-size masks are made from the logits when they are asked for, and then kept.
pub struct Prediction {
    /// What it took.
    pub timings: Timings,
    /// How the image was encoded; `None` when that was not needed.
    pub encode_ran: Option<Ran>,
    /// Where the embedding was; `None` when none was needed.
    pub embedding_source: Option<Source>,
    decoded: Arc<Decoded>,
    /// All logits as callers get them; `None` where that is as they are.
    returned: OnceLock<Option<Vec<f32>>>,
    made: Vec<Made>,
}

/// What has been made of one mask so far.
#[derive(Default)]
struct Made {
    bitmask: OnceLock<Bitmask>,
    extent: OnceLock<Extent>,
}

impl Decoded {
    /// Room for the answer to `prompts`, of an image of `image_size`, by a model.
    pub fn blank(model: &Model, image_size: (u32, u32), prompts: &Prompts) -> Result<Self, Error> {
        let (num_objects, mask_size) = (prompts.num_objects(), model.info().mask_size as usize);
        let masks_per_object = model.info().masks_per_object(prompts.multimask) as usize;
        let count = num_objects * masks_per_object;
        let mut logits = Vec::new();
        let cells = count * mask_size * mask_size;
        logits
            .try_reserve_exact(cells)
            .map_err(|_| Error::HostMemory {
                what: "low-resolution logits",
                bytes: cells.saturating_mul(4),
            })?;
        logits.resize(cells, 0.0);
        Ok(Self {
            num_objects,
            masks_per_object,
            mask_size,
            image_size,
            has_device: model.tier() == Tier::Device,
            ran: None,
            is_sam2: model.info().family.starts_with("sam2"),
            upsampler: model.upsampler(image_size)?,
            logits,
            scores: vec![0.0; count],
            object_scores: vec![f32::from_bits(LEFT_ALONE); num_objects],
        })
    }

    /// Where the backend writes.
    pub fn buffers(&mut self) -> MaskBuffers<'_> {
        MaskBuffers {
            logits: &mut self.logits,
            scores: &mut self.scores,
            object_scores: Some(&mut self.object_scores),
        }
    }

    /// Predicted IoU of all masks, object after object.
    pub(crate) fn scores(&self) -> &[f32] {
        &self.scores
    }

    /// Low-resolution logits of a mask there is, row by row, as the model made them: what masks are made of.
    pub(crate) fn mask_logits(&self, index: usize) -> &[f32] {
        let cells = self.mask_size * self.mask_size;
        &self.logits[index * cells..][..cells]
    }

    /// The way from the logits to the image.
    pub(crate) fn upsampler(&self) -> &Upsampler {
        &self.upsampler
    }

    /// The first value that is no number: which it is, of which mask, and the value.
    pub fn not_finite(&self) -> Option<(&'static str, usize, f32)> {
        // Without a way out of the loop the compiler makes it one of vectors.
        let any = |values: &[f32]| values.iter().fold(false, |any, x| any | !x.is_finite());
        let found = |what, values: &[f32], each: usize| {
            let at = values.iter().position(|value| !value.is_finite())?;
            Some((what, at / each, values[at]))
        };
        if any(&self.scores) {
            return found("the score", &self.scores, 1);
        }
        if any(&self.logits) {
            return found("a logit", &self.logits, self.mask_size * self.mask_size);
        }
        if self.has_object_scores() && any(&self.object_scores) {
            let (what, object, value) = found("the object score", &self.object_scores, 1)?;
            return Some((what, object * self.masks_per_object, value));
        }
        None
    }

    fn has_object_scores(&self) -> bool {
        let alone = |score: &f32| score.to_bits() == LEFT_ALONE;
        !self.object_scores.iter().all(alone)
    }

    /// Bytes it takes. What it shares with others counts in full: it may be the last to hold it.
    pub fn bytes(&self) -> u64 {
        let arrays = size_of_val(&*self.logits)
            + size_of_val(&*self.scores)
            + size_of_val(&*self.object_scores);
        (size_of::<Self>() + arrays) as u64 + self.upsampler.bytes()
    }
}

impl Deref for Prediction {
    type Target = Decoded;

    fn deref(&self) -> &Decoded {
        &self.decoded
    }
}

impl Prediction {
    /// A prediction of which nothing but what was decoded is there.
    pub fn new(decoded: Arc<Decoded>, timings: Timings, encode_ran: Option<Ran>) -> Self {
        let count = decoded.scores.len();
        Self {
            timings,
            encode_ran,
            embedding_source: None,
            decoded,
            returned: OnceLock::new(),
            made: (0..count).map(|_| Made::default()).collect(),
        }
    }

    /// One that had been kept: nothing was computed for it.
    pub fn kept(decoded: Arc<Decoded>) -> Self {
        Self::new(decoded, Timings::default(), None)
    }

    /// Whether it had been kept.
    pub fn is_reused(&self) -> bool {
        self.timings.decode_ms.is_none()
    }

    /// How the prompts were decoded for this caller; `None` when the prediction had been kept.
    pub fn decode_ran(&self) -> Option<&Ran> {
        self.ran.as_ref().filter(|_| !self.is_reused())
    }

    /// Masks of all objects together.
    pub fn num_masks(&self) -> usize {
        self.scores.len()
    }

    /// Predicted IoU of mask `index`, which numbers all masks object after object.
    pub fn score(&self, index: usize) -> Result<f32, Error> {
        self.check(index)?;
        Ok(self.scores[index])
    }

    /// How sure the model is that there is an object, as a logit: positive for yes. `None` for a model that does not tell.
    pub fn object_score(&self, object: usize) -> Result<Option<f32>, Error> {
        self.check_object(object)?;
        Ok(self.has_object_scores().then(|| self.object_scores[object]))
    }

    /// Low-resolution logits of a mask as the official predictor returns them, row by row.
    pub fn logits(&self, index: usize) -> Result<&[f32], Error> {
        self.check(index)?;
        let held = self.returned.get_or_init(|| self.held_logits());
        let cells = self.mask_size * self.mask_size;
        Ok(match held {
            Some(held) => &held[index * cells..][..cells],
            None => self.mask_logits(index),
        })
    }

    /// The logits held to what SAM 2 returns; `None` when there is nothing to hold.
    fn held_logits(&self) -> Option<Vec<f32>> {
        let limit = LARGEST_RETURNED_LOGIT;
        let beyond = self.is_sam2 && self.logits.iter().any(|logit| logit.abs() > limit);
        beyond.then(|| self.logits.iter().map(|l| l.clamp(-limit, limit)).collect())
    }

    /// The mask of an object with the highest predicted IoU.
    pub fn best_mask(&self, object: usize) -> Result<usize, Error> {
        self.check_object(object)?;
        let first = object * self.masks_per_object;
        let best = (first..first + self.masks_per_object).max_by(|&a, &b| {
            // Of equal scores the first counts, as in numpy's argmax.
            self.scores[a].total_cmp(&self.scores[b]).then(b.cmp(&a))
        });
        Ok(best.unwrap_or(first))
    }

    /// Area and box of a mask, without making the mask itself.
    pub fn extent(&self, index: usize) -> Result<Extent, Error> {
        let mask = self.mask(index)?;
        Ok(*self.made[index].extent.get_or_init(|| mask.extent()))
    }

    /// A mask at the size of the image; made the first time, then kept.
    pub fn bitmask(&self, index: usize) -> Result<&Bitmask, Error> {
        let mask = self.mask(index)?;
        let place = &self.made[index].bitmask;
        if let Some(bitmask) = place.get() {
            return Ok(bitmask);
        }
        let bitmask = mask.bitmask()?;
        Ok(place.get_or_init(|| bitmask))
    }

    /// A mask that is still logits, for every other form of output.
    pub fn mask(&self, index: usize) -> Result<LogitMask<'_>, Error> {
        self.check(index)?;
        Ok(LogitMask::new(&self.upsampler, self.mask_logits(index))?)
    }

    fn check_object(&self, object: usize) -> Result<(), Error> {
        if object < self.num_objects {
            return Ok(());
        }
        let reason = format!(
            "is {object}, but the result has {} objects, counted from 0",
            self.num_objects
        );
        Err(Error::invalid_argument("object_index", reason))
    }

    fn check(&self, index: usize) -> Result<(), Error> {
        if index < self.num_masks() {
            return Ok(());
        }
        let reason = format!(
            "is {index}, but the result has {} masks, counted from 0",
            self.num_masks()
        );
        Err(Error::invalid_argument("mask_index", reason))
    }
}
