//! Runs prompt encoder and mask decoder, under a plan that fits, where the embedding lies or can be moved to.

use std::sync::Arc;

use super::{Encoded, Reach, decoding_precision, go_on};
use crate::backend::{self, Precision};
use crate::error::Error;
use crate::jobs::leaving::has_run;
use crate::jobs::orders::Oversight;
use crate::memory::execute::execute;
use crate::memory::plan::{Work, equal_to_best};
use crate::memory::status::Tier;
use crate::model::Model;
use crate::placement::PlacedEmbedding;
use crate::prediction::Decoded;
use crate::prompt::Prompts;
use crate::registered_image::RegisteredImage;

pub(super) fn decode(
    model: &Model,
    image: &RegisteredImage,
    (encoded, prompts): (&Encoded, &Prompts),
    oversight: &Oversight,
    reach: Reach,
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
    let candidates = || {
        let all = model.candidates(Work::Decode, num_objects, lies_in, precision)?;
        Ok(match reach {
            Reach::All => all,
            Reach::SameResult => equal_to_best(&all).to_vec(),
        })
    };
    let context = model.context();
    let ((), ran) = execute(context.memory(), "decode", &candidates, |way| {
        go_on(oversight)?;
        let placed = lie_in(way.tier, model, encoded, oversight)?;
        let operation = context.operation(way.tier, oversight.clone());
        let placement = &placed.placement;
        placement.run(way.plan.precision, &operation, |backend| {
            let embedding = &placed.embedding;
            let decoded = backend.decode(embedding, &wanted, &way.plan, &operation, &mut masks);
            has_run("decode", way);
            Ok(decoded?)
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
    model.context().embeddings().remove(encoded.key);
    Err(Error::NotFinite {
        model: model.name().to_owned(),
        what,
        mask,
        value,
        precision,
    })
}

/// The embedding in the memory of a tier. One that is moved stays there, so that the next click need not move it again.
fn lie_in(
    tier: Tier,
    model: &Model,
    encoded: &Encoded,
    oversight: &Oversight,
) -> Result<Arc<PlacedEmbedding>, Error> {
    if encoded.embedding.placement.tier() == tier {
        return Ok(Arc::clone(&encoded.embedding));
    }
    let context = model.context();
    let placement = model.placement(tier, oversight)?;
    let operation = context.operation(tier, oversight.clone());
    let moved = Arc::new(placement.import(&encoded.embedding, &operation)?);
    let embeddings = context.embeddings();
    embeddings.insert_again(encoded.key, Arc::clone(&moved));
    Ok(moved)
}
