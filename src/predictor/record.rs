//! What the pipeline tells of itself: look-ups counted, lines in the log.

use std::sync::Arc;

use crate::cache::embedding;
use crate::embeddings::Source;
use crate::jobs::orders::Orders;
use crate::memory::analytics::Cache;
use crate::memory::execute::Ran;
use crate::model::Model;
use crate::placement::PlacedEmbedding;
use crate::prediction::Decoded;
use crate::registered_image::RegisteredImage;

/// What was made for later is told apart until it is used. Before the turn ends: whoever waits for it uses it next.
pub(super) fn note_made(
    model: &Model,
    key: embedding::Key,
    embedding: &Arc<PlacedEmbedding>,
    orders: &Orders,
) {
    if orders.modest {
        model.context().prefetch().made(key, embedding);
    }
}

/// The tiers are asked one after the other, each only when the one before has nothing.
pub(super) fn count_tiers(model: &Model, source: Source) {
    let context = model.context();
    let analytics = context.memory().analytics();
    let tiers = [
        (
            Cache::EmbeddingDevice,
            Source::Device,
            context.memory().has_device(),
        ),
        (Cache::EmbeddingHost, Source::Host, true),
        (
            Cache::EmbeddingDisk,
            Source::Disk,
            context.embeddings().has_disk(),
        ),
    ];
    for (cache, its_source, _) in tiers.into_iter().filter(|&(_, _, there)| there) {
        let hit = source == its_source;
        analytics.looked_up(cache, hit);
        if hit {
            return;
        }
    }
}

/// The image and the model, for the log.
fn subject(model: &Model, image: &RegisteredImage) -> String {
    let (width, height) = image.size();
    let (image, id, name) = (image.id(), model.id(), model.name());
    format!("image {image} ({width} x {height}) by model {id} ({name})")
}

pub(super) fn tell_decoded(
    model: &Model,
    image: &RegisteredImage,
    decoded: &Decoded,
    milliseconds: f64,
) {
    let done = match decoded.num_objects {
        1 => "decoded 1 object of".to_owned(),
        objects => format!("decoded {objects} objects of"),
    };
    if let Some(ran) = &decoded.ran {
        tell(model, image, &done, milliseconds, ran);
    }
}

pub(super) fn tell(
    model: &Model,
    image: &RegisteredImage,
    done: &str,
    milliseconds: f64,
    ran: &Ran,
) {
    model.context().log().debug(|| {
        let subject = subject(model, image);
        format!(
            "{done} {subject} in {milliseconds:.1} ms: {}; plan: {}",
            ran.way, ran.reason
        )
    });
}

pub(super) fn count(model: &Model, image: &RegisteredImage, cache: Cache, hit: bool) {
    let context = model.context();
    context.memory().analytics().looked_up(cache, hit);
    context.log().debug(|| {
        let outcome = if hit { "hit" } else { "miss" };
        format!("{cache} cache: {outcome} for {}", subject(model, image))
    });
}
