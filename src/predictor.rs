//! The pipeline behind `sam_predict`: check → embedding (kept or made) → decode → result. Encoding and decoding run in the
//! care of the memory manager, which chooses how and where.

use std::sync::Arc;
use std::time::Instant;

use crate::backend::{self, MaskBuffers, PixelData, Pixels, Precision};
use crate::cache::embedding::Key;
use crate::callback::refuse_inside;
use crate::error::Error;
use crate::image::Samples;
use crate::memory::analytics::Cache;
use crate::memory::execute::{Ran, execute};
use crate::memory::plan::Work;
use crate::memory::status::Tier;
use crate::model::Model;
use crate::placement::PlacedEmbedding;
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
    decode(model, image, encoded, &prompts)
}

/// An embedding at hand, and what it took to have it.
pub struct Encoded {
    key: Key,
    embedding: Arc<PlacedEmbedding>,
    /// What encoding took; `None` when the embedding had been kept.
    encoding: Option<Encoding>,
}

/// What encoding took.
struct Encoding {
    milliseconds: f64,
    ran: Ran,
}

/// The embedding of an image: the kept one, or a new one that is kept from now on. Threads that ask for the same image
/// at once wait for one encoding.
pub fn encode(model: &Model, image: &RegisteredImage) -> Result<Encoded, Error> {
    refuse_inside("an embedding")?;
    check_same_context(model, image)?;
    let key = Key {
        image: image.id(),
        model: model.id(),
    };
    let kept = || {
        let embedding = model.context().embeddings().get(key)?;
        Some(Encoded {
            key,
            embedding,
            encoding: None,
        })
    };
    let looked_up = |hit| {
        let analytics = model.context().memory().analytics();
        analytics.looked_up(Cache::Embedding, hit);
        let outcome = if hit { "hit" } else { "miss" };
        let line = || format!("embedding cache: {outcome} for {}", subject(model, image));
        model.context().log().debug(line);
    };
    if let Some(kept) = kept() {
        looked_up(true);
        return Ok(kept);
    }
    let turn = model.encoding_turn();
    if let Some(kept) = kept() {
        drop(turn);
        looked_up(true);
        return Ok(kept);
    }
    looked_up(false);
    let ((embedding, ran), milliseconds) = timed(|| run_encoder(model, image))?;
    let embedding = Arc::new(embedding);
    let embeddings = model.context().embeddings();
    embeddings.insert(key, Arc::clone(&embedding));
    drop(turn);
    tell(model, image, "encoded", milliseconds, &ran);
    Ok(Encoded {
        key,
        embedding,
        encoding: Some(Encoding { milliseconds, ran }),
    })
}

/// The image and the model, for the log.
fn subject(model: &Model, image: &RegisteredImage) -> String {
    let (width, height) = image.size();
    let (image, id, name) = (image.id(), model.id(), model.name());
    format!("image {image} ({width} x {height}) by model {id} ({name})")
}

fn tell(model: &Model, image: &RegisteredImage, done: &str, milliseconds: f64, ran: &Ran) {
    model.context().log().debug(|| {
        let subject = subject(model, image);
        format!(
            "{done} {subject} in {milliseconds:.1} ms: {}; plan: {}",
            ran.way, ran.reason
        )
    });
}

fn run_encoder(model: &Model, image: &RegisteredImage) -> Result<(PlacedEmbedding, Ran), Error> {
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
    let context = model.context();
    let candidates = || model.candidates(Work::Encode, 0, model.tier());
    execute(context.memory(), "encode", &candidates, |way| {
        let placement = model.placement(way.tier)?;
        let operation = context.operation(way.tier);
        let embedding = placement.run(way.plan.precision, &operation, |backend| {
            Ok(backend.encode(&pixels, &way.plan, &operation)?)
        })?;
        Ok(PlacedEmbedding {
            placement,
            embedding,
        })
    })
}

fn decode(
    model: &Model,
    image: &RegisteredImage,
    encoded: Encoded,
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
    let ((_, ran), milliseconds) = timed(|| {
        let lies_in = encoded.embedding.placement.tier();
        let num_objects = prompts.num_objects() as u32;
        let candidates = || model.candidates(Work::Decode, num_objects, lies_in);
        let context = model.context();
        execute(context.memory(), "decode", &candidates, |way| {
            let placed = lie_in(way.tier, model, &encoded)?;
            let operation = context.operation(way.tier);
            placed
                .placement
                .run(way.plan.precision, &operation, |backend| {
                    let embedding = &placed.embedding;
                    Ok(backend.decode(embedding, &wanted, &way.plan, &operation, &mut masks)?)
                })
        })
    })?;
    let done = match prompts.num_objects() {
        1 => "decoded 1 object of".to_owned(),
        objects => format!("decoded {objects} objects of"),
    };
    tell(model, image, &done, milliseconds, &ran);
    check_finite(&prediction, model, &encoded, ran.way.plan.precision)?;
    prediction.timings = Timings {
        encode_ms: encoded
            .encoding
            .as_ref()
            .map(|encoding| encoding.milliseconds),
        decode_ms: milliseconds,
    };
    prediction.encode_ran = encoded.encoding.map(|encoding| encoding.ran);
    prediction.decode_ran = Some(ran);
    Ok(prediction)
}

/// An answer with NaN in it is none. The embedding may be where that came from, so it is not kept.
fn check_finite(
    prediction: &Prediction,
    model: &Model,
    encoded: &Encoded,
    precision: Precision,
) -> Result<(), Error> {
    let Some((what, mask, value)) = prediction.not_finite() else {
        return Ok(());
    };
    let embeddings = model.context().embeddings();
    embeddings.remove_where(|key| key == encoded.key);
    Err(Error::NotFinite {
        model: model.name().to_owned(),
        what,
        mask,
        value,
        precision,
    })
}

/// The embedding in the memory of a tier. One that is moved stays there, so that the next click need not move it again.
fn lie_in(tier: Tier, model: &Model, encoded: &Encoded) -> Result<Arc<PlacedEmbedding>, Error> {
    if encoded.embedding.placement.tier() == tier {
        return Ok(Arc::clone(&encoded.embedding));
    }
    let context = model.context();
    let placement = model.placement(tier)?;
    let moved = Arc::new(placement.import(&encoded.embedding, &context.operation(tier))?);
    context.embeddings().insert(encoded.key, Arc::clone(&moved));
    Ok(moved)
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
