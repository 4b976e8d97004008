//! Image embeddings: the expensive half of a prediction, kept per image and model.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::weighted_lru::{Limits, WeightedLru};
use crate::image::ImageKey;
use crate::memory::consumer::Consumer;
use crate::memory::manager::EMBEDDING_CACHE;
use crate::memory::status::Tier;

/// Which picture, seen by which model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The picture, whatever handle it came in.
    pub image: ImageKey,
    /// The model's number within its context, never used twice.
    pub model: u64,
}

/// The least recently used embeddings leave when the byte budget is crossed. An embedding in use by a running
/// prediction stays alive until that ends, whatever happens here.
pub struct EmbeddingCache<E> {
    tier: Tier,
    entries: Mutex<WeightedLru<Key, Arc<E>>>,
}

impl<E> EmbeddingCache<E> {
    /// An empty cache that holds at most `budget` bytes of a tier.
    pub fn new(tier: Tier, budget: u64) -> Self {
        let limits = Limits {
            entries: usize::MAX,
            bytes: budget,
        };
        Self {
            tier,
            entries: Mutex::new(WeightedLru::new(limits)),
        }
    }

    /// The embedding of an image, which becomes the most recently used.
    pub fn get(&self, key: Key) -> Option<Arc<E>> {
        self.lock().get(&key).cloned()
    }

    /// Keeps an embedding. One larger than the whole budget is not kept, and nothing is evicted for it.
    pub fn insert(&self, key: Key, embedding: Arc<E>, bytes: u64) {
        // What leaves is dropped without the lock, here and below.
        let _gone = self.lock().insert(key, embedding, bytes);
    }

    /// Drops the embeddings that `unwanted` names, and tells their bytes.
    pub fn remove_where(&self, unwanted: impl Fn(Key) -> bool) -> u64 {
        let gone = self.lock().remove_where(|&key, _| unwanted(key));
        gone.bytes
    }

    /// Drops the least recently used embeddings until `want` bytes are given back, and tells how many that were. What a
    /// running prediction holds stays: dropping it here would give nothing back.
    pub fn release_oldest(&self, want: u64) -> u64 {
        let gone = self.lock().release(want, |_, kept| is_idle(kept));
        gone.bytes
    }

    /// Bytes that [`release_oldest`](Self::release_oldest) could give back.
    pub fn idle_bytes(&self) -> u64 {
        self.lock().bytes_where(|_, kept| is_idle(kept))
    }

    /// What it holds at most.
    pub fn limits(&self) -> Limits {
        self.lock().limits()
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        self.lock().bytes()
    }

    /// Embeddings held.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, WeightedLru<Key, Arc<E>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// No running prediction holds it.
fn is_idle<E>(embedding: &Arc<E>) -> bool {
    Arc::strong_count(embedding) == 1
}

impl<E: Send + Sync> Consumer for EmbeddingCache<E> {
    fn name(&self) -> &str {
        EMBEDDING_CACHE
    }

    fn tier(&self) -> Tier {
        self.tier
    }

    fn bytes(&self) -> u64 {
        Self::bytes(self)
    }

    fn releasable(&self) -> u64 {
        self.idle_bytes()
    }

    fn release(&self, want: u64) -> u64 {
        self.release_oldest(want)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(image: u8) -> Key {
        Key {
            image: ImageKey::of_content_id(&[image], 1, 1),
            model: 0,
        }
    }

    #[test]
    fn the_oldest_are_given_back_and_only_as_many_as_wanted() {
        let cache = EmbeddingCache::new(Tier::Device, 100);
        for image in 1..=3 {
            cache.insert(key(image), Arc::new(image), 30);
        }
        cache.get(key(1));
        assert_eq!(cache.release_oldest(31), 60);
        assert!(cache.get(key(1)).is_some() && cache.len() == 1);
    }

    #[test]
    fn an_embedding_in_use_is_not_given_back() {
        let cache = EmbeddingCache::new(Tier::Device, 100);
        cache.insert(key(1), Arc::new(1), 30);
        cache.insert(key(2), Arc::new(2), 30);
        let in_use = cache.get(key(1));
        assert_eq!(cache.release_oldest(u64::MAX), 30);
        assert_eq!(cache.bytes(), 30);
        drop(in_use);
        assert_eq!(cache.release_oldest(u64::MAX), 30);
    }

    /// Asks the cache that it was in.
    struct Curious(std::sync::Weak<EmbeddingCache<Curious>>);

    impl Drop for Curious {
        fn drop(&mut self) {
            if let Some(cache) = self.0.upgrade() {
                // Would never return if the lock were held.
                assert!(cache.entries.try_lock().is_ok());
            }
        }
    }

    #[test]
    fn what_leaves_is_dropped_without_the_lock() {
        let cache = Arc::new(EmbeddingCache::new(Tier::Device, 100));
        let keep = |image| cache.insert(key(image), Arc::new(Curious(Arc::downgrade(&cache))), 40);
        (1..=3).for_each(keep);
        keep(3);
        assert_eq!(cache.release_oldest(1), 40);
        assert_eq!(cache.remove_where(|_| true), 40);
    }

    #[test]
    fn removing_by_model_tells_the_bytes_and_leaves_the_others() {
        let cache = EmbeddingCache::new(Tier::Device, 100);
        for (model, bytes) in [(7, 20), (8, 30)] {
            cache.insert(Key { model, ..key(1) }, Arc::new(model), bytes);
        }
        assert_eq!(cache.remove_where(|key| key.model == 7), 20);
        assert_eq!(cache.bytes(), 30);
    }
}
