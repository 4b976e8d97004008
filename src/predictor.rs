//! The pipeline behind `sam_predict`: check → key → prediction (kept) → embedding (kept or made) → decode → keep if memory
//! allows → result.
//!
//! Encoding and decoding run in the care of the memory manager, which looks at how full memory is and chooses how and
//! where. What is kept costs no memory: it is given however full that is.
//!
//! Whoever asks for a model in fp32 gets fp32 where there is room for it. What had to be computed in half precision while
//! there was none is kept as such, and serves until there is room again; it is then computed anew.

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use crate::backend::{self, PixelData, Pixels, Precision};
use crate::cache::{embedding, prediction};
use crate::callback::refuse_inside;
use crate::error::Error;
use crate::image::{ImageKey, ModelInput, Samples};
use crate::memory::analytics::Cache;
use crate::memory::execute::{Ran, execute};
use crate::memory::plan::Work;
use crate::memory::recovery::Rung;
use crate::memory::status::Tier;
use crate::model::Model;
use crate::placement::PlacedEmbedding;
use crate::prediction::{Decoded, Prediction, Timings};
use crate::prompt::{Prompt, Prompts};
use crate::registered_image::RegisteredImage;

/// Predicts the masks of the objects that `prompts` point at in `image`: several per object with `multimask`, else one.
/// Threads that ask for the same prediction at once wait for one decoding.
pub fn predict(
    model: &Model,
    image: &RegisteredImage,
    prompts: &[Prompt<'_>],
    multimask: bool,
) -> Result<Prediction, Error> {
    refuse_inside("a prediction")?;
    check_same_context(model, image)?;
    let mask_size = model.info().mask_size as usize;
    let prompts = Prompts::check(prompts, multimask, image.size(), mask_size)?;
    let input = identify(model, image)?;
    let key = prediction_key(model, image.key(), &prompts);
    if let Some(kept) = kept_prediction(model, &key)? {
        count(model, image, Cache::Prediction, true);
        return Ok(Prediction::kept(kept));
    }
    let encoded = encode_input(model, image, input)?;
    let turn = model.decoding_turn();
    if let Some(kept) = kept_prediction(model, &key)? {
        drop(turn);
        count(model, image, Cache::Prediction, true);
        return Ok(Prediction::kept(kept));
    }
    count(model, image, Cache::Prediction, false);
    let (decoded, decode_ms) = timed(|| decode(model, image, &encoded, &prompts))?;
    let decoded = Arc::new(decoded);
    keep_if_memory_allows(model, key, &encoded.embedding, &decoded);
    drop(turn);
    tell_decoded(model, image, &decoded, decode_ms);
    Ok(encoded.into_prediction(decoded, decode_ms))
}

/// An embedding at hand, and what it took to have it.
pub struct Encoded {
    key: embedding::Key,
    embedding: Arc<PlacedEmbedding>,
    /// What encoding took; `None` when the embedding had been kept.
    encoding: Option<Encoding>,
}

/// What encoding took.
struct Encoding {
    milliseconds: f64,
    ran: Ran,
}

impl Encoded {
    fn into_prediction(self, decoded: Arc<Decoded>, decode_ms: f64) -> Prediction {
        let encode_ms = self.encoding.as_ref().map(|encoding| encoding.milliseconds);
        let timings = Timings {
            encode_ms,
            decode_ms: Some(decode_ms),
        };
        let encode_ran = self.encoding.map(|encoding| encoding.ran);
        Prediction::new(decoded, timings, encode_ran)
    }
}

/// The embedding of an image: the kept one, or a new one that is kept from now on. Threads that ask for the same image
/// at once wait for one encoding.
pub fn encode(model: &Model, image: &RegisteredImage) -> Result<Encoded, Error> {
    refuse_inside("an embedding")?;
    check_same_context(model, image)?;
    let input = identify(model, image)?;
    encode_input(model, image, input)
}

/// Has the key of an image computed where there is none yet. That reads all pixels; meanwhile the model's input is made,
/// for an image without a key mostly is one that will have to be encoded.
fn identify(model: &Model, image: &RegisteredImage) -> Result<Option<ModelInput>, Error> {
    if image.pixels().has_key() {
        return Ok(None);
    }
    thread::scope(|scope| {
        // Without a thread the key is computed when it is asked for.
        let _ = thread::Builder::new().spawn_scoped(scope, || image.key());
        model.input(image.pixels()).map(Some)
    })
}

fn encode_input(
    model: &Model,
    image: &RegisteredImage,
    input: Option<ModelInput>,
) -> Result<Encoded, Error> {
    let key = embedding_key(model, image.key());
    if let Some(kept) = kept_embedding(model, key)? {
        return Ok(found(model, image, key, kept));
    }
    let turn = model.encoding_turn();
    if let Some(kept) = kept_embedding(model, key)? {
        drop(turn);
        return Ok(found(model, image, key, kept));
    }
    count(model, image, Cache::Embedding, false);
    let ((embedding, ran), milliseconds) = timed(|| run_encoder(model, image, input))?;
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

fn found(
    model: &Model,
    image: &RegisteredImage,
    key: embedding::Key,
    embedding: Arc<PlacedEmbedding>,
) -> Encoded {
    count(model, image, Cache::Embedding, true);
    Encoded {
        key,
        embedding,
        encoding: None,
    }
}

fn embedding_key(model: &Model, image: ImageKey) -> embedding::Key {
    embedding::Key {
        image,
        model: model.id(),
    }
}

/// The embedding that is kept, unless a better one could be had now.
fn kept_embedding(
    model: &Model,
    key: embedding::Key,
) -> Result<Option<Arc<PlacedEmbedding>>, Error> {
    let Some(kept) = model.context().embeddings().get(key) else {
        return Ok(None);
    };
    let good = model.is_as_asked(kept.precision)
        || kept.tried_better
        || kept.precision == model.precision_now()?;
    Ok(good.then_some(kept))
}

fn run_encoder(
    model: &Model,
    image: &RegisteredImage,
    input: Option<ModelInput>,
) -> Result<(PlacedEmbedding, Ran), Error> {
    let input = match input {
        Some(made) => made,
        None => model.input(image.pixels())?,
    };
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
    let candidates = || model.candidates(Work::Encode, 0, model.tier(), model.precision());
    let (mut made, ran) = execute(context.memory(), "encode", &candidates, |way| {
        let placement = model.placement(way.tier)?;
        let operation = context.operation(way.tier);
        let embedding = placement.run(way.plan.precision, &operation, |backend| {
            Ok(backend.encode(&pixels, &way.plan, &operation)?)
        })?;
        Ok(PlacedEmbedding {
            placement,
            precision: way.plan.precision,
            tried_better: false,
            embedding,
        })
    })?;
    made.tried_better = ran.recovered_by == Some(Rung::LowerPrecision);
    Ok((made, ran))
}

/// What tells a prediction from all others, as its owner asked for it: in the model's own precision.
fn prediction_key(model: &Model, image: ImageKey, prompts: &Prompts) -> prediction::Key {
    prediction::Key {
        image,
        model: model.id(),
        precision: model.precision(),
        multimask: prompts.multimask,
        prompts: prompts.canonical(),
    }
}

/// The prediction that is kept, unless a better one could be had now.
fn kept_prediction(model: &Model, key: &prediction::Key) -> Result<Option<Arc<Decoded>>, Error> {
    let predictions = model.context().predictions();
    let mut kept = predictions.get(key);
    if kept.is_none() {
        let precision = precision_now(model, key.image)?;
        if precision != key.precision {
            kept = predictions.get(&prediction::Key {
                precision,
                ..key.clone()
            });
        }
    }
    Ok(kept)
}

/// The precision that a prediction on an image would be computed in now.
fn precision_now(model: &Model, image: ImageKey) -> Result<Precision, Error> {
    match kept_embedding(model, embedding_key(model, image))? {
        Some(kept) => Ok(lower(
            model,
            kept.precision,
            decoding_precision(model, &kept)?,
        )),
        None => model.precision_now(),
    }
}

/// The precision to decode an embedding in, where memory allows. One that was made in a lower precision than asked for
/// has no use for a higher one.
fn decoding_precision(model: &Model, embedding: &PlacedEmbedding) -> Result<Precision, Error> {
    let placement = &embedding.placement;
    if placement.tier() != model.tier() || !model.is_as_asked(embedding.precision) {
        return Ok(placement.precision());
    }
    model.precision_now()
}

/// The precision of what two parts were computed in.
fn lower(model: &Model, one: Precision, other: Precision) -> Precision {
    let parts = [one, other].into_iter();
    let mut lower = parts.filter(|&part| !model.is_as_asked(part));
    lower.next().unwrap_or(model.precision())
}

fn decode(
    model: &Model,
    image: &RegisteredImage,
    encoded: &Encoded,
    prompts: &Prompts,
) -> Result<Decoded, Error> {
    let mut decoded = Decoded::blank(model, image.size(), prompts)?;
    let mut masks = decoded.buffers();
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
    let lies_in = encoded.embedding.placement.tier();
    let precision = decoding_precision(model, &encoded.embedding)?;
    let num_objects = prompts.num_objects() as u32;
    let candidates = || model.candidates(Work::Decode, num_objects, lies_in, precision);
    let context = model.context();
    let ((), ran) = execute(context.memory(), "decode", &candidates, |way| {
        let placed = lie_in(way.tier, model, encoded)?;
        let operation = context.operation(way.tier);
        let placement = &placed.placement;
        placement.run(way.plan.precision, &operation, |backend| {
            let embedding = &placed.embedding;
            Ok(backend.decode(embedding, &wanted, &way.plan, &operation, &mut masks)?)
        })
    })?;
    check_finite(&decoded, model, encoded, ran.way.plan.precision)?;
    decoded.ran = Some(ran);
    Ok(decoded)
}

/// An answer with NaN in it is none. The embedding may be where that came from, so it is not kept.
fn check_finite(
    decoded: &Decoded,
    model: &Model,
    encoded: &Encoded,
    precision: Precision,
) -> Result<(), Error> {
    let Some((what, mask, value)) = decoded.not_finite() else {
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

fn tell_decoded(model: &Model, image: &RegisteredImage, decoded: &Decoded, milliseconds: f64) {
    let done = match decoded.num_objects {
        1 => "decoded 1 object of".to_owned(),
        objects => format!("decoded {objects} objects of"),
    };
    if let Some(ran) = &decoded.ran {
        tell(model, image, &done, milliseconds, ran);
    }
}

/// Keeps a prediction while host memory, which is where it lies, is below its threshold.
fn keep_if_memory_allows(
    model: &Model,
    key: prediction::Key,
    embedding: &PlacedEmbedding,
    decoded: &Arc<Decoded>,
) {
    let context = model.context();
    if context.memory().should_cache(Tier::Host).is_err() {
        return;
    }
    let decoding = decoded.ran.as_ref().map(|ran| ran.way.plan.precision);
    let precision = lower(
        model,
        embedding.precision,
        decoding.unwrap_or(embedding.precision),
    );
    let (key, bytes) = (prediction::Key { precision, ..key }, decoded.bytes());
    context
        .predictions()
        .insert(key, Arc::clone(decoded), bytes);
}

fn count(model: &Model, image: &RegisteredImage, cache: Cache, hit: bool) {
    let context = model.context();
    context.memory().analytics().looked_up(cache, hit);
    context.log().debug(|| {
        let outcome = if hit { "hit" } else { "miss" };
        format!("{cache} cache: {outcome} for {}", subject(model, image))
    });
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
