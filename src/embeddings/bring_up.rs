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
        match import(model, &packed, oversight)? {
            Imported::Placed(placed) => {
                return Ok(Some((keep(model, key, placed), Source::Host)));
            }
            Imported::NoRoom => return Ok(None),
            Imported::Refused => embeddings.remove(key),
        }
    }
    let Some(disk) = embeddings.disk() else {
        return Ok(None);
    };
    let Some(packed) = disk.load(key) else {
        return Ok(None);
    };
    match import(model, &packed, oversight)? {
        Imported::Placed(placed) => Ok(Some((keep(model, key, placed), Source::Disk))),
        Imported::NoRoom => Ok(None),
        Imported::Refused => {
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

/// What came of an import.
enum Imported {
    Placed(PlacedEmbedding),
    /// The backend does not take the bytes.
    Refused,
    /// Neither the device has room for it, nor may it lie elsewhere.
    NoRoom,
}

/// The embedding of bytes, where the model runs; on the CPU where the device has no room for it within the budget even after
/// caches gave theirs back.
fn import(model: &Model, packed: &Packed, oversight: &Oversight) -> Result<Imported, Error> {
    let mut result = None;
    if model.tier() == Tier::Host || has_room(model, oversight) {
        result = Some(import_at(model, packed, model.tier(), oversight));
    }
    let short = result.as_ref().is_none_or(is_out_of_memory);
    if short && model.tier() == Tier::Device && model.falls_back() && !oversight.is_modest() {
        result = Some(import_at(model, packed, Tier::Host, oversight));
    }
    match result {
        None => Ok(Imported::NoRoom),
        Some(Err(Error::Backend(error))) if is_refused(&error) => {
            let line = format!("a kept embedding is of no use and is made anew: {error}");
            model.context().log().write(Level::Info, &line);
            Ok(Imported::Refused)
        }
        Some(result) => result.map(Imported::Placed),
    }
}

/// Whether an embedding fits into the device within the budget, after caches gave theirs back if need be. There is no plan
/// for it that would be held against that.
fn has_room(model: &Model, oversight: &Oversight) -> bool {
    let manager = model.context().memory();
    let bytes = model.info().embedding_bytes;
    if manager.has_room(bytes) {
        return true;
    }
    if oversight.is_modest() {
        return false;
    }
    manager.consumers().release(Tier::Device, bytes);
    manager.trim();
    manager.has_room(bytes)
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
