//! Embeddings on disk: which file an embedding of which model is in, and what is done where the disk fails.

mod entry;
mod fingerprint;
mod folder;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::backend::Precision;
use crate::cache::embedding::Key;
use crate::cache::weighted_lru::Limits;
use crate::image::{ImageKey, PREPROCESSING};

pub use entry::{EntryId, HEADER, backend_key};
pub use fingerprint::{Contents, Fingerprint};
pub use folder::{Folder, Usage};

use super::packed::Packed;

/// After a failure nothing is written for so long.
const PAUSE: Duration = Duration::from_secs(30);
/// What an exported embedding has at most besides twice the bytes of the embedding.
const SLACK: u64 = 1 << 20;

/// How embeddings are kept on disk.
#[derive(Clone, Debug)]
pub struct DiskOptions {
    /// The user's folder; a folder of our own is made in it.
    pub folder: PathBuf,
    /// What it holds at most.
    pub limits: Limits,
}

impl DiskOptions {
    /// What is held at most unless something else is asked for.
    pub const LIMITS: Limits = Limits {
        entries: 100_000,
        bytes: 8 << 30,
    };
}

/// A model, as other processes know it.
pub struct DiskModel {
    /// What it was loaded from.
    pub contents: Contents,
    /// See [`backend_key`].
    pub backend: [u8; 16],
    /// What its owner asked for.
    pub precision: Precision,
    /// Bytes of one embedding.
    pub embedding_bytes: u64,
}

impl DiskModel {
    /// What was computed in a lower precision than asked for, while memory was short, is not to be met again later on.
    fn keeps(&self, precision: Precision) -> bool {
        precision == self.precision || precision == Precision::Fp32
    }

    fn id(&self, image: ImageKey, precision: Precision, half: bool) -> Option<EntryId> {
        Some(EntryId {
            fingerprint: self.contents.fingerprint()?.0,
            backend: self.backend,
            preprocessing: PREPROCESSING,
            precision,
            half,
            image,
        })
    }
}

/// Told when something is wrong with the disk, in words.
pub type Warn = Box<dyn Fn(&str) + Send + Sync>;

/// The disk tier of a context. Nothing here fails: what cannot be read is not there, and what cannot be written is not
/// kept.
pub struct Disk {
    folder: Folder,
    models: Mutex<HashMap<u64, Arc<DiskModel>>>,
    /// Half precision where the backend can.
    half: bool,
    warn: Warn,
    warned: AtomicBool,
    failed: Mutex<Option<Instant>>,
}

impl Disk {
    /// A disk tier in a folder that may not exist yet.
    pub fn new(options: &DiskOptions, half: bool, warn: Warn) -> Self {
        Self {
            folder: Folder::new(&options.folder, options.limits),
            models: Mutex::default(),
            half,
            warn,
            warned: AtomicBool::new(false),
            failed: Mutex::new(None),
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// From now on embeddings of a model are kept.
    pub fn add_model(&self, id: u64, model: DiskModel) {
        self.models().insert(id, Arc::new(model));
    }

    /// A model is gone.
    pub fn remove_model(&self, id: u64) {
        self.models().remove(&id);
    }

    /// Whether an embedding computed in `precision` would be kept.
    pub fn keeps(&self, key: Key, precision: Precision) -> bool {
        self.model(key)
            .is_some_and(|model| model.keeps(precision) && !model.contents.is_unknown())
    }

    /// Whether an embedding is there, without waiting for anything but the folder; then it is the last one to leave.
    pub fn touch(&self, key: Key, precision: Precision) -> bool {
        let Some(model) = self.model(key) else {
            return false;
        };
        model.keeps(precision) && model.contents.is_ready() && {
            let mut ids = self.forms(&model, key.image, precision);
            ids.any(|id| self.folder.touch(&id))
        }
    }

    /// An embedding of a model as it was asked for.
    pub fn load(&self, key: Key) -> Option<Packed> {
        let model = self.model(key)?;
        let most = model
            .embedding_bytes
            .saturating_mul(2)
            .saturating_add(SLACK);
        let mut precisions = vec![model.precision];
        if model.precision != Precision::Fp32 {
            precisions.push(Precision::Fp32);
        }
        for precision in precisions {
            for id in self.forms(&model, key.image, precision) {
                if let Some(bytes) = self.folder.load(&id, most) {
                    return Some(Packed {
                        bytes,
                        precision,
                        tried_better: false,
                        half: id.half,
                    });
                }
            }
        }
        None
    }

    /// Keeps an embedding. Where that fails, people are told once.
    pub fn store(&self, key: Key, packed: &Packed) {
        let Some(model) = self.model(key) else { return };
        if !model.keeps(packed.precision) || self.is_pausing() {
            return;
        }
        let Some(id) = model.id(key.image, packed.precision, packed.half) else {
            return;
        };
        if let Err(error) = self.folder.store(&id, &packed.bytes) {
            *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            if !self.warned.swap(true, Ordering::Relaxed) {
                (self.warn)(&format!(
                    "embeddings cannot be kept in {}: {error}; they are encoded again when they are needed",
                    self.folder.path().display()
                ));
            }
        }
    }

    /// Drops what is there of an embedding: it was no use.
    pub fn remove(&self, key: Key, packed: &Packed) {
        let id = self
            .model(key)
            .and_then(|model| model.id(key.image, packed.precision, packed.half));
        if let Some(id) = id {
            self.folder.remove(&id);
        }
    }

    /// Drops all forms of the embeddings of an image by a model.
    pub fn remove_all(&self, key: Key) {
        let Some(model) = self.model(key) else { return };
        for &precision in Precision::ALL {
            for half in [false, true] {
                if let Some(id) = model.id(key.image, precision, half) {
                    self.folder.remove(&id);
                }
            }
        }
    }

    /// The forms that serve: bit for bit before half precision, and that only where it is asked for.
    fn forms(
        &self,
        model: &DiskModel,
        image: ImageKey,
        precision: Precision,
    ) -> impl Iterator<Item = EntryId> {
        let halves: &[bool] = if self.half { &[false, true] } else { &[false] };
        halves
            .iter()
            .filter_map(move |&half| model.id(image, precision, half))
            .collect::<Vec<_>>()
            .into_iter()
    }

    fn is_pausing(&self) -> bool {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.is_some_and(|at| at.elapsed() < PAUSE)
    }

    fn model(&self, key: Key) -> Option<Arc<DiskModel>> {
        self.models().get(&key.model).cloned()
    }

    fn models(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<DiskModel>>> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
