//! Where a model runs: on the context's device, and, when that has no room, on the CPU.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::backend::{self, Embedding, Operation, Precision};
use crate::embeddings::packed::Packed;
use crate::error::Error;
use crate::memory::plan::{Candidate, Way, Work};
use crate::memory::status::Tier;

/// A model on one device.
pub struct Placement {
    tier: Tier,
    model: backend::Model,
    /// What the weights are in now. Never locked for long: it is asked while an operation runs.
    precision: RwLock<Precision>,
    /// Held by a running operation, so that the weights stay as it needs them.
    running: Mutex<()>,
}

/// An embedding and the model that made it, which alone can decode it.
pub struct PlacedEmbedding {
    /// Where it is.
    pub placement: Arc<Placement>,
    /// What it was computed in.
    pub precision: Precision,
    /// A higher precision was tried, though there seemed to be room for it, and memory ran out: not to be tried again.
    pub tried_better: bool,
    /// The embedding.
    pub embedding: Embedding,
}

impl Placement {
    /// A model that was loaded with weights in `precision`, into the memory of `tier`.
    pub fn new(tier: Tier, model: backend::Model, precision: Precision) -> Self {
        Self {
            tier,
            model,
            precision: RwLock::new(precision),
            running: Mutex::new(()),
        }
    }

    /// Whose memory it takes.
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// The backend's side of it.
    pub fn model(&self) -> &backend::Model {
        &self.model
    }

    /// What the weights are in now.
    pub fn precision(&self) -> Precision {
        *self
            .precision
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs an operation with the weights in the precision of its plan; what it needs of them stays so until it ends.
    ///
    /// # Errors
    /// What the backend says when the precision cannot be had, which then is as before; what `run` says.
    pub fn run<T>(
        &self,
        precision: Precision,
        operation: &Operation,
        run: impl FnOnce(&backend::Model) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let _running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if self.precision() != precision {
            self.model.set_precision(precision, operation)?;
            *self
                .precision
                .write()
                .unwrap_or_else(PoisonError::into_inner) = precision;
        }
        run(&self.model)
    }

    /// What a way needs here; `None` when the model cannot be run so.
    ///
    /// # Errors
    /// What the backend says, but for a plan that it does not support.
    pub fn candidate(&self, way: Way, work: Work) -> Result<Option<Candidate>, Error> {
        let estimate = match self.model.estimate(&way.plan) {
            Ok(estimate) => estimate,
            Err(error) if error.is_unsupported() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let candidate = Candidate::new(way, work, &estimate, 0);
        Ok(Some(Candidate {
            needed: self.with_weights(way.plan.precision, candidate.needed),
            ..candidate
        }))
    }

    /// Bytes needed at most when the weights are first brought to a precision: what that takes in passing, and then what
    /// is to be run beside the new weights.
    fn with_weights(&self, precision: Precision, to_run: u64) -> u64 {
        let now = self.precision();
        if now == precision {
            return to_run;
        }
        let info = self.model.info();
        let bytes = info.weight_bytes;
        let then = bytes / now.element_size() * precision.element_size();
        let in_passing = match info.precision_change_bytes {
            Some(piece) => then.saturating_sub(bytes).saturating_add(piece),
            None => then,
        };
        in_passing.max((to_run + then).saturating_sub(bytes))
    }

    /// An embedding of bytes that this model exported here or elsewhere.
    ///
    /// # Errors
    /// What the backend says.
    pub fn import_packed(
        self: &Arc<Self>,
        packed: &Packed,
        operation: &Operation,
    ) -> Result<PlacedEmbedding, Error> {
        Ok(PlacedEmbedding {
            placement: Arc::clone(self),
            precision: packed.precision,
            tried_better: packed.tried_better,
            embedding: self.model.import(&packed.bytes, operation)?,
        })
    }

    /// The same image embedding at another place, bit for bit.
    ///
    /// # Errors
    /// What either backend says.
    pub fn import(
        self: &Arc<Self>,
        from: &PlacedEmbedding,
        operation: &Operation,
    ) -> Result<PlacedEmbedding, Error> {
        let bytes = from.embedding.export()?;
        Ok(PlacedEmbedding {
            placement: Arc::clone(self),
            precision: from.precision,
            tried_better: from.tried_better,
            embedding: self.model.import(&bytes, operation)?,
        })
    }
}
