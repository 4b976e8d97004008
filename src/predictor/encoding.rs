//! Runs the image encoder, under a plan that fits.

use std::thread;

use super::go_on;
use crate::backend::{PixelData, Pixels};
use crate::error::Error;
use crate::image::{ModelInput, Samples};
use crate::jobs::leaving::has_run;
use crate::jobs::orders::Oversight;
use crate::memory::execute::{Ran, execute, execute_modestly};
use crate::memory::plan::{Candidate, Way, Work};
use crate::memory::recovery::Rung;
use crate::model::Model;
use crate::placement::PlacedEmbedding;
use crate::registered_image::RegisteredImage;

/// Has the key of an image computed where there is none yet. That reads all pixels; meanwhile the model's input is made,
/// for an image without a key mostly is one that will have to be encoded.
pub(super) fn identify(
    model: &Model,
    image: &RegisteredImage,
) -> Result<Option<ModelInput>, Error> {
    if image.pixels().has_key() {
        return Ok(None);
    }
    thread::scope(|scope| {
        // Without a thread the key is computed when it is asked for.
        let _ = thread::Builder::new().spawn_scoped(scope, || image.key());
        model.input(image.pixels()).map(Some)
    })
}

pub(super) fn run_encoder(
    model: &Model,
    image: &RegisteredImage,
    input: Option<&ModelInput>,
    oversight: &Oversight,
) -> Result<(PlacedEmbedding, Ran), Error> {
    let made;
    let input = match input {
        Some(input) => input,
        None => {
            made = model.input(image.pixels())?;
            &made
        }
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
    let attempt = |way: &Way| {
        go_on(oversight)?;
        let placement = model.placement(way.tier, oversight)?;
        let operation = context.operation(way.tier, oversight.clone());
        let embedding = placement.run(way.plan.precision, &operation, |backend| {
            let encoded = backend.encode(&pixels, &way.plan, &operation);
            has_run("encode", way);
            Ok(encoded?)
        })?;
        Ok(PlacedEmbedding {
            placement,
            precision: way.plan.precision,
            tried_better: false,
            embedding,
        })
    };
    let (mut made, ran) = if oversight.is_modest() {
        let as_it_is = || Ok(without_changes(model, candidates()?));
        execute_modestly(context.memory(), "encode", &as_it_is, attempt)?
    } else {
        execute(context.memory(), "encode", &candidates, attempt)?
    };
    made.tried_better = ran.recovered_by == Some(Rung::LowerPrecision);
    Ok((made, ran))
}

/// The ways that leave the weights where and as they are.
fn without_changes(model: &Model, mut candidates: Vec<Candidate>) -> Vec<Candidate> {
    let weights = model.weights();
    candidates.retain(|candidate| {
        candidate.way.tier == model.tier() && candidate.way.plan.precision == weights
    });
    candidates
}
