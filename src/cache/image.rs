//! Images resized for display.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::weighted_lru::{Limits, WeightedLru};
use crate::image::ImageKey;
use crate::image::display::{DisplayImage, DisplayPlan};
use crate::memory::consumer::Consumer;
use crate::memory::manager::IMAGE_CACHE;
use crate::memory::status::Tier;

/// Which picture, by the MD5 of its pixels and geometry, and what was made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The picture.
    pub image: ImageKey,
    /// Size, interpolation and format on the screen.
    pub plan: DisplayPlan,
}

/// The cache of a context.
pub type ImageCache = WeakImageCache<Key, DisplayImage>;

/// What a look-up came to.
#[derive(Debug)]
pub enum Found<V> {
    /// It is kept.
    Kept(Arc<V>),
    /// It was dropped from what is kept, but somebody still holds it.
    Held(Arc<V>),
}

impl<V> Found<V> {
    /// What was found.
    pub fn into_image(self) -> Arc<V> {
        match self {
            Self::Kept(image) | Self::Held(image) => image,
        }
    }
}

/// What is kept may go at any time, the least recently used first; what a caller holds stays valid all the same, and is
/// found again for as long as it is held. Pixels and metadata are one value, so neither is ever found without the other.
pub struct WeakImageCache<K: Hash + Eq, V> {
    entries: Mutex<Entries<K, V>>,
}

struct Entries<K: Hash + Eq, V> {
    kept: WeightedLru<K, Arc<V>>,
    /// All that were handed out and may still be held.
    held: HashMap<K, Weak<V>>,
    /// Number of those at which the ones nobody holds any more are taken out: it doubles with what is really held, so
    /// that on the average an insertion looks at a few only.
    crowded: usize,
}

const CROWDED: usize = 32;

impl<K: Hash + Eq + Clone, V> WeakImageCache<K, V> {
    /// An empty one.
    pub fn new(limits: Limits) -> Self {
        Self {
            entries: Mutex::new(Entries {
                kept: WeightedLru::new(limits),
                held: HashMap::new(),
                crowded: CROWDED,
            }),
        }
    }

    /// The image of a key, kept or held by somebody. A kept one becomes the most recently used.
    pub fn find(&self, key: &K) -> Option<Found<V>> {
        let mut entries = self.lock();
        if let Some(image) = entries.kept.get(key) {
            return Some(Found::Kept(Arc::clone(image)));
        }
        entries.held.get(key)?.upgrade().map(Found::Held)
    }

    /// Makes an image findable while it is held, and keeps it when `keep` and there is room for `bytes`. Gives the image
    /// to use: where another of that key is alive, that one.
    pub fn insert(&self, key: K, image: Arc<V>, bytes: u64, keep: bool) -> Arc<V> {
        let mut entries = self.lock();
        let alive = entries.held.get(&key).and_then(Weak::upgrade);
        let image = alive.unwrap_or(image);
        entries.remember(key.clone(), &image);
        if keep {
            let gone = entries.kept.insert(key, Arc::clone(&image), bytes);
            drop(entries);
            drop(gone);
        }
        image
    }

    /// Drops all that is kept, and tells the bytes of what nobody holds: that memory is free now.
    pub fn clear(&self) -> u64 {
        self.clear_except(|_| false)
    }

    /// The same but for those that `stays` names.
    pub fn clear_except(&self, stays: impl Fn(&K) -> bool) -> u64 {
        let mut entries = self.lock();
        let unheld = |key: &K, image: &Arc<V>| !stays(key) && nobody_holds(key, image);
        let freed = entries.kept.release(u64::MAX, unheld);
        let held = entries.kept.remove_where(|key, _| !stays(key));
        drop(entries);
        drop(held);
        freed.bytes
    }

    /// Bytes kept.
    pub fn bytes(&self) -> u64 {
        self.lock().kept.bytes()
    }

    /// Images kept.
    pub fn len(&self) -> usize {
        self.lock().kept.len()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How much is kept at most.
    pub fn limits(&self) -> Limits {
        self.lock().kept.limits()
    }

    fn lock(&self) -> MutexGuard<'_, Entries<K, V>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq, V> Entries<K, V> {
    fn remember(&mut self, key: K, image: &Arc<V>) {
        self.held.insert(key, Arc::downgrade(image));
        if self.held.len() >= self.crowded {
            self.held.retain(|_, image| image.strong_count() > 0);
            self.crowded = CROWDED.max(2 * self.held.len());
        }
    }
}

/// New holders come by way of the cache, which is locked while this is asked, or from an old one.
fn nobody_holds<K, V>(_: &K, image: &Arc<V>) -> bool {
    Arc::strong_count(image) == 1
}

impl<K, V> Consumer for WeakImageCache<K, V>
where
    K: Hash + Eq + Clone + Send,
    V: Send + Sync,
{
    fn name(&self) -> &str {
        IMAGE_CACHE
    }

    fn tier(&self) -> Tier {
        Tier::Host
    }

    fn bytes(&self) -> u64 {
        Self::bytes(self)
    }

    fn releasable(&self) -> u64 {
        self.lock().kept.bytes_where(nobody_holds)
    }

    /// Dropping what somebody holds would give nothing back.
    fn release(&self, want: u64) -> u64 {
        let gone = self.lock().kept.release(want, nobody_holds);
        gone.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Cache = WeakImageCache<u32, u32>;

    fn cache(entries: usize, bytes: u64) -> Cache {
        Cache::new(Limits { entries, bytes })
    }

    fn insert(cache: &Cache, key: u32, bytes: u64) -> Arc<u32> {
        cache.insert(key, Arc::new(key), bytes, true)
    }

    fn found(cache: &Cache, key: u32) -> Option<u32> {
        cache.find(&key).map(|found| *found.into_image())
    }

    #[test]
    fn what_somebody_holds_is_found_again_after_it_was_evicted_and_is_gone_with_its_last_holder() {
        let cache = cache(1, 100);
        let held = insert(&cache, 1, 10);
        insert(&cache, 2, 10);
        let Some(Found::Held(again)) = cache.find(&1) else {
            panic!("it is evicted, and held");
        };
        assert!(Arc::ptr_eq(&held, &again));
        drop((held, again));
        assert!(cache.find(&1).is_none() && found(&cache, 2) == Some(2));
    }

    #[test]
    fn what_nobody_holds_is_given_back_oldest_first_and_what_somebody_holds_is_not() {
        let cache = cache(10, 100);
        let held = insert(&cache, 1, 10);
        for key in 2..=4 {
            insert(&cache, key, 10);
        }
        assert_eq!((cache.bytes(), cache.releasable()), (40, 30));
        assert_eq!(cache.release(11), 20);
        assert_eq!(
            [1, 2, 3, 4].map(|key| found(&cache, key).is_some()),
            [true, false, false, true]
        );
        assert_eq!((cache.release(u64::MAX), cache.bytes()), (10, 10));
        drop(held);
        assert_eq!((cache.release(u64::MAX), cache.bytes()), (10, 0));
    }

    #[test]
    fn clearing_drops_everything_and_tells_what_that_freed() {
        let cache = cache(10, 100);
        let held = insert(&cache, 1, 10);
        insert(&cache, 2, 20);
        assert_eq!(cache.clear(), 20);
        assert!(cache.is_empty() && cache.bytes() == 0);
        assert_eq!(found(&cache, 1), Some(1), "still held");
        drop(held);
        assert_eq!(found(&cache, 1), None);
    }

    #[test]
    fn defect_10_an_oversize_image_evicts_nobody_and_is_found_while_it_is_held() {
        let cache = cache(10, 100);
        insert(&cache, 1, 60);
        let oversize = insert(&cache, 2, 101);
        assert_eq!((found(&cache, 1), found(&cache, 2)), (Some(1), Some(2)));
        drop(oversize);
        assert_eq!((found(&cache, 2), cache.bytes()), (None, 60));
    }

    #[test]
    fn what_must_not_be_kept_is_found_while_it_is_held() {
        let cache = cache(10, 100);
        let held = cache.insert(1, Arc::new(1), 10, false);
        assert_eq!((found(&cache, 1), cache.len()), (Some(1), 0));
        drop(held);
        assert_eq!(found(&cache, 1), None);
    }

    #[test]
    fn of_two_made_at_once_everybody_gets_the_first() {
        let cache = cache(10, 100);
        let first = insert(&cache, 1, 10);
        let second = cache.insert(1, Arc::new(99), 10, true);
        assert!(Arc::ptr_eq(&first, &second));
    }

    #[test]
    fn what_nobody_holds_any_more_leaves_no_trace() {
        let cache = cache(1, 100);
        for key in 0..10_000 {
            insert(&cache, key, 10);
        }
        assert!(cache.lock().held.len() <= CROWDED);
    }

    proptest! {
        #[test]
        fn whatever_goes_what_is_held_is_found_and_right(
            steps in proptest::collection::vec((0..6_u32, 0..4_u8), 1..80),
        ) {
            let cache = cache(2, 25);
            let mut held: HashMap<u32, Arc<u32>> = HashMap::new();
            for (key, step) in steps {
                match step {
                    0 => drop(held.insert(key, insert(&cache, key, 10))),
                    1 => drop(held.remove(&key)),
                    2 => drop(cache.release(10)),
                    _ => drop(insert(&cache, key, u64::from(key) * 10)),
                }
                for (&key, image) in &held {
                    let again = cache.find(&key).map(Found::into_image);
                    prop_assert!(again.is_some_and(|again| Arc::ptr_eq(&again, image)));
                }
            }
        }
    }
}
