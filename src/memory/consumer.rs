//! Those who hold memory and can be asked to give it back.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde::Serialize;

use super::status::Tier;

/// Holds memory that it can do without, such as a cache. Called from any thread, several at once.
pub trait Consumer: Send + Sync {
    /// What people call it: `prediction cache`.
    fn name(&self) -> &str;

    /// Whose memory it holds.
    fn tier(&self) -> Tier;

    /// Bytes it holds.
    fn bytes(&self) -> u64;

    /// Bytes of these that it could give back now: not what is in use.
    fn releasable(&self) -> u64 {
        self.bytes()
    }

    /// Gives back at least `want` bytes, or what it can, the least useful first, and tells how many it gave back. What is
    /// in use stays.
    fn release(&self, want: u64) -> u64;

    /// The same while host memory is short as well: nothing is moved there instead.
    fn release_sparing_host(&self, want: u64) -> u64 {
        self.release(want)
    }

    /// Gives back what is unlikely to be asked for again, such as predictions on images other than the current one, and
    /// tells how many bytes that was.
    fn release_unused(&self) -> u64 {
        0
    }
}

/// What a consumer holds: the cheaper that is to be had again, the earlier it is asked to give it back. Within a rank,
/// who came first is asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    /// Images resized for display.
    ProcessedImages,
    /// Results of the mask decoder.
    Predictions,
    /// Results of the image encoder.
    Embeddings,
}

/// What one consumer holds, or gave back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Share {
    /// The consumer.
    pub name: String,
    /// Whose memory.
    pub tier: Tier,
    /// Bytes.
    pub bytes: u64,
}

/// The sum of all shares.
pub fn total(shares: &[Share]) -> u64 {
    shares
        .iter()
        .fold(0, |sum, share| sum.saturating_add(share.bytes))
}

/// The consumers of a context. Does not keep them alive: one leaves when its owner drops it.
#[derive(Default)]
pub struct Consumers {
    known: Mutex<Vec<(Rank, Weak<dyn Consumer>)>>,
}

impl Consumers {
    /// Adds a consumer.
    pub fn register(&self, rank: Rank, consumer: &Arc<dyn Consumer>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(_, consumer)| consumer.strong_count() > 0);
        let place = known.partition_point(|&(other, _)| other <= rank);
        known.insert(place, (rank, Arc::downgrade(consumer)));
    }

    /// What each holds, in the order of release.
    pub fn shares(&self) -> Vec<Share> {
        self.visit(|consumer| consumer.bytes())
    }

    /// Bytes of a tier that [`release`](Self::release) could give back at most.
    pub fn releasable(&self, tier: Tier) -> u64 {
        self.live()
            .iter()
            .filter(|consumer| consumer.tier() == tier)
            .fold(0, |sum, consumer| sum.saturating_add(consumer.releasable()))
    }

    /// Asks the consumers of a tier, in order, until `deficit` bytes are given back; who is not needed is left alone.
    /// Tells what each one asked gave back. `u64::MAX` asks for everything.
    pub fn release(&self, tier: Tier, deficit: u64) -> Vec<Share> {
        self.release_by(tier, deficit, |consumer, want| consumer.release(want))
    }

    /// The same while host memory is short as well, so that nothing may be moved there from the device.
    pub fn release_sparing_host(&self, tier: Tier, deficit: u64) -> Vec<Share> {
        self.release_by(tier, deficit, |consumer, want| {
            consumer.release_sparing_host(want)
        })
    }

    fn release_by(
        &self,
        tier: Tier,
        deficit: u64,
        release: impl Fn(&dyn Consumer, u64) -> u64,
    ) -> Vec<Share> {
        let mut released = Vec::new();
        let mut missing = deficit;
        for consumer in self.live() {
            if missing == 0 {
                break;
            }
            if consumer.tier() == tier && consumer.bytes() > 0 {
                let bytes = release(&*consumer, missing);
                missing = missing.saturating_sub(bytes);
                released.push(share(&*consumer, bytes));
            }
        }
        released
    }

    /// Asks everybody for what is unlikely to be asked for again, and tells what those gave back who gave something.
    pub fn release_unused(&self) -> Vec<Share> {
        let mut released = self.visit(|consumer| consumer.release_unused());
        released.retain(|share| share.bytes > 0);
        released
    }

    /// Asks the consumers of that name for everything, and tells how many bytes they gave back.
    pub fn clear(&self, name: &str) -> u64 {
        let cleared = self
            .live()
            .into_iter()
            .filter(|consumer| consumer.name() == name);
        cleared.fold(0, |sum, consumer| {
            sum.saturating_add(consumer.release(u64::MAX))
        })
    }

    fn visit(&self, bytes: impl Fn(&dyn Consumer) -> u64) -> Vec<Share> {
        self.live()
            .iter()
            .map(|consumer| share(&**consumer, bytes(&**consumer)))
            .collect()
    }

    /// Nobody is called under the lock: a consumer may register another.
    fn live(&self) -> Vec<Arc<dyn Consumer>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .iter()
            .filter_map(|(_, consumer)| consumer.upgrade())
            .collect()
    }
}

fn share(consumer: &dyn Consumer, bytes: u64) -> Share {
    Share {
        name: consumer.name().to_owned(),
        tier: consumer.tier(),
        bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Items of equal size, given back one by one.
    struct Items {
        name: &'static str,
        tier: Tier,
        item: u64,
        count: Mutex<u64>,
    }

    fn items(name: &'static str, tier: Tier, item: u64, count: u64) -> Arc<dyn Consumer> {
        Arc::new(Items {
            name,
            tier,
            item,
            count: Mutex::new(count),
        })
    }

    impl Consumer for Items {
        fn name(&self) -> &str {
            self.name
        }

        fn tier(&self) -> Tier {
            self.tier
        }

        fn bytes(&self) -> u64 {
            self.item * *self.count.lock().unwrap()
        }

        fn release(&self, want: u64) -> u64 {
            let mut count = self.count.lock().unwrap();
            let leave = want.div_ceil(self.item).min(*count);
            *count -= leave;
            leave * self.item
        }

        fn release_unused(&self) -> u64 {
            self.release(self.bytes().saturating_sub(self.item))
        }
    }

    fn of(shares: &[Share]) -> Vec<(&str, u64)> {
        shares
            .iter()
            .map(|share| (share.name.as_str(), share.bytes))
            .collect()
    }

    #[test]
    fn the_cheapest_to_have_again_is_asked_first_and_only_the_deficit_is_given_back() {
        let (embeddings, predictions, display) = (
            items("embeddings", Tier::Device, 10, 10),
            items("predictions", Tier::Device, 5, 4),
            items("display", Tier::Device, 1, 3),
        );
        let consumers = Consumers::default();
        consumers.register(Rank::Embeddings, &embeddings);
        consumers.register(Rank::Predictions, &predictions);
        consumers.register(Rank::ProcessedImages, &display);
        assert_eq!(
            of(&consumers.release(Tier::Device, 7)),
            [("display", 3), ("predictions", 5)]
        );
        assert_eq!(
            of(&consumers.shares()),
            [("display", 0), ("predictions", 15), ("embeddings", 100)]
        );
        assert_eq!(
            of(&consumers.release(Tier::Device, u64::MAX)),
            [("predictions", 15), ("embeddings", 100)]
        );
    }

    #[test]
    fn what_is_short_on_the_device_is_not_taken_from_the_host() {
        let host = items("host", Tier::Host, 1, 50);
        let consumers = Consumers::default();
        consumers.register(Rank::Predictions, &host);
        assert!(consumers.release(Tier::Device, u64::MAX).is_empty());
        assert_eq!(
            (
                consumers.releasable(Tier::Host),
                consumers.releasable(Tier::Device)
            ),
            (50, 0)
        );
    }

    #[test]
    fn a_dropped_consumer_is_not_asked_any_more() {
        let consumers = Consumers::default();
        let gone = items("gone", Tier::Host, 1, 1);
        consumers.register(Rank::Predictions, &gone);
        drop(gone);
        assert!(consumers.shares().is_empty());
    }

    #[test]
    fn what_is_unused_is_given_back_and_the_rest_stays() {
        let cache = items("predictions", Tier::Host, 2, 5);
        let consumers = Consumers::default();
        consumers.register(Rank::Predictions, &cache);
        assert_eq!(of(&consumers.release_unused()), [("predictions", 8)]);
        assert!(consumers.release_unused().is_empty());
        assert_eq!(cache.bytes(), 2);
    }

    proptest! {
        #[test]
        fn a_deficit_is_met_where_it_can_be_and_overshot_by_less_than_one_item(
            counts in proptest::collection::vec((1..50_u64, 0..20_u64), 0..6), deficit in 0..2000_u64,
        ) {
            let consumers = Consumers::default();
            let held: Vec<_> = counts.iter().map(|&(item, count)| items("cache", Tier::Device, item, count)).collect();
            held.iter().for_each(|consumer| consumers.register(Rank::Predictions, consumer));
            let before = consumers.releasable(Tier::Device);
            let released = consumers.release(Tier::Device, deficit);
            prop_assert_eq!(before - consumers.releasable(Tier::Device), total(&released));
            prop_assert!(total(&released) >= deficit.min(before));
            let largest = counts.iter().map(|&(item, _)| item).max().unwrap_or(0);
            prop_assert!(total(&released) <= deficit || total(&released) - deficit < largest);
        }
    }
}
