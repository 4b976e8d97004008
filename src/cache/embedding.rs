//! Image embeddings: the expensive half of a prediction, kept per image and model.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use crate::memory::consumer::Consumer;
use crate::memory::manager::EMBEDDING_CACHE;
use crate::memory::status::Tier;

/// Which image, seen by which model. Numbers of a context, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The image.
    pub image: u64,
    /// The model.
    pub model: u64,
}

struct Entry<E> {
    embedding: Arc<E>,
    bytes: u64,
}

impl<E> Entry<E> {
    /// No running prediction holds it.
    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.embedding) == 1
    }
}

struct Entries<E> {
    by_use: LruCache<Key, Entry<E>>,
    bytes: u64,
}

/// The least recently used embeddings leave when the byte budget is crossed. An embedding in use by a running
/// prediction stays alive until that ends, whatever happens here.
pub struct EmbeddingCache<E> {
    tier: Tier,
    budget: u64,
    entries: Mutex<Entries<E>>,
}

impl<E> EmbeddingCache<E> {
    /// An empty cache that holds at most `budget` bytes of a tier.
    pub fn new(tier: Tier, budget: u64) -> Self {
        Self {
            tier,
            budget,
            entries: Mutex::new(Entries {
                by_use: LruCache::unbounded(),
                bytes: 0,
            }),
        }
    }

    /// The embedding of an image, which becomes the most recently used.
    pub fn get(&self, key: Key) -> Option<Arc<E>> {
        self.lock()
            .by_use
            .get(&key)
            .map(|entry| Arc::clone(&entry.embedding))
    }

    /// Keeps an embedding. One larger than the whole budget is not kept, and nothing is evicted for it.
    pub fn insert(&self, key: Key, embedding: Arc<E>, bytes: u64) {
        if bytes > self.budget {
            return;
        }
        let mut gone = Vec::new();
        let mut entries = self.lock();
        gone.extend(entries.remove(key));
        while entries.bytes + bytes > self.budget {
            gone.extend(entries.remove_oldest());
        }
        entries.bytes += bytes;
        entries.by_use.put(key, Entry { embedding, bytes });
        drop(entries);
    }

    /// Drops the embeddings that `unwanted` names, and tells their bytes.
    pub fn remove_where(&self, unwanted: impl Fn(Key) -> bool) -> u64 {
        let mut entries = self.lock();
        let keys: Vec<Key> = entries
            .by_use
            .iter()
            .map(|(&key, _)| key)
            .filter(|&key| unwanted(key))
            .collect();
        let gone: Vec<_> = keys
            .into_iter()
            .filter_map(|key| entries.remove(key))
            .collect();
        drop(entries);
        bytes_of(&gone)
    }

    /// Drops the least recently used embeddings until `want` bytes are given back, and tells how many that were. What a
    /// running prediction holds stays: dropping it here would give nothing back.
    pub fn release_oldest(&self, want: u64) -> u64 {
        let mut entries = self.lock();
        let idle: Vec<Key> = entries
            .by_use
            .iter()
            .rev()
            .filter(|(_, entry)| entry.is_idle())
            .map(|(&key, _)| key)
            .collect();
        let mut gone = Vec::new();
        for key in idle {
            if bytes_of(&gone) >= want {
                break;
            }
            gone.extend(entries.remove(key));
        }
        drop(entries);
        bytes_of(&gone)
    }

    /// Bytes that [`release_oldest`](Self::release_oldest) could give back.
    pub fn idle_bytes(&self) -> u64 {
        let entries = self.lock();
        let idle = entries.by_use.iter().filter(|(_, entry)| entry.is_idle());
        idle.map(|(_, entry)| entry.bytes).sum()
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// Embeddings held.
    pub fn len(&self) -> usize {
        self.lock().by_use.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Entries<E>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

/// What is taken out is to be dropped without the lock: that calls the backend, which may write to the log, whose reader
/// may ask how much is held.
impl<E> Entries<E> {
    fn remove(&mut self, key: Key) -> Option<Entry<E>> {
        let entry = self.by_use.pop(&key)?;
        self.bytes -= entry.bytes;
        Some(entry)
    }

    fn remove_oldest(&mut self) -> Option<Entry<E>> {
        let (_, entry) = self.by_use.pop_lru()?;
        self.bytes -= entry.bytes;
        Some(entry)
    }
}

fn bytes_of<E>(entries: &[Entry<E>]) -> u64 {
    entries.iter().map(|entry| entry.bytes).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(image: u64) -> Key {
        Key { image, model: 0 }
    }

    #[test]
    fn the_least_recently_used_leaves_when_the_budget_is_crossed() {
        let cache = EmbeddingCache::new(Tier::Device, 100);
        for image in 1..=3 {
            cache.insert(key(image), Arc::new(image), 30);
        }
        cache.get(key(1));
        cache.insert(key(4), Arc::new(4), 40);
        let kept: Vec<_> = (1..=4)
            .map(|image| cache.get(key(image)).is_some())
            .collect();
        assert_eq!(kept, [true, false, true, true]);
        assert_eq!((cache.bytes(), cache.len()), (100, 3));
    }

    #[test]
    fn an_oversize_embedding_is_not_kept_and_evicts_nobody() {
        let cache = EmbeddingCache::new(Tier::Device, 100);
        cache.insert(key(1), Arc::new(1), 60);
        cache.insert(key(2), Arc::new(2), 101);
        assert!(cache.get(key(1)).is_some() && cache.get(key(2)).is_none());
    }

    #[test]
    fn an_update_at_capacity_evicts_no_neighbour() {
        let cache = EmbeddingCache::new(Tier::Device, 100);
        cache.insert(key(1), Arc::new(1), 50);
        cache.insert(key(2), Arc::new(2), 50);
        cache.insert(key(1), Arc::new(3), 50);
        assert_eq!(
            (cache.get(key(1)).as_deref(), cache.get(key(2)).as_deref()),
            (Some(&3), Some(&2))
        );
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
        cache.insert(Key { image: 1, model: 7 }, Arc::new(1), 20);
        cache.insert(Key { image: 1, model: 8 }, Arc::new(2), 30);
        assert_eq!(cache.remove_where(|key| key.model == 7), 20);
        assert_eq!(cache.bytes(), 30);
    }
}
