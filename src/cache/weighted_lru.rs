//! The mechanism of the caches: the least recently used leave when there are too many, or they take too many bytes.

use std::hash::Hash;

use lru::LruCache;

/// How much is kept at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Entries. 0: nothing is kept.
    pub entries: usize,
    /// Bytes of all entries together.
    pub bytes: u64,
}

struct Weighted<V> {
    value: V,
    bytes: u64,
}

/// Entries by last use, within [`Limits`]. Not shared between threads by itself.
pub struct WeightedLru<K, V> {
    by_use: LruCache<K, Weighted<V>>,
    bytes: u64,
    limits: Limits,
}

impl<K: Hash + Eq + Clone, V> WeightedLru<K, V> {
    /// An empty one.
    pub fn new(limits: Limits) -> Self {
        Self {
            by_use: LruCache::unbounded(),
            bytes: 0,
            limits,
        }
    }

    /// An entry, which becomes the most recently used.
    pub fn get(&mut self, key: &K) -> Option<&V> {
        self.by_use.get(key).map(|entry| &entry.value)
    }

    /// Keeps an entry in place of the one of that key, and evicts the least recently used as far as needed. One that is
    /// larger than everything that may be kept is not kept and evicts nobody; the former one of its key leaves, since it
    /// is out of date. Tells whether it is kept.
    pub fn insert(&mut self, key: K, value: V, bytes: u64) -> bool {
        self.remove(&key);
        if bytes > self.limits.bytes || self.limits.entries == 0 {
            return false;
        }
        while self.len() >= self.limits.entries || self.limits.bytes - self.bytes < bytes {
            self.evict_oldest();
        }
        self.bytes += bytes;
        self.by_use.put(key, Weighted { value, bytes });
        true
    }

    /// Drops an entry, and tells its bytes.
    pub fn remove(&mut self, key: &K) -> u64 {
        let bytes = self.by_use.pop(key).map_or(0, |entry| entry.bytes);
        self.bytes -= bytes;
        bytes
    }

    /// Drops the least recently used of the entries that `may_go` until they amount to `want` bytes, and tells how many
    /// bytes that were.
    pub fn release(&mut self, want: u64, may_go: impl Fn(&K, &V) -> bool) -> u64 {
        let mut given = 0_u64;
        let mut leaving = Vec::new();
        for (key, entry) in self.by_use.iter().rev() {
            if given >= want {
                break;
            }
            if may_go(key, &entry.value) {
                given += entry.bytes;
                leaving.push(key.clone());
            }
        }
        for key in &leaving {
            self.remove(key);
        }
        given
    }

    /// Bytes of all entries.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Entries.
    pub fn len(&self) -> usize {
        self.by_use.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_use.is_empty()
    }

    /// How much is kept at most.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    fn evict_oldest(&mut self) {
        if let Some((_, entry)) = self.by_use.pop_lru() {
            self.bytes -= entry.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lru(entries: usize, bytes: u64) -> WeightedLru<u32, u32> {
        WeightedLru::new(Limits { entries, bytes })
    }

    fn kept(lru: &WeightedLru<u32, u32>) -> Vec<u32> {
        let mut keys: Vec<u32> = lru.by_use.iter().map(|(&key, _)| key).collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn the_least_recently_used_leave_when_there_are_too_many_or_too_many_bytes() {
        let mut lru = lru(3, 100);
        for key in 1..=3 {
            assert!(lru.insert(key, key, 10));
        }
        lru.get(&1);
        lru.insert(4, 4, 10);
        assert_eq!(kept(&lru), [1, 3, 4], "by count");
        lru.insert(5, 5, 85);
        assert_eq!((kept(&lru), lru.bytes()), (vec![4, 5], 95), "by bytes");
    }

    #[test]
    fn defect_10_an_oversize_entry_is_not_kept_and_evicts_nobody() {
        let mut lru = lru(3, 100);
        lru.insert(1, 1, 60);
        assert!(!lru.insert(2, 2, 101));
        assert_eq!((kept(&lru), lru.bytes()), (vec![1], 60));
        assert!(!lru.insert(1, 9, 101), "nor is its forerunner given for it");
        assert_eq!((lru.len(), lru.bytes()), (0, 0));
    }

    #[test]
    fn defect_10_an_update_at_capacity_evicts_no_neighbour() {
        let mut lru = lru(2, 100);
        lru.insert(1, 1, 50);
        lru.insert(2, 2, 50);
        lru.insert(1, 3, 50);
        assert_eq!(lru.get(&1), Some(&3));
        assert_eq!((lru.get(&2).copied(), lru.bytes()), (Some(2), 100));
    }

    #[test]
    fn without_room_for_entries_nothing_is_kept() {
        let mut lru = lru(0, 100);
        assert!(!lru.insert(1, 1, 0));
        assert_eq!(lru.len(), 0);
    }

    #[test]
    fn of_those_that_may_go_the_oldest_go_and_no_more_than_wanted() {
        let mut lru = lru(10, 100);
        for key in 1..=4 {
            lru.insert(key, key, 10);
        }
        assert_eq!(lru.release(11, |_, &value| value != 1), 20);
        assert_eq!(kept(&lru), [1, 4]);
        assert_eq!(lru.release(u64::MAX, |_, _| true), 20);
        assert_eq!(lru.bytes(), 0);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u32, u64),
        Get(u32),
        Remove(u32),
        Release(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..8_u32, 0..150_u64).prop_map(|(key, bytes)| Step::Insert(key, bytes)),
            (0..8_u32).prop_map(Step::Get),
            (0..8_u32).prop_map(Step::Remove),
            (0..150_u64).prop_map(Step::Release),
        ]
    }

    proptest! {
        #[test]
        fn the_limits_are_kept_and_the_bytes_are_those_of_the_entries(
            steps in proptest::collection::vec(step(), 0..60), entries in 0..5_usize,
        ) {
            let mut lru = lru(entries, 100);
            for step in steps {
                let before = lru.bytes();
                match step {
                    Step::Insert(key, bytes) => {
                        let fits = bytes <= 100 && entries > 0;
                        prop_assert_eq!(lru.insert(key, key, bytes), fits);
                    }
                    Step::Get(key) => drop(lru.get(&key).copied()),
                    Step::Remove(key) => prop_assert_eq!(lru.remove(&key), before - lru.bytes()),
                    Step::Release(want) => {
                        let given = lru.release(want, |_, _| true);
                        prop_assert_eq!(given, before - lru.bytes());
                        prop_assert!(given >= want.min(before));
                    }
                }
                let sum: u64 = lru.by_use.iter().map(|(_, entry)| entry.bytes).sum();
                prop_assert_eq!(lru.bytes(), sum);
                prop_assert!(lru.bytes() <= 100 && lru.len() <= entries);
            }
        }
    }
}
