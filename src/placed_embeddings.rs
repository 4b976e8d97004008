//! The embeddings of a context, wherever they are.

use std::sync::Arc;

use crate::cache::embedding::{EmbeddingCache, Key};
use crate::cache::weighted_lru::Limits;
use crate::image::ImageKey;
use crate::memory::consumer::{Consumer, Consumers, Rank};
use crate::memory::status::Tier;
use crate::placement::PlacedEmbedding;

/// A cache for each memory that embeddings lie in.
pub struct PlacedEmbeddings {
    device: Arc<EmbeddingCache<PlacedEmbedding>>,
    host: Arc<EmbeddingCache<PlacedEmbedding>>,
}

impl PlacedEmbeddings {
    /// Empty caches that hold at most `budget` bytes each.
    pub fn new(budget: u64) -> Self {
        Self {
            device: Arc::new(EmbeddingCache::new(Tier::Device, budget)),
            host: Arc::new(EmbeddingCache::new(Tier::Host, budget)),
        }
    }

    /// Lets the memory manager ask for their bytes.
    pub fn register(&self, consumers: &Consumers) {
        for cache in [&self.device, &self.host] {
            let consumer: Arc<dyn Consumer> = cache.clone();
            consumers.register(Rank::Embeddings, &consumer);
        }
    }

    /// The embedding of an image by a model; the one on the device where there are two.
    pub fn get(&self, key: Key) -> Option<Arc<PlacedEmbedding>> {
        self.device.get(key).or_else(|| self.host.get(key))
    }

    /// Keeps an embedding in the cache of its place, and no other of that image by that model.
    pub fn insert(&self, key: Key, placed: Arc<PlacedEmbedding>) {
        let (cache, other) = match placed.placement.tier() {
            Tier::Device => (&self.device, &self.host),
            Tier::Host => (&self.host, &self.device),
        };
        other.remove_where(|known| known == key);
        let bytes = placed.embedding.bytes();
        cache.insert(key, placed, bytes);
    }

    /// Drops the embeddings that `unwanted` names, and tells their bytes.
    pub fn remove_where(&self, unwanted: impl Fn(Key) -> bool) -> u64 {
        self.device.remove_where(&unwanted) + self.host.remove_where(&unwanted)
    }

    /// Drops everything but the embeddings of the image `keep`, and tells the bytes.
    pub fn clear(&self, keep: Option<ImageKey>) -> u64 {
        self.remove_where(|key| Some(key.image) != keep)
    }

    /// What is held at most, on the device and in host memory each.
    pub fn limits(&self) -> Limits {
        self.device.limits()
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        self.device.bytes() + self.host.bytes()
    }

    /// Embeddings held.
    pub fn len(&self) -> usize {
        self.device.len() + self.host.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
