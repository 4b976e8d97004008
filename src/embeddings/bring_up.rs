//! From host memory or the disk back to where an embedding can be decoded.

use std::sync::Arc;

use super::Source;
use super::packed::Packed;
use crate::backend::BackendError;
use crate::cache::embedding::Key;
use crate::error::Error;
use crate::jobs::orders::Oversight;
use crate::logging::Level;
use crate::memory::status::Tier;
use crate::model::Model;
use crate::placement::PlacedEmbedding;

/// The embedding of an image that is kept in a lower tier, made one that can be decoded and kept as such, and where it
/// was. `is_good` says whether one in a precision serves. Bytes that the backend does not take are dropped: they are
/// damaged, or another's.
///
/// # Errors
/// What the backend says, other than of the bytes.
pub fn bring_up(
    model: &Model,
    key: Key,
    is_good: impl Fn(&Packed) -> Result<bool, Error>,
    oversight: &Oversight,
) -> Result<Option<(Arc<PlacedEmbedding>, Source)>, Error> {
    let embeddings = model.context().embeddings();
    if let Some(packed) = embeddings.packed(key)
        && is_good(&packed)?
    {
        if let Some(placed) = import(model, &packed, oversight)? {
            return Ok(Some((keep(model, key, placed), Source::Host)));
        }
        embeddings.remove(key);
    }
    let Some(disk) = embeddings.disk() else {
        return Ok(None);
    };
    let Some(packed) = disk.load(key) else {
        return Ok(None);
    };
    match import(model, &packed, oversight)? {
        Some(placed) => Ok(Some((keep(model, key, placed), Source::Disk))),
        None => {
            disk.remove(key, &packed);
            Ok(None)
        }
    }
}

fn keep(model: &Model, key: Key, placed: PlacedEmbedding) -> Arc<PlacedEmbedding> {
    let placed = Arc::new(placed);
    let embeddings = model.context().embeddings();
    embeddings.insert_again(key, Arc::clone(&placed));
    placed
}

/// The embedding of bytes, where the model runs; on the CPU where the device has no room for it even after caches gave
/// theirs back. `None` for bytes that the backend refuses.
fn import(
    model: &Model,
    packed: &Packed,
    oversight: &Oversight,
) -> Result<Option<PlacedEmbedding>, Error> {
    let tier = model.tier();
    let mut result = import_at(model, packed, tier, oversight);
    if is_out_of_memory(&result) && tier == Tier::Device && !oversight.is_modest() {
        let manager = model.context().memory();
        let bytes = model.info().embedding_bytes;
        manager.consumers().release(tier, bytes);
        manager.trim();
        result = import_at(model, packed, tier, oversight);
        if is_out_of_memory(&result) && model.falls_back() {
            result = import_at(model, packed, Tier::Host, oversight);
        }
    }
    match result {
        Err(Error::Backend(error)) if is_refused(&error) => {
            let line = format!("a kept embedding is of no use and is made anew: {error}");
            model.context().log().write(Level::Info, &line);
            Ok(None)
        }
        result => result.map(Some),
    }
}

fn import_at(
    model: &Model,
    packed: &Packed,
    tier: Tier,
    oversight: &Oversight,
) -> Result<PlacedEmbedding, Error> {
    let placement = model.placement(tier, oversight)?;
    let operation = model.context().operation(tier, oversight.clone());
    placement.import_packed(packed, &operation)
}

fn is_out_of_memory<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Backend(error)) if error.is_out_of_memory())
}

fn is_refused(error: &BackendError) -> bool {
    use sam_mm_backend_abi::abi;
    matches!(
        error.code(),
        abi::SAM_MM_ERR_INVALID_ARGUMENT | abi::SAM_MM_ERR_UNSUPPORTED
    )
}
