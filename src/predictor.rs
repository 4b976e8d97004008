//! The pipeline behind `sam_predict`: check → embedding (kept or made) → decode → result.

use std::sync::Arc;
use std::time::Instant;

use crate::backend::{self, Embedding, MaskBuffers, PixelData, Pixels};
use crate::cache::embedding::Key;
use crate::error::Error;
use crate::image::Samples;
use crate::model::Model;
use crate::prediction::{Prediction, Timings};
use crate::prompt::{Prompt, Prompts};
use crate::registered_image::RegisteredImage;

/// Predicts the masks of the objects that `prompts` point at in `image`: several per object with `multimask`, else one.
pub fn predict(
    model: &Model,
    image: &RegisteredImage,
    prompts: &[Prompt<'_>],
    multimask: bool,
) -> Result<Prediction, Error> {
    check_same_context(model, image)?;
    let prompts = Prompts::check(
        prompts,
        multimask,
        image.size(),
        model.info().mask_size as usize,
    )?;
    let encoded = encode(model, image)?;
    decode(model, image, &encoded, &prompts)
}

/// An embedding at hand, and what it took to have it.
pub struct Encoded {
    embedding: Arc<Embedding>,
    /// Milliseconds in the encoder; `None` when the embedding had been kept.
    milliseconds: Option<f64>,
}

/// The embedding of an image: the kept one, or a new one that is kept from now on. Threads that ask for the same image
/// at once wait for one encoding.
pub fn encode(model: &Model, image: &RegisteredImage) -> Result<Encoded, Error> {
    check_same_context(model, image)?;
    let key = Key {
        image: image.id(),
        model: model.id(),
    };
    let kept = || {
        model
            .context()
            .embeddings()
            .get(key)
            .map(|embedding| Encoded {
                embedding,
                milliseconds: None,
            })
    };
    if let Some(kept) = kept() {
        return Ok(kept);
    }
    let _turn = model.encoding_turn();
    if let Some(kept) = kept() {
        return Ok(kept);
    }
    let (embedding, milliseconds) = timed(|| run_encoder(model, image))?;
    let embedding = Arc::new(embedding);
    model
        .context()
        .embeddings()
        .insert(key, Arc::clone(&embedding), embedding.bytes());
    Ok(Encoded {
        embedding,
        milliseconds: Some(milliseconds),
    })
}

fn run_encoder(model: &Model, image: &RegisteredImage) -> Result<Embedding, Error> {
    let input = model.input(image.pixels())?;
    let pixels = Pixels {
        width: input.width,
        height: input.height,
        original_width: input.original_width,
        original_height: input.original_height,
        row_stride: 3 * input.width as usize,
        data: match &input.samples {
            Samples::U8(samples) => PixelData::U8(samples),
            Samples::F32(samples) => PixelData::F32(samples),
        },
    };
    Ok(model
        .backend()
        .encode(&pixels, &model.plan(0), &model.context().operation())?)
}

fn decode(
    model: &Model,
    image: &RegisteredImage,
    encoded: &Encoded,
    prompts: &Prompts,
) -> Result<Prediction, Error> {
    let mut prediction = Prediction::blank(model, image.size(), prompts)?;
    let (logits, scores) = prediction.buffers();
    let mut masks = MaskBuffers {
        logits,
        scores,
        object_scores: None,
    };
    let wanted = backend::Prompts {
        multimask: prompts.multimask,
        point_counts: &prompts.point_counts,
        points: &prompts.points,
        labels: &prompts.labels,
        has_box: &prompts.has_box,
        boxes: &prompts.boxes,
        has_mask: if prompts.masks.is_empty() {
            &[]
        } else {
            &prompts.has_mask
        },
        masks: &prompts.masks,
    };
    let plan = model.plan(prompts.num_objects() as u32);
    let operation = model.context().operation();
    let ((), milliseconds) = timed(|| {
        Ok(model
            .backend()
            .decode(&encoded.embedding, &wanted, &plan, &operation, &mut masks)?)
    })?;
    prediction.timings = Timings {
        encode_ms: encoded.milliseconds,
        decode_ms: milliseconds,
    };
    Ok(prediction)
}

fn timed<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<(T, f64), Error> {
    let start = Instant::now();
    let made = work()?;
    Ok((made, start.elapsed().as_secs_f64() * 1e3))
}

fn check_same_context(model: &Model, image: &RegisteredImage) -> Result<(), Error> {
    if Arc::ptr_eq(model.context(), image.context()) {
        return Ok(());
    }
    Err(Error::invalid_argument(
        "image",
        "belongs to another context than the model; make both from the same one",
    ))
}
