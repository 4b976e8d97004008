//! The pipeline behind `sam_predict`: check → key → prediction (kept) → embedding (kept or made) → decode → keep if memory
//! allows → result.
//!
//! Encoding and decoding run in the care of the memory manager, which looks at how full memory is and chooses how and
//! where. What is kept costs no memory: it is given however full that is.
//!
//! A model does one thing at a time. Whoever has its turn encodes and decodes in one go, and finds what those before have
//! kept: threads that want the same wait for one of them to make it. Work in the background gives way to them
//! ([`turnstile`](crate::jobs::turnstile)) and begins anew afterwards.
//!
//! Whoever asks for a model in fp32 gets fp32 where there is room for it. What had to be computed in half precision while
//! there was none is kept as such, and serves until there is room again; it is then computed anew.

mod decoding;
mod encoding;
mod record;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::backend::Precision;
use crate::cache::{embedding, prediction};
use crate::callback::refuse_inside;
use crate::embeddings::packed::Packed;
use crate::embeddings::{Source, bring_up};
use crate::error::Error;
use crate::image::{ImageKey, ModelInput};
use crate::jobs::orders::{Orders, Oversight, Ticks};
use crate::jobs::progress::Stage;
use crate::jobs::turnstile::Turn;
use crate::memory::analytics::Cache;
use crate::memory::execute::{Fit, Ran, fit};
use crate::memory::plan::Work;
use crate::memory::status::Tier;
use crate::model::Model;
use crate::placement::PlacedEmbedding;
use crate::prediction::{Decoded, Prediction, Timings};
use crate::prompt::{Prompt, Prompts};
use crate::registered_image::RegisteredImage;
use decoding::decode;
use encoding::{identify, run_encoder};
use record::{count, count_tiers, note_made, tell, tell_decoded};

/// Predicts the masks of the objects that `prompts` point at in `image`: several per object with `multimask`, else one.
/// Threads that ask for the same prediction at once wait for one decoding.
pub fn predict(
    model: &Model,
    image: &RegisteredImage,
    prompts: &[Prompt<'_>],
    multimask: bool,
) -> Result<Prediction, Error> {
    predict_with(model, image, prompts, multimask, &Orders::default())
}

/// [`predict`] with orders.
pub fn predict_with(
    model: &Model,
    image: &RegisteredImage,
    prompts: &[Prompt<'_>],
    multimask: bool,
    orders: &Orders,
) -> Result<Prediction, Error> {
    let prompts = check_prompts(model, image, prompts, multimask)?;
    predict_checked(model, image, &prompts, orders)
}

/// The prompts of a prediction, checked and copied.
pub fn check_prompts(
    model: &Model,
    image: &RegisteredImage,
    prompts: &[Prompt<'_>],
    multimask: bool,
) -> Result<Prompts, Error> {
    check_same_context(model, image)?;
    let mask_size = model.info().mask_size as usize;
    Ok(Prompts::check(prompts, multimask, image.size(), mask_size)?)
}

/// [`predict_with`] for prompts that were checked for this model and image.
pub fn predict_checked(
    model: &Model,
    image: &RegisteredImage,
    prompts: &Prompts,
    orders: &Orders,
) -> Result<Prediction, Error> {
    refuse_inside("predicting")?;
    check_same_context(model, image)?;
    orders.enter(Stage::Reading, 0.0)?;
    let input = identify(model, image)?;
    let key = prediction_key(model, image.key(), prompts);
    if let Some(kept) = model.context().predictions().get(&key) {
        count(model, image, Cache::Prediction, true);
        return Ok(Prediction::kept(kept));
    }
    in_turn(model, image, orders, |turn| {
        if let Some(kept) = kept_prediction(model, &key)? {
            count(model, image, Cache::Prediction, true);
            return Ok(Prediction::kept(kept));
        }
        let encoded = encode_in_turn(model, image, input.as_ref(), (orders, turn))?;
        count(model, image, Cache::Prediction, false);
        orders.enter(Stage::Decoding, DECODING)?;
        let oversight = Oversight::in_turn(orders, turn);
        let (decoded, decode_ms) =
            timed(|| decode(model, image, (&encoded, prompts), &oversight, Reach::All))?;
        let decoded = Arc::new(decoded);
        keep_if_memory_allows(model, key.clone(), &encoded.embedding, &decoded);
        tell_decoded(model, image, &decoded, decode_ms);
        Ok(encoded.into_prediction(decoded, decode_ms))
    })
}

/// Of all the work of a prediction, where encoding begins and decoding does. Half of a MobileSAM's time is decoding, of the
/// others' next to nothing; progress is a help, no measurement.
const ENCODING: f64 = 0.1;
const DECODING: f64 = 0.9;

/// Does `work` in a turn with the model; again and again where it has to give way, and only then.
fn in_turn<T>(
    model: &Model,
    image: &RegisteredImage,
    orders: &Orders,
    mut work: impl FnMut(&Turn) -> Result<T, Error>,
) -> Result<T, Error> {
    loop {
        let turn = model.turn(image.key(), orders)?;
        let outcome = work(&turn);
        if !outcome.as_ref().is_err_and(Error::is_cancelled) {
            return outcome;
        }
        orders.cancel.check()?;
        if !turn.signs().gave_way() {
            return outcome;
        }
    }
}

/// An embedding at hand, and what it took to have it.
pub struct Encoded {
    key: embedding::Key,
    embedding: Arc<PlacedEmbedding>,
    source: Source,
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
        let mut prediction = Prediction::new(decoded, timings, encode_ran);
        prediction.embedding_source = Some(self.source);
        prediction
    }
}

/// The embedding of an image: the kept one, or a new one that is kept from now on. Threads that ask for the same image
/// at once wait for one encoding.
pub fn encode(model: &Model, image: &RegisteredImage) -> Result<Encoded, Error> {
    encode_with(model, image, &Orders::default())
}

/// [`encode`] with orders.
pub fn encode_with(
    model: &Model,
    image: &RegisteredImage,
    orders: &Orders,
) -> Result<Encoded, Error> {
    refuse_inside("encoding")?;
    check_same_context(model, image)?;
    orders.enter(Stage::Reading, 0.0)?;
    let input = identify(model, image)?;
    let key = embedding_key(model, image.key());
    let kept = model.context().embeddings().live(key);
    if let Some(kept) = kept.filter(|kept| needs_no_better(model, kept)) {
        return Ok(found(model, image, (key, kept), orders));
    }
    in_turn(model, image, orders, |turn| {
        encode_in_turn(model, image, input.as_ref(), (orders, turn))
    })
}

/// What came of prefetching an image.
pub enum Prefetched {
    /// It is kept, now or from before.
    IsThere,
    /// Somebody more urgent came, and nothing was made.
    GaveWay,
}

/// Encodes an image that nobody waits for, once, unless it is kept already.
pub(crate) fn prefetch(
    model: &Model,
    image: &RegisteredImage,
    orders: &Orders,
) -> Result<Prefetched, Error> {
    let input = identify(model, image)?;
    let turn = model.turn(image.key(), orders)?;
    match encode_in_turn(model, image, input.as_ref(), (orders, &turn)) {
        Ok(_) => Ok(Prefetched::IsThere),
        Err(error) if error.is_cancelled() && turn.signs().gave_way() => Ok(Prefetched::GaveWay),
        Err(error) => Err(error),
    }
}

/// Which ways an operation may be run in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// All.
    All,
    /// Those that give the same result within rounding as the best one: neither half precision nor the CPU in its place.
    SameResult,
}

/// Decodes prompts on an embedding of the image for somebody who will not ask for the same again: nothing is kept. It is
/// one turn with the model, so that others come in between.
pub(crate) fn decode_once(
    model: &Model,
    image: &RegisteredImage,
    (encoded, prompts): (&Encoded, &Prompts),
    reach: Reach,
    orders: &Orders,
) -> Result<Decoded, Error> {
    refuse_inside("predicting")?;
    in_turn(model, image, orders, |turn| {
        let oversight = Oversight::in_turn(orders, turn);
        let objects = (encoded, prompts);
        let (decoded, decode_ms) = timed(|| decode(model, image, objects, &oversight, reach))?;
        tell_decoded(model, image, &decoded, decode_ms);
        Ok(decoded)
    })
}

/// How the decoding of so many objects would fit in memory now; in host memory, with the logits that come out.
pub(crate) fn decode_fit(
    model: &Model,
    encoded: &Encoded,
    num_objects: u32,
    multimask: bool,
) -> Result<Fit, Error> {
    let precision = decoding_precision(model, &encoded.embedding)?;
    let lies_in = encoded.embedding.placement.tier();
    let mut candidates = model.candidates(Work::Decode, num_objects, lies_in, precision)?;
    let info = model.info();
    let masks = u64::from(num_objects) * u64::from(info.masks_per_object(multimask));
    let logits = masks * 4 * u64::from(info.mask_size).pow(2);
    for candidate in &mut candidates {
        if candidate.way.tier == Tier::Host {
            candidate.needed = candidate.needed.saturating_add(logits);
        }
    }
    Ok(fit(model.context().memory(), &candidates))
}

fn encode_in_turn(
    model: &Model,
    image: &RegisteredImage,
    input: Option<&ModelInput>,
    (orders, turn): (&Orders, &Turn),
) -> Result<Encoded, Error> {
    let key = embedding_key(model, image.key());
    if let Some(kept) = kept_embedding(model, key)? {
        return Ok(found(model, image, (key, kept), orders));
    }
    let oversight = Oversight::in_turn(orders, turn);
    let is_good = |kept: &Packed| serves(model, kept.precision, kept.tried_better);
    if let Some((kept, source)) = bring_up(model, key, is_good, &oversight)? {
        note_made(model, key, &kept, orders);
        return Ok(found_in(source, model, image, (key, kept), orders));
    }
    if !orders.modest {
        count(model, image, Cache::Embedding, false);
        count_tiers(model, Source::Encoded);
    }
    orders.enter(Stage::Encoding, ENCODING)?;
    let steps = model.ticks_to_encode.load(Ordering::Relaxed);
    let part = (ENCODING, DECODING);
    let ticks = Arc::new(Ticks::new(orders, Stage::Encoding, part, steps));
    let oversight = oversight.for_others_too().counted_by(&ticks);
    let ((embedding, ran), milliseconds) = timed(|| run_encoder(model, image, input, &oversight))?;
    model.ticks_to_encode.store(ticks.seen(), Ordering::Relaxed);
    let embedding = Arc::new(embedding);
    let embeddings = model.context().embeddings();
    embeddings.insert(key, Arc::clone(&embedding));
    note_made(model, key, &embedding, orders);
    tell(model, image, "encoded", milliseconds, &ran);
    // It may have gone on for others alone.
    orders.cancel.check()?;
    Ok(Encoded {
        key,
        embedding,
        source: Source::Encoded,
        encoding: Some(Encoding { milliseconds, ran }),
    })
}

fn found(
    model: &Model,
    image: &RegisteredImage,
    (key, embedding): (embedding::Key, Arc<PlacedEmbedding>),
    orders: &Orders,
) -> Encoded {
    let source = match embedding.placement.tier() {
        Tier::Device => Source::Device,
        Tier::Host => Source::Host,
    };
    found_in(source, model, image, (key, embedding), orders)
}

fn found_in(
    source: Source,
    model: &Model,
    image: &RegisteredImage,
    (key, embedding): (embedding::Key, Arc<PlacedEmbedding>),
    orders: &Orders,
) -> Encoded {
    // What is made for later is neither asked for nor used.
    if !orders.modest {
        model.context().prefetch().used(key);
        count(model, image, Cache::Embedding, true);
        count_tiers(model, source);
    }
    Encoded {
        key,
        embedding,
        source,
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
    let Some(kept) = model.context().embeddings().live(key) else {
        return Ok(None);
    };
    let good = serves(model, kept.precision, kept.tried_better)?;
    Ok(good.then_some(kept))
}

/// Whether nothing better than such an embedding could be had now.
fn serves(model: &Model, precision: Precision, tried_better: bool) -> Result<bool, Error> {
    Ok(model.is_as_asked(precision) || tried_better || precision == model.precision_now()?)
}

/// Whether an embedding is as good as it will get, however much memory there is.
fn needs_no_better(model: &Model, kept: &PlacedEmbedding) -> bool {
    model.is_as_asked(kept.precision) || kept.tried_better
}

/// Asked before an operation begins, as the backend does once it runs.
fn go_on(oversight: &Oversight) -> Result<(), Error> {
    if oversight.should_stop() {
        return Err(Error::Cancelled);
    }
    Ok(())
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

fn timed<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<(T, f64), Error> {
    let start = Instant::now();
    let made = work()?;
    Ok((made, start.elapsed().as_secs_f64() * 1e3))
}

/// A model and an image must be of one context.
pub fn check_same_context(model: &Model, image: &RegisteredImage) -> Result<(), Error> {
    if Arc::ptr_eq(model.context(), image.context()) {
        return Ok(());
    }
    Err(Error::invalid_argument(
        "image",
        "belongs to another context than the model; make both from the same one",
    ))
}
