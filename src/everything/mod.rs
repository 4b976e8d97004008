//! Everything in an image: a grid of points, the masks of each, and of these the good ones, each once.
//!
//! What stays and in which order is as with the official generators (`segment_anything/automatic_mask_generator.py`,
//! `sam2/automatic_mask_generator.py`), step by step: for the whole image and then for each crop, points go through the
//! model in batches; of their masks those stay that are predicted to be good, are stable and are not cut off by the crop;
//! of those with nearly the same box the best one. Of masks of different crops that of the smallest crop stays. See
//! docs/everything.md.
//!
//! What it takes: the logits of one batch (`points × masks × mask_size²` floats: 48 MiB for 64 points of SAM), and every
//! mask found so far as compressed runs. A crop is copied while it is looked at. No mask of the image's size is drawn.

mod batch;
mod crop;
mod found;
#[cfg(test)]
mod goldens;
mod grid;
mod measure;
mod nms;
mod options;
mod region;

use std::ops::ControlFlow;
use std::thread;

pub use crop::Crop;
pub use found::{Effort, Everything, FoundMask};
pub use grid::Grid;
pub use options::{MAX_CROP_LAYERS, MAX_POINTS_PER_SIDE, Options};

use batch::BatchSize;
use crop::inclusive;
use measure::Judge;
use nms::suppress;
use options::{RegionRemoval, Settings};

use crate::callback::refuse_inside;
use crate::error::Error;
use crate::jobs::orders::Orders;
use crate::jobs::progress::Stage;
use crate::model::Model;
use crate::prediction::Decoded;
use crate::predictor::{self, Encoded, Reach};
use crate::prompt::{Prompt, Prompts};
use crate::registered_image::RegisteredImage;

/// Where a segmentation of everything stands: told before each crop is encoded and after each batch.
#[derive(Debug)]
pub struct Step<'a> {
    /// Points decoded so far.
    pub points_done: u64,
    /// Points there are.
    pub points_total: u64,
    /// The crop that is looked at, counted from 0, which is the whole image.
    pub crop: u32,
    /// Crops there are.
    pub crops: u32,
    /// What the batch gave. These masks have passed every filter, but one may still go because another, found later or
    /// earlier, is nearly the same and better; those that stay are found by their `id` in the end, the same but for
    /// regions that were too small.
    pub found: &'a [FoundMask],
}

impl Step<'_> {
    /// The share of the points that is done, 0 to 1; never falls.
    pub fn fraction(&self) -> f64 {
        self.points_done as f64 / self.points_total as f64
    }
}

/// Told of each step; ends the run by breaking.
pub type Watch<'a> = dyn FnMut(&Step<'_>) -> ControlFlow<()> + 'a;

/// Finds everything in an image. The embedding of the image is that of its predictions, kept or made; crops are encoded as
/// images of their own and kept as such. Points are decoded with nothing kept, fewer at once where memory is short.
///
/// # Errors
/// [`Error::InvalidArgument`] for an option that cannot be used, [`Error::Cancelled`] when `watch` breaks, else as a
/// prediction.
pub fn segment_everything(
    model: &Model,
    image: &RegisteredImage,
    options: &Options,
    watch: &mut Watch<'_>,
) -> Result<Everything, Error> {
    segment_everything_with(model, image, options, &Orders::default(), watch)
}

/// [`segment_everything`] with orders. Each batch is a turn with the model of its own.
///
/// # Errors
/// As there, and [`Error::Cancelled`] when the orders say so.
pub fn segment_everything_with(
    model: &Model,
    image: &RegisteredImage,
    options: &Options,
    orders: &Orders,
    watch: &mut Watch<'_>,
) -> Result<Everything, Error> {
    refuse_inside("segmenting everything")?;
    predictor::check_same_context(model, image)?;
    let settings = Settings::new(options, &model.info(), image.size())?;
    let mut run = Run {
        model,
        image,
        batch_size: BatchSize::new(settings.points_per_batch),
        points_total: settings.num_points(),
        threads: threads(model),
        settings: &settings,
        orders,
        // How far each image is says nothing about how far all is.
        silent: Orders {
            progress: None,
            ..orders.clone()
        },
        watch,
        effort: Effort::default(),
        kept: Vec::new(),
    };
    for (index, crop) in (0..).zip(&settings.crops) {
        run.look_at(index, *crop)?;
    }
    run.finish()
}

/// Refuses options that could not be used with this model and image.
///
/// # Errors
/// [`Error::InvalidArgument`] with the option and its value.
pub fn check(model: &Model, image: &RegisteredImage, options: &Options) -> Result<(), Error> {
    predictor::check_same_context(model, image)?;
    Settings::new(options, &model.info(), image.size()).map(drop)
}

/// Masks are measured on as many threads as the backend may use.
fn threads(model: &Model) -> usize {
    match model.context().options().num_threads {
        0 => thread::available_parallelism().map_or(1, usize::from),
        given => given as usize,
    }
}

struct Run<'a, 'w> {
    model: &'a Model,
    image: &'a RegisteredImage,
    settings: &'a Settings,
    batch_size: BatchSize,
    points_total: u64,
    threads: usize,
    orders: &'a Orders,
    silent: Orders,
    watch: &'a mut Watch<'w>,
    effort: Effort,
    /// Of the crops done so far.
    kept: Vec<FoundMask>,
}

/// One crop while it is looked at.
struct Looking<'a> {
    index: u32,
    image: &'a RegisteredImage,
    encoded: &'a Encoded,
    judge: Judge<'a>,
}

impl Run<'_, '_> {
    fn look_at(&mut self, index: u32, crop: Crop) -> Result<(), Error> {
        self.tell(Stage::Encoding, index, &[])?;
        let part;
        let image = if crop.layer == 0 {
            self.image
        } else {
            part = self.image.part(crop.corners)?;
            &part
        };
        let encoded = predictor::encode_with(self.model, image, &self.silent)?;
        let looking = Looking {
            index,
            image,
            encoded: &encoded,
            judge: Judge {
                settings: self.settings,
                crop,
                image_size: self.image.size(),
                threads: self.threads,
            },
        };
        let (width, height) = crop.size();
        let on_crop = |&[x, y]: &[f64; 2]| [x * f64::from(width), y * f64::from(height)];
        let grid = &self.settings.grids[crop.layer as usize];
        let points: Vec<[f64; 2]> = grid.iter().map(on_crop).collect();
        let found = self.around(&looking, &points)?;
        let scores: Vec<f32> = found.iter().map(|mask| mask.predicted_iou).collect();
        let stay = suppress(&boxes_of(&found), &scores, self.settings.box_nms);
        self.kept.extend(in_order(found, &stay));
        self.effort.crops += 1;
        Ok(())
    }

    /// All masks around the points of a crop that pass.
    fn around(
        &mut self,
        looking: &Looking<'_>,
        points: &[[f64; 2]],
    ) -> Result<Vec<FoundMask>, Error> {
        let mut found: Vec<FoundMask> = Vec::new();
        let mut rest = points;
        while !rest.is_empty() {
            let multimask = self.settings.multimask;
            let (count, mut decoded) =
                self.decode(looking, rest.len(), multimask, &|index| (rest[index], None))?;
            let (batch, left) = rest.split_at(count);
            let before = found.len();
            if self.settings.use_m2m {
                self.refined(looking, batch, &decoded, &mut found)?;
            } else {
                self.collect(looking, (batch, &mut decoded), 0, &mut found)?;
            }
            rest = left;
            self.effort.points += count as u64;
            self.effort.batches += 1;
            self.tell(Stage::Decoding, looking.index, &found[before..])?;
        }
        Ok(found)
    }

    /// Gives each mask to the model once more, with its point, and takes what comes out instead (`refine_with_m2m`).
    fn refined(
        &mut self,
        looking: &Looking<'_>,
        points: &[[f64; 2]],
        first: &Decoded,
        found: &mut Vec<FoundMask>,
    ) -> Result<(), Error> {
        let point_of = |mask: usize| points[mask / first.masks_per_object];
        let masks = first.scores().len();
        let mut done = 0;
        while done < masks {
            let (count, mut better) = self.decode(looking, masks - done, false, &|index| {
                let mask = done + index;
                (point_of(mask), Some(first.mask_logits(mask)))
            })?;
            let of_masks: Vec<[f64; 2]> = (done..done + count).map(point_of).collect();
            self.collect(looking, (&of_masks, &mut better), first.bytes(), found)?;
            done += count;
        }
        Ok(())
    }

    /// Decodes as many of `left` objects as memory has room for, and tells how many those were.
    fn decode<'p>(
        &mut self,
        looking: &Looking<'_>,
        left: usize,
        multimask: bool,
        object: &dyn Fn(usize) -> ([f64; 2], Option<&'p [f32]>),
    ) -> Result<(usize, Decoded), Error> {
        let left = u32::try_from(left).unwrap_or(u32::MAX);
        loop {
            let fit = |count| predictor::decode_fit(self.model, looking.encoded, count, multimask);
            let count = self.batch_size.choose(left, fit)?;
            let prompts = self.prompts(looking, count as usize, multimask, object)?;
            // Fewer objects come before half precision and the CPU.
            let reach = if count > 1 {
                Reach::SameResult
            } else {
                Reach::All
            };
            let objects = (looking.encoded, &prompts);
            let (image, orders) = (looking.image, &self.silent);
            match predictor::decode_once(self.model, image, objects, reach, orders) {
                Err(error) if error.is_out_of_memory() && self.batch_size.ran_out(count) => {}
                Err(error) => return Err(error),
                Ok(decoded) => return Ok((count as usize, decoded)),
            }
        }
    }

    fn prompts<'p>(
        &self,
        looking: &Looking<'_>,
        count: usize,
        multimask: bool,
        object: &dyn Fn(usize) -> ([f64; 2], Option<&'p [f32]>),
    ) -> Result<Prompts, Error> {
        let objects: Vec<_> = (0..count).map(object).collect();
        let points: Vec<[[f32; 2]; 1]> = objects
            .iter()
            .map(|(point, _)| [point.map(|at| at as f32)])
            .collect();
        let masks: Vec<Option<Vec<f32>>> = objects
            .iter()
            .map(|(_, logits)| logits.map(within_reach))
            .collect();
        let prompts: Vec<Prompt<'_>> = points
            .iter()
            .zip(&masks)
            .map(|(points, mask)| Prompt {
                points,
                labels: &[1],
                bounding_box: None,
                mask_input: mask.as_deref(),
            })
            .collect();
        let side = self.model.info().mask_size as usize;
        Ok(Prompts::check(
            &prompts,
            multimask,
            looking.image.size(),
            side,
        )?)
    }

    /// Adds the masks of a batch that pass. `points` are those of its objects; `besides` are bytes of other logits.
    fn collect(
        &mut self,
        looking: &Looking<'_>,
        (points, decoded): (&[[f64; 2]], &mut Decoded),
        besides: u64,
        found: &mut Vec<FoundMask>,
    ) -> Result<(), Error> {
        if self.settings.region_removal == RegionRemoval::InLogits && self.settings.min_region > 0 {
            let side = decoded.mask_size;
            for logits in decoded.buffers().logits.chunks_exact_mut(side * side) {
                region::clean_logits(logits, side, self.settings.min_region);
            }
        }
        let [x0, y0, ..] = looking.judge.crop.corners.map(f64::from);
        for (index, measured) in looking.judge.passing(decoded)? {
            let [x, y] = points[index / decoded.masks_per_object];
            let id = self.effort.candidates;
            found.push(FoundMask::new(
                id,
                measured,
                [x + x0, y + y0],
                looking.judge.crop,
            ));
            self.effort.candidates += 1;
        }
        let held = |masks: &[FoundMask]| masks.iter().map(FoundMask::bytes).sum::<u64>();
        let bytes = besides + decoded.bytes() + held(found) + held(&self.kept);
        self.effort.peak_bytes = self.effort.peak_bytes.max(bytes);
        Ok(())
    }

    fn tell(&mut self, stage: Stage, crop: u32, found: &[FoundMask]) -> Result<(), Error> {
        let step = Step {
            points_done: self.effort.points,
            points_total: self.points_total,
            crop,
            crops: self.settings.crops.len() as u32,
            found,
        };
        self.orders.enter(stage, step.fraction())?;
        match (self.watch)(&step) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Cancelled),
        }
    }

    fn finish(mut self) -> Result<Everything, Error> {
        let mut masks = std::mem::take(&mut self.kept);
        if self.settings.crops.len() > 1 {
            // Those of smaller crops are preferred.
            let preference = |mask: &FoundMask| 1.0 / mask.crop.area() as f32;
            let scores: Vec<f32> = masks.iter().map(preference).collect();
            let stay = suppress(&boxes_of(&masks), &scores, self.settings.crop_nms);
            masks = in_order(masks, &stay);
        }
        if self.settings.region_removal == RegionRemoval::InMasks && self.settings.min_region > 0 {
            masks = without_small_regions(masks, self.settings)?;
        }
        self.effort.reduced_batch = self.batch_size.reduced();
        Ok(Everything {
            image_size: self.image.size(),
            masks,
            effort: self.effort,
        })
    }
}

/// Removes small regions and holes, then what has become a duplicate by that: those that did not have to be changed are
/// preferred, and come first.
fn without_small_regions(
    masks: Vec<FoundMask>,
    settings: &Settings,
) -> Result<Vec<FoundMask>, Error> {
    let mut masks = masks;
    let mut scores = Vec::with_capacity(masks.len());
    for mask in &mut masks {
        let cleaned = region::without_small_regions(&mask.rle()?, settings.min_region);
        scores.push(if cleaned.is_none() { 1.0 } else { 0.0 });
        if let Some(cleaned) = cleaned {
            mask.replace(&cleaned);
        }
    }
    let threshold = settings.box_nms.max(settings.crop_nms);
    let stay = suppress(&boxes_of(&masks), &scores, threshold);
    Ok(in_order(masks, &stay))
}

/// The boxes as duplicates are told by.
fn boxes_of(masks: &[FoundMask]) -> Vec<[f32; 4]> {
    let corners =
        |mask: &FoundMask| inclusive(&mask.bounding_box, &mask.crop).map(|corner| corner as f32);
    masks.iter().map(corners).collect()
}

/// The masks that stay, in the order of their numbers in `stay`.
fn in_order(masks: Vec<FoundMask>, stay: &[usize]) -> Vec<FoundMask> {
    let mut masks: Vec<Option<FoundMask>> = masks.into_iter().map(Some).collect();
    stay.iter()
        .filter_map(|&index| masks[index].take())
        .collect()
}

/// Logits as a mask input takes them: held to ±32, as SAM 2 gives them (`SAM2ImagePredictor._predict`).
fn within_reach(logits: &[f32]) -> Vec<f32> {
    logits
        .iter()
        .map(|logit| logit.clamp(-32.0, 32.0))
        .collect()
}
