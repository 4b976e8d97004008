//! What the caches share: entries of known weight, of which the least recently used leave when there are too many of
//! them, or too many bytes.

use std::hash::Hash;

use lru::LruCache;

/// How much a cache holds at most. Zero of either keeps it empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Entries.
    pub entries: usize,
    /// Bytes.
    pub bytes: u64,
}

struct Entry<V> {
    value: V,
    bytes: u64,
}

/// What left a cache. It is to be dropped without the cache's lock: that may call a backend, which may write to the log,
/// whose reader may ask how much is held.
#[must_use]
pub struct Gone<V> {
    /// The values.
    pub values: Vec<V>,
    /// Their bytes.
    pub bytes: u64,
}

/// Entries by use, within [`Limits`] at any time.
pub struct WeightedLru<K: Hash + Eq, V> {
    limits: Limits,
    by_use: LruCache<K, Entry<V>>,
    bytes: u64,
}

impl<K: Hash + Eq + Clone, V> WeightedLru<K, V> {
    /// Without entries.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            by_use: LruCache::unbounded(),
            bytes: 0,
        }
    }

    /// The value of a key, which becomes the most recently used.
    pub fn get(&mut self, key: &K) -> Option<&V> {
        self.by_use.get(key).map(|entry| &entry.value)
    }

    /// The value of a key, which becomes no more recently used by that.
    pub fn peek(&self, key: &K) -> Option<&V> {
        self.by_use.peek(key).map(|entry| &entry.value)
    }

    /// Takes out a key.
    pub fn remove(&mut self, key: &K) -> Gone<V> {
        let mut gone = Gone::nothing();
        self.take(key, &mut gone);
        gone
    }

    /// Changes what it holds at most, and takes out what is too much then.
    pub fn set_limits(&mut self, limits: Limits) -> Gone<V> {
        let mut gone = Gone::nothing();
        self.limits = limits;
        while self.by_use.len() > limits.entries || self.bytes > limits.bytes {
            self.evict_oldest(&mut gone);
        }
        gone
    }

    /// Keeps a value, in place of the one that its key had. One that is too large for the whole cache is not kept, and
    /// nothing leaves for it but itself.
    pub fn insert(&mut self, key: K, value: V, bytes: u64) -> Gone<V> {
        let mut gone = Gone::nothing();
        if self.limits.entries == 0 || bytes > self.limits.bytes {
            gone.add(Entry { value, bytes });
            return gone;
        }
        // Its former self goes first, so that an update takes the room of no neighbour.
        self.take(&key, &mut gone);
        while self.by_use.len() >= self.limits.entries || self.bytes > self.limits.bytes - bytes {
            self.evict_oldest(&mut gone);
        }
        self.bytes += bytes;
        self.by_use.put(key, Entry { value, bytes });
        gone
    }

    /// Takes out the entries that `unwanted` names.
    pub fn remove_where(&mut self, unwanted: impl Fn(&K, &V) -> bool) -> Gone<V> {
        self.release(u64::MAX, unwanted)
    }

    /// Takes out the least recently used of the entries that `idle` names until those come to `want` bytes.
    pub fn release(&mut self, want: u64, idle: impl Fn(&K, &V) -> bool) -> Gone<V> {
        let mut bytes = 0;
        let mut leaving = Vec::new();
        for (key, entry) in self.by_use.iter().rev() {
            if bytes >= want {
                break;
            }
            if idle(key, &entry.value) {
                bytes += entry.bytes;
                leaving.push(key.clone());
            }
        }
        let mut gone = Gone::nothing();
        leaving.iter().for_each(|key| self.take(key, &mut gone));
        gone
    }

    /// Bytes of the entries that `wanted` names.
    pub fn bytes_where(&self, wanted: impl Fn(&K, &V) -> bool) -> u64 {
        let entries = self.by_use.iter();
        entries
            .filter(|(key, entry)| wanted(key, &entry.value))
            .map(|(_, entry)| entry.bytes)
            .sum()
    }

    /// What it holds at most.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Entries held.
    pub fn len(&self) -> usize {
        self.by_use.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.by_use.is_empty()
    }

    fn take(&mut self, key: &K, gone: &mut Gone<V>) {
        if let Some(entry) = self.by_use.pop(key) {
            self.bytes -= entry.bytes;
            gone.add(entry);
        }
    }

    fn evict_oldest(&mut self, gone: &mut Gone<V>) {
        if let Some((_, entry)) = self.by_use.pop_lru() {
            self.bytes -= entry.bytes;
            gone.add(entry);
        }
    }
}

impl<V> Gone<V> {
    fn nothing() -> Self {
        Self {
            values: Vec::new(),
            bytes: 0,
        }
    }

    fn add(&mut self, entry: Entry<V>) {
        self.bytes += entry.bytes;
        self.values.push(entry.value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cache(entries: usize, bytes: u64) -> WeightedLru<u32, u32> {
        WeightedLru::new(Limits { entries, bytes })
    }

    fn insert(cache: &mut WeightedLru<u32, u32>, key: u32, value: u32, bytes: u64) -> Vec<u32> {
        cache.insert(key, value, bytes).values
    }

    fn kept(cache: &WeightedLru<u32, u32>) -> Vec<u32> {
        cache.by_use.iter().map(|(&key, _)| key).collect()
    }

    #[test]
    fn the_least_recently_used_leave_when_either_limit_is_crossed() {
        let mut by_bytes = cache(9, 100);
        (1..=3).for_each(|key| assert!(insert(&mut by_bytes, key, key, 30).is_empty()));
        by_bytes.get(&1);
        assert_eq!(insert(&mut by_bytes, 4, 4, 40), [2]);
        assert_eq!((kept(&by_bytes), by_bytes.bytes()), (vec![4, 1, 3], 100));
        let mut by_count = cache(2, 100);
        (1..=3).for_each(|key| drop(insert(&mut by_count, key, key, 1)));
        assert_eq!((kept(&by_count), by_count.bytes()), (vec![3, 2], 2));
    }

    #[test]
    fn defect_10_an_oversize_entry_is_not_kept_and_evicts_nobody() {
        let mut cache = cache(9, 100);
        insert(&mut cache, 1, 1, 60);
        assert_eq!(insert(&mut cache, 2, 2, 101), [2]);
        assert_eq!(insert(&mut cache, 1, 9, u64::MAX), [9]);
        assert_eq!((cache.get(&1).copied(), cache.bytes()), (Some(1), 60));
    }

    #[test]
    fn defect_10_an_update_at_capacity_evicts_no_neighbour() {
        let mut cache = cache(2, 100);
        insert(&mut cache, 1, 1, 50);
        insert(&mut cache, 2, 2, 50);
        assert_eq!(insert(&mut cache, 1, 3, 50), [1]);
        assert_eq!(
            [1, 2].map(|key| cache.get(&key).copied()),
            [Some(3), Some(2)]
        );
    }

    #[test]
    fn a_cache_of_nothing_keeps_nothing() {
        for mut cache in [cache(0, 100), cache(9, 0)] {
            assert_eq!(insert(&mut cache, 1, 1, 1), [1]);
            assert!(cache.is_empty());
        }
    }

    #[test]
    fn only_the_idle_are_released_the_oldest_first_and_only_as_many_as_wanted() {
        let mut cache = cache(9, 200);
        (1..=5).for_each(|key| drop(insert(&mut cache, key, key, 30)));
        let odd = |key: &u32, _: &u32| key % 2 == 1;
        assert_eq!(cache.bytes_where(odd), 90);
        assert_eq!(cache.release(31, odd).values, [1, 3]);
        assert_eq!(kept(&cache), [5, 4, 2]);
        assert_eq!(cache.release(0, odd).bytes, 0);
        assert_eq!(cache.remove_where(|_, _| true).bytes, 90);
        assert_eq!((cache.len(), cache.bytes()), (0, 0));
    }

    #[test]
    fn smaller_limits_take_out_the_oldest_and_a_peek_is_no_use() {
        let mut cache = cache(9, 100);
        (1..=3).for_each(|key| drop(insert(&mut cache, key, key, 30)));
        assert_eq!(cache.peek(&1), Some(&1));
        let smaller = Limits {
            entries: 9,
            bytes: 60,
        };
        assert_eq!(cache.set_limits(smaller).values, [1]);
        assert_eq!(cache.remove(&2).bytes, 30);
        assert_eq!((kept(&cache), cache.bytes()), (vec![3], 30));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Get(u32),
        Insert(u32, u64),
        Release(u64),
        RemoveEven,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let key = 0..8_u32;
        let step = prop_oneof![
            key.clone().prop_map(Step::Get),
            (key, 0..60_u64).prop_map(|(key, bytes)| Step::Insert(key, bytes)),
            (0..120_u64).prop_map(Step::Release),
            Just(Step::RemoveEven),
        ];
        proptest::collection::vec(step, 0..80)
    }

    /// The rule in its plainest form: most recently used first, with weights.
    #[derive(Default)]
    struct Model(Vec<(u32, u64)>);

    impl Model {
        fn bytes(&self) -> u64 {
            self.0.iter().map(|&(_, bytes)| bytes).sum()
        }

        fn apply(&mut self, step: &Step, limits: Limits) {
            match *step {
                Step::Get(key) => {
                    if let Some(at) = self.0.iter().position(|&(known, _)| known == key) {
                        let entry = self.0.remove(at);
                        self.0.insert(0, entry);
                    }
                }
                Step::Insert(_, bytes) if bytes > limits.bytes => {}
                Step::Insert(key, bytes) => {
                    self.0.retain(|&(known, _)| known != key);
                    self.0.insert(0, (key, bytes));
                    while self.0.len() > limits.entries || self.bytes() > limits.bytes {
                        self.0.pop();
                    }
                }
                Step::Release(want) => {
                    let before = self.bytes();
                    while before - self.bytes() < want && self.0.pop().is_some() {}
                }
                Step::RemoveEven => self.0.retain(|&(known, _)| known % 2 == 1),
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_happens_the_limits_hold_and_what_is_kept_is_what_the_rule_says(
            entries in 1..6_usize, bytes in 0..100_u64, steps in steps(),
        ) {
            let limits = Limits { entries, bytes };
            let (mut cache, mut model) = (WeightedLru::new(limits), Model::default());
            for step in steps {
                match step {
                    Step::Get(key) => {
                        cache.get(&key);
                    }
                    Step::Insert(key, bytes) => {
                        insert(&mut cache, key, key, bytes);
                    }
                    Step::Release(want) => {
                        drop(cache.release(want, |_, _| true));
                    }
                    Step::RemoveEven => {
                        drop(cache.remove_where(|key, _| key % 2 == 0));
                    }
                }
                model.apply(&step, limits);
                prop_assert!(cache.len() <= entries && cache.bytes() <= bytes);
                prop_assert_eq!(kept(&cache), model.0.iter().map(|&(key, _)| key).collect::<Vec<_>>());
                prop_assert_eq!(cache.bytes(), model.bytes());
            }
        }
    }
}
