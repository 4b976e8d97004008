//! The embeddings of a context: on the device, in host memory, on disk.
//!
//! [`Embeddings`] is what the pipeline asks. [`shelves`] has the two tiers in memory and how an embedding moves down from
//! them, [`disk`] the files, [`packed`] an embedding as bytes; [`bring_up`] makes one of these an embedding again.

mod bring_up;
pub mod disk;
pub mod packed;
pub mod shelves;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub(crate) use bring_up::bring_up;

use crate::cache::embedding::Key;
use crate::cache::weighted_lru::Limits;
use crate::image::ImageKey;
use crate::jobs::leaving;
use crate::memory::consumer::{Consumer, Consumers, Rank};
use crate::memory::manager::EMBEDDING_CACHE;
use crate::memory::status::Tier;
use crate::placement::PlacedEmbedding;
use disk::{Disk, DiskModel, DiskOptions, Warn};
use packed::Packed;
use shelves::{Gate, Held, Shelves};

/// How long the end of a model or a context waits for what is still to be written.
const LAST_WRITES: Duration = Duration::from_secs(10);

/// Where an embedding was when it was needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// Nowhere: the image was encoded.
    Encoded,
    /// In the memory of the device.
    Device,
    /// In host memory.
    Host,
    /// On disk.
    Disk,
}

/// How the embeddings of a context are kept.
#[derive(Clone, Debug)]
pub struct EmbeddingOptions {
    /// On the device; in host memory where there is no device with a memory of its own.
    pub device: Limits,
    /// In host memory, where there is a device.
    pub host: Limits,
    /// On disk, if at all.
    pub disk: Option<DiskOptions>,
    /// In half precision, in host memory beside a device and on disk, where the backend can.
    pub compress: bool,
}

/// The embeddings of a context.
pub struct Embeddings {
    shelves: Arc<Shelves<PlacedEmbedding>>,
    host: Limits,
    consumers: [Arc<Share>; 2],
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Embeddings {
    /// Empty tiers. `host_has_room` is asked before something is moved into host memory, `warn` told once when the disk
    /// fails.
    pub fn new(options: &EmbeddingOptions, host_has_room: Gate, warn: Warn) -> Self {
        let disk = options.disk.as_ref();
        let disk = disk.map(|disk| Arc::new(Disk::new(disk, options.compress, warn)));
        let writes = disk.is_some();
        // Until a device is known there is host memory alone.
        let shelves = Arc::new(Shelves::new(
            options.device,
            options.device,
            options.compress,
            host_has_room,
            disk,
        ));
        let consumers = [Tier::Device, Tier::Host].map(|tier| {
            let shelves = Arc::clone(&shelves);
            Arc::new(Share { shelves, tier })
        });
        let embeddings = Self {
            shelves,
            host: options.host,
            consumers,
            writer: Mutex::new(None),
        };
        if writes {
            embeddings.start_writer();
        }
        embeddings
    }

    fn start_writer(&self) {
        let itself = Arc::downgrade(&self.shelves);
        leaving::register(itself);
        let shelves = Arc::clone(&self.shelves);
        let writer = thread::Builder::new()
            .name("sam-mm writer".to_owned())
            .spawn(move || shelves.write());
        match writer {
            Ok(thread) => *self.writer() = Some(thread),
            // Without a thread nothing is written: what is there is read all the same.
            Err(_) => self.shelves.close(),
        }
    }

    /// Lets the memory manager ask for their bytes.
    pub fn register(&self, consumers: &Consumers) {
        for share in &self.consumers {
            let consumer: Arc<dyn Consumer> = share.clone();
            consumers.register(Rank::Embeddings, &consumer);
        }
    }

    /// There is a device with a memory of its own: from now on host memory is the second tier.
    pub(crate) fn has_device(&self) {
        self.shelves.set_host_limits(self.host);
    }

    /// Whether there is a disk tier.
    pub fn has_disk(&self) -> bool {
        self.shelves.disk().is_some()
    }

    /// From now on embeddings of a model are kept on disk, where there is such a tier.
    pub(crate) fn add_model(&self, id: u64, model: DiskModel) {
        if let Some(disk) = self.shelves.disk() {
            model.contents.find_in_background();
            disk.add_model(id, model);
        }
    }

    /// A model is about to go, and all of its embeddings with it, but for those on disk.
    pub(crate) fn remove_model(&self, id: u64) {
        let of_model = |key: Key| key.model == id;
        self.shelves.flush(LAST_WRITES, of_model);
        self.shelves.remove_where(&BOTH, of_model);
        if let Some(disk) = self.shelves.disk() {
            disk.remove_model(id);
        }
    }

    /// The embedding of an image by a model that can be decoded as it is.
    pub fn live(&self, key: Key) -> Option<Arc<PlacedEmbedding>> {
        self.shelves.live(key)
    }

    /// The embedding of an image by a model as bytes in host memory.
    pub fn packed(&self, key: Key) -> Option<Arc<Packed>> {
        self.shelves.packed(key)
    }

    /// Keeps an embedding that was encoded, and no other of that image by that model.
    pub fn insert(&self, key: Key, placed: Arc<PlacedEmbedding>) {
        self.shelves.insert(key, placed, true);
    }

    /// Keeps an embedding that came from another tier.
    pub(crate) fn insert_again(&self, key: Key, placed: Arc<PlacedEmbedding>) {
        self.shelves.insert(key, placed, false);
    }

    /// Drops an embedding that is no use, wherever it is.
    pub fn remove(&self, key: Key) {
        self.shelves.remove_where(&BOTH, |known| known == key);
        if let Some(disk) = self.shelves.disk() {
            self.shelves.wait_unwritten(key);
            disk.remove_all(key);
        }
    }

    /// Drops what is kept in memory but for the embeddings of the image `keep`, and tells the bytes that are free now.
    pub fn clear(&self, keep: Option<ImageKey>) -> u64 {
        self.shelves
            .remove_where(&BOTH, |key| Some(key.image) != keep)
    }

    /// The same for one tier in memory.
    pub fn clear_tier(&self, tier: Tier, keep: Option<ImageKey>) -> u64 {
        self.shelves
            .remove_where(&[tier], |key| Some(key.image) != keep)
    }

    /// Deletes the files but for those of the image `keep`, those of other models and processes included, and tells
    /// their bytes.
    pub fn clear_disk(&self, keep: Option<ImageKey>) -> u64 {
        self.shelves.flush(LAST_WRITES, |_| true);
        let disk = self.shelves.disk();
        disk.map_or(0, |disk| disk.folder().clear(keep))
    }

    /// Waits until what was encoded so far is on disk, though not for ever.
    pub fn flush(&self) {
        self.shelves.flush(LAST_WRITES, |_| true);
    }

    /// What a tier in memory holds at most.
    pub fn limits(&self, tier: Tier) -> Limits {
        self.shelves.limits(tier)
    }

    /// What a tier in memory holds.
    pub fn held(&self, tier: Tier) -> Held {
        self.shelves.held(tier)
    }

    /// The disk tier, where there is one.
    pub fn disk(&self) -> Option<&Arc<Disk>> {
        self.shelves.disk()
    }

    /// Where the files are.
    pub fn disk_folder(&self) -> Option<PathBuf> {
        Some(self.shelves.disk()?.folder().path().to_owned())
    }

    /// Bytes held in memory.
    pub fn bytes(&self) -> u64 {
        BOTH.iter().map(|&tier| self.held(tier).bytes).sum()
    }

    /// Embeddings held in memory.
    pub fn len(&self) -> usize {
        BOTH.iter()
            .map(|&tier| self.held(tier).entries)
            .sum::<u64>() as usize
    }

    /// Whether nothing is held in memory.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn writer(&self) -> std::sync::MutexGuard<'_, Option<JoinHandle<()>>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const BOTH: [Tier; 2] = [Tier::Device, Tier::Host];

impl Drop for Embeddings {
    fn drop(&mut self) {
        self.shelves.close();
        let writer = self.writer().take();
        // The last user of a context may be a callback on that very thread.
        if let Some(writer) = writer.filter(|writer| writer.thread().id() != thread::current().id())
        {
            let _ = writer.join();
        }
    }
}

/// One tier, as the memory manager sees it.
struct Share {
    shelves: Arc<Shelves<PlacedEmbedding>>,
    tier: Tier,
}

impl Consumer for Share {
    fn name(&self) -> &str {
        EMBEDDING_CACHE
    }

    fn tier(&self) -> Tier {
        self.tier
    }

    fn bytes(&self) -> u64 {
        self.shelves.held(self.tier).bytes
    }

    fn releasable(&self) -> u64 {
        self.shelves.idle_bytes(self.tier)
    }

    fn release(&self, want: u64) -> u64 {
        self.shelves.release(self.tier, want, false)
    }

    fn release_sparing_host(&self, want: u64) -> u64 {
        self.shelves.release(self.tier, want, true)
    }
}
