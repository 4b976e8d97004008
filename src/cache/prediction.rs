//! Predictions: what the mask decoder gave, kept per image, model and prompt.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::weighted_lru::{Limits, WeightedLru};
use crate::backend::Precision;
use crate::image::ImageKey;
use crate::memory::consumer::Consumer;
use crate::memory::manager::PREDICTION_CACHE;
use crate::memory::status::Tier;

/// Everything that a prediction depends on. Full and chunked attention, and the CPU and the GPU, give the same within
/// rounding and are not told apart; precisions are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The picture, whatever handle it came in.
    pub image: ImageKey,
    /// The model's number within its context, never used twice.
    pub model: u64,
    /// The lowest precision that a part of it was computed in.
    pub precision: Precision,
    /// Several masks per object, or one.
    pub multimask: bool,
    /// Every part of every prompt, in canonical form ([`Prompts::canonical`](crate::prompt::Prompts::canonical)).
    pub prompts: Box<[u32]>,
}

impl Key {
    /// Bytes that the key itself takes in the cache.
    pub fn bytes(&self) -> u64 {
        (size_of::<Self>() + size_of_val(&*self.prompts)) as u64
    }
}

struct State<P> {
    entries: WeightedLru<Key, Arc<P>>,
    /// The image last asked about: that is where the next click will be.
    last_image: Option<ImageKey>,
}

/// Keeps predictions of any images and models; the least recently used leave when there are too many, or too many bytes.
/// What is kept is shared with those who got it, so that a hit copies nothing.
pub struct PredictionCache<P> {
    state: Mutex<State<P>>,
}

impl<P> PredictionCache<P> {
    /// An empty cache.
    pub fn new(limits: Limits) -> Self {
        Self {
            state: Mutex::new(State {
                entries: WeightedLru::new(limits),
                last_image: None,
            }),
        }
    }

    /// The prediction, which becomes the most recently used.
    pub fn get(&self, key: &Key) -> Option<Arc<P>> {
        let mut state = self.lock();
        state.last_image = Some(key.image);
        state.entries.get(key).cloned()
    }

    /// Keeps a prediction of `bytes`. One larger than the whole budget is not kept, and nothing is evicted for it.
    pub fn insert(&self, key: Key, prediction: Arc<P>, bytes: u64) {
        let bytes = bytes.saturating_add(key.bytes());
        // What leaves is dropped without the lock, here and below.
        let _gone = self.lock().entries.insert(key, prediction, bytes);
    }

    /// Drops everything but the predictions on the image `keep`, and tells the bytes.
    pub fn clear(&self, keep: Option<ImageKey>) -> u64 {
        self.remove_where(|key| Some(key.image) != keep)
    }

    /// Drops the predictions that `unwanted` names, and tells their bytes.
    pub fn remove_where(&self, unwanted: impl Fn(&Key) -> bool) -> u64 {
        let gone = self.lock().entries.remove_where(|key, _| unwanted(key));
        gone.bytes
    }

    /// What it holds at most.
    pub fn limits(&self) -> Limits {
        self.lock().entries.limits()
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        self.lock().entries.bytes()
    }

    /// Predictions held.
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, State<P>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A prediction that a result of the caller's shares would free nothing by leaving: it stays.
fn is_idle<P>(prediction: &Arc<P>) -> bool {
    Arc::strong_count(prediction) == 1
}

impl<P: Send + Sync> Consumer for PredictionCache<P> {
    fn name(&self) -> &str {
        PREDICTION_CACHE
    }

    fn tier(&self) -> Tier {
        Tier::Host
    }

    fn bytes(&self) -> u64 {
        Self::bytes(self)
    }

    fn releasable(&self) -> u64 {
        self.lock().entries.bytes_where(|_, kept| is_idle(kept))
    }

    fn release(&self, want: u64) -> u64 {
        let gone = self.lock().entries.release(want, |_, kept| is_idle(kept));
        gone.bytes
    }

    fn release_unused(&self) -> u64 {
        let mut state = self.lock();
        let last = state.last_image;
        let elsewhere = |key: &Key, kept: &Arc<P>| Some(key.image) != last && is_idle(kept);
        let gone = state.entries.remove_where(elsewhere);
        drop(state);
        gone.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        entries: 50,
        bytes: 100_000,
    };

    fn image(id: u8) -> ImageKey {
        ImageKey::of_content_id(&[id], 1, 1)
    }

    fn key(image_id: u8, prompt: u32) -> Key {
        Key {
            image: image(image_id),
            model: 1,
            precision: Precision::Fp32,
            multimask: true,
            prompts: Box::new([prompt]),
        }
    }

    /// Predictions 0 to 2 on each of the images 1 to 3.
    fn filled() -> PredictionCache<u32> {
        let cache = PredictionCache::new(LIMITS);
        for id in 1..=3 {
            (0..3).for_each(|prompt| {
                cache.insert(key(id, prompt), Arc::new(prompt), 1000);
            });
        }
        cache
    }

    #[test]
    fn defect_7_every_part_of_the_key_tells_predictions_apart() {
        let cache = PredictionCache::new(LIMITS);
        cache.insert(key(1, 1), Arc::new(1), 10);
        let others = [
            key(2, 1),
            key(1, 2),
            Key {
                model: 2,
                ..key(1, 1)
            },
            Key {
                precision: Precision::Bf16,
                ..key(1, 1)
            },
            Key {
                multimask: false,
                ..key(1, 1)
            },
        ];
        assert!(others.iter().all(|other| cache.get(other).is_none()));
        assert_eq!(cache.get(&key(1, 1)).as_deref(), Some(&1));
    }

    #[test]
    fn defect_8_predictions_on_other_images_stay_until_they_are_cleared() {
        let cache = filled();
        assert!((1..=3).all(|id| cache.get(&key(id, 0)).is_some()));
        let each = cache.bytes() / 9;
        assert_eq!(cache.clear(Some(image(2))), 6 * each);
        assert_eq!((cache.len(), cache.bytes()), (3, 3 * each));
        assert!(cache.get(&key(2, 1)).is_some() && cache.get(&key(1, 1)).is_none());
        assert_eq!((cache.clear(None), cache.len()), (3 * each, 0));
    }

    #[test]
    fn a_key_counts_with_what_it_takes() {
        let cache = PredictionCache::new(LIMITS);
        let long = Key {
            prompts: vec![0; 30_000].into(),
            ..key(1, 1)
        };
        cache.insert(long, Arc::new(1), 10);
        assert!(cache.is_empty(), "120 kB of points");
        cache.insert(key(1, 1), Arc::new(1), 10);
        assert_eq!(cache.bytes(), 10 + key(1, 1).bytes());
    }

    #[test]
    fn what_a_caller_shares_is_not_given_back() {
        let cache = filled();
        let held = cache.get(&key(1, 0));
        let all = cache.bytes();
        assert_eq!(cache.releasable(), all / 9 * 8);
        assert_eq!(cache.release(u64::MAX), all / 9 * 8);
        assert_eq!(cache.len(), 1);
        drop(held);
        assert_eq!(cache.release(1), all / 9);
    }

    #[test]
    fn unused_are_those_on_other_images_than_the_one_last_asked_about() {
        let cache = filled();
        cache.get(&key(2, 99));
        let all = cache.bytes();
        assert_eq!(cache.release_unused(), all / 9 * 6);
        assert!((0..3).all(|prompt| cache.get(&key(2, prompt)).is_some()));
        assert_eq!(cache.release_unused(), 0);
    }
}
