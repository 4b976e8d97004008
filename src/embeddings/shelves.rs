//! Where embeddings are, and how they move down: device → host → disk.
//!
//! One lock guards all of it and is never held while a backend or the disk is at work. What is on its way from one tier
//! to the next is marked as moving in the same moment in which it leaves, and whoever looks for it waits for the few
//! milliseconds that this takes. Only what no prediction holds is moved: it is then held by the mover alone, so that
//! exporting it waits for no decode.
//!
//! With a disk, what was encoded is written there soon after, by a thread of its own, once no prediction uses it. So a
//! crash costs little, and what leaves memory under pressure mostly is on disk already. What is not waits in a queue of
//! bounded bytes, where it is found as before.

mod moving;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::disk::Disk;
use super::packed::{Live, Packed};
use crate::backend::Precision;
use crate::cache::embedding::Key;
use crate::cache::weighted_lru::{Limits, WeightedLru};
use crate::memory::status::Tier;

/// Tells whether host memory has room for something more.
pub type Gate = Box<dyn Fn() -> bool + Send + Sync>;

/// Embeddings in memory, and those on their way to the disk.
pub struct Shelves<L: Live> {
    state: Mutex<State<L>>,
    changed: Condvar,
    host_has_room: Gate,
    half: bool,
    disk: Option<Arc<Disk>>,
}

struct State<L> {
    device: WeightedLru<Key, Slot<L>>,
    host: WeightedLru<Key, Slot<L>>,
    /// Held by a thread that moves it; `false` once it is not wanted any more.
    moving: HashMap<Key, bool>,
    /// To be written, the oldest first.
    queue: VecDeque<Key>,
    /// What of these is in no other place.
    leaving: HashMap<Key, Kept<L>>,
    leaving_bytes: u64,
    writing: Option<Key>,
    /// Those who wait for the queue to be empty.
    draining: usize,
    closing: bool,
}

struct Slot<L> {
    key: Key,
    kept: Kept<L>,
}

enum Kept<L> {
    Live(Arc<L>),
    Packed(Arc<Packed>),
}

/// What a tier holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Embeddings.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl<L: Live> Shelves<L> {
    /// Empty ones. `half` packs in half precision where the backend can.
    pub fn new(
        device: Limits,
        host: Limits,
        half: bool,
        host_has_room: Gate,
        disk: Option<Arc<Disk>>,
    ) -> Self {
        Self {
            state: Mutex::new(State {
                device: WeightedLru::new(device),
                host: WeightedLru::new(host),
                moving: HashMap::new(),
                queue: VecDeque::new(),
                leaving: HashMap::new(),
                leaving_bytes: 0,
                writing: None,
                draining: 0,
                closing: false,
            }),
            changed: Condvar::new(),
            host_has_room,
            half,
            disk,
        }
    }

    /// The disk tier, where there is one.
    pub fn disk(&self) -> Option<&Arc<Disk>> {
        self.disk.as_ref()
    }

    /// What the host tier may hold from now on.
    pub fn set_host_limits(&self, limits: Limits) {
        let gone = {
            let mut state = self.lock();
            let gone = state.host.set_limits(limits);
            self.take_out(&mut state, gone, None)
        };
        self.settle(gone, Tier::Host, false);
    }

    /// What a tier holds at most.
    pub fn limits(&self, tier: Tier) -> Limits {
        self.lock().shelf(tier).limits()
    }

    /// An embedding that can be decoded as it is, which becomes the most recently used.
    pub fn live(&self, key: Key) -> Option<Arc<L>> {
        let mut state = self.settled(key);
        for tier in [Tier::Device, Tier::Host] {
            if let Some(Slot {
                kept: Kept::Live(live),
                ..
            }) = state.shelf_mut(tier).get(&key)
            {
                return Some(Arc::clone(live));
            }
        }
        match state.leaving.get(&key) {
            Some(Kept::Live(live)) => Some(Arc::clone(live)),
            _ => None,
        }
    }

    /// An embedding that lies in host memory as bytes, which becomes the most recently used.
    pub fn packed(&self, key: Key) -> Option<Arc<Packed>> {
        let mut state = self.settled(key);
        let on_shelf = match state.host.get(&key) {
            Some(Slot {
                kept: Kept::Packed(packed),
                ..
            }) => Some(Arc::clone(packed)),
            _ => None,
        };
        on_shelf.or_else(|| match state.leaving.get(&key) {
            Some(Kept::Packed(packed)) => Some(Arc::clone(packed)),
            _ => None,
        })
    }

    /// Keeps an embedding in the tier of its memory, in place of any other of that key. With `write` it goes to the disk
    /// as well.
    pub fn insert(&self, key: Key, live: Arc<L>, write: bool) {
        let (bytes, tier) = (live.bytes(), live.tier());
        let write = write && self.keeps_on_disk(key, &live);
        let (gone, former) = {
            let mut state = self.lock();
            if let Some(wanted) = state.moving.get_mut(&key) {
                *wanted = false;
            }
            let former = state.shelf_mut(other(tier)).remove(&key);
            let slot = Slot {
                key,
                kept: Kept::Live(Arc::clone(&live)),
            };
            let gone = state.shelf_mut(tier).insert(key, slot, bytes);
            if write {
                // One that has no room here is found on its way.
                if state.shelf(tier).peek(&key).is_none() {
                    state.leave(key, Kept::Live(live));
                }
                state.queue.retain(|&queued| queued != key);
                state.queue.push_back(key);
                self.changed.notify_all();
            }
            (self.take_out(&mut state, gone, Some(key)), former)
        };
        drop(former);
        self.settle(gone, tier, false);
    }

    /// Drops what `unwanted` names, in memory and on its way to the disk, and tells the bytes of what nobody uses: that
    /// memory is free now.
    pub fn remove_where(&self, tiers: &[Tier], unwanted: impl Fn(Key) -> bool) -> u64 {
        let mut state = self.lock();
        let mut gone = Vec::new();
        let mut bytes = 0;
        for &tier in tiers {
            let shelf = state.shelf_mut(tier);
            bytes += shelf.bytes_where(|&key, slot| unwanted(key) && slot.kept.is_idle());
            gone.push(shelf.remove_where(|&key, _| unwanted(key)));
        }
        let mut left = Vec::new();
        if tiers.contains(&Tier::Host) {
            let keys: Vec<Key> = state.leaving.keys().copied().collect();
            for key in keys.into_iter().filter(|&key| unwanted(key)) {
                left.extend(state.unleave(key));
            }
            bytes += left
                .iter()
                .filter(|kept| kept.is_idle())
                .map(Kept::bytes)
                .sum::<u64>();
            for (&key, wanted) in &mut state.moving {
                *wanted &= !unwanted(key);
            }
        }
        let State {
            queue,
            leaving,
            moving,
            device,
            host,
            ..
        } = &mut *state;
        queue.retain(|key| {
            let on_shelf = device.peek(key).is_some() || host.peek(key).is_some();
            on_shelf || leaving.contains_key(key) || moving.get(key) == Some(&true)
        });
        drop(state);
        self.changed.notify_all();
        drop((gone, left));
        bytes
    }

    /// Gives back the least recently used bytes of a tier that nobody uses, at least `want` where there are so many:
    /// those of the device go to the host, unless `spare_host` says that it is short itself, those of the host to the
    /// disk. Tells how many bytes are free now.
    pub fn release(&self, tier: Tier, want: u64, spare_host: bool) -> u64 {
        let (gone, bytes) = {
            let mut state = self.lock();
            let gone = state
                .shelf_mut(tier)
                .release(want, |_, slot| slot.kept.is_idle());
            let bytes = gone.bytes;
            (self.take_out(&mut state, gone, None), bytes)
        };
        self.settle(gone, tier, spare_host);
        if tier == Tier::Host || spare_host {
            self.empty_queue();
        }
        bytes
    }

    /// Bytes that [`release`](Self::release) could give back.
    pub fn idle_bytes(&self, tier: Tier) -> u64 {
        let state = self.lock();
        state.shelf(tier).bytes_where(|_, slot| slot.kept.is_idle())
    }

    /// What lies in the memory of a tier, what waits to be written included.
    pub fn held(&self, tier: Tier) -> Held {
        let state = self.lock();
        let shelf = state.shelf(tier);
        let waiting = state.leaving.values().filter(|kept| kept.tier() == tier);
        let (entries, bytes) = waiting.fold((0, 0), |(entries, bytes), kept| {
            (entries + 1, bytes + kept.bytes())
        });
        Held {
            entries: shelf.len() as u64 + entries,
            bytes: shelf.bytes() + bytes,
        }
    }

    fn keeps_on_disk(&self, key: Key, live: &L) -> bool {
        let disk = self.disk.as_ref();
        disk.is_some_and(|disk| disk.keeps(key, live.precision()))
    }

    /// The state once nobody moves the embedding of a key.
    fn settled(&self, key: Key) -> MutexGuard<'_, State<L>> {
        let mut state = self.lock();
        while state.moving.get(&key) == Some(&true) {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state
    }

    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State<L>>,
        patience: Duration,
    ) -> MutexGuard<'a, State<L>> {
        let waited = self.changed.wait_timeout(state, patience);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, State<L>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<L: Live> State<L> {
    fn shelf(&self, tier: Tier) -> &WeightedLru<Key, Slot<L>> {
        match tier {
            Tier::Device => &self.device,
            Tier::Host => &self.host,
        }
    }

    fn shelf_mut(&mut self, tier: Tier) -> &mut WeightedLru<Key, Slot<L>> {
        match tier {
            Tier::Device => &mut self.device,
            Tier::Host => &mut self.host,
        }
    }

    fn leave(&mut self, key: Key, kept: Kept<L>) {
        self.leaving_bytes += kept.bytes();
        if let Some(former) = self.leaving.insert(key, kept) {
            self.leaving_bytes -= former.bytes();
        }
    }

    /// What was on its way to the disk; to be dropped without the lock.
    fn unleave(&mut self, key: Key) -> Option<Kept<L>> {
        let left = self.leaving.remove(&key)?;
        self.leaving_bytes -= left.bytes();
        Some(left)
    }
}

impl<L: Live> Kept<L> {
    fn bytes(&self) -> u64 {
        match self {
            Self::Live(live) => live.bytes(),
            Self::Packed(packed) => packed.bytes.len() as u64,
        }
    }

    fn tier(&self) -> Tier {
        match self {
            Self::Live(live) => live.tier(),
            Self::Packed(_) => Tier::Host,
        }
    }

    fn precision(&self) -> Precision {
        match self {
            Self::Live(live) => live.precision(),
            Self::Packed(packed) => packed.precision,
        }
    }

    /// No running prediction holds it: dropping it gives its memory back.
    fn is_idle(&self) -> bool {
        match self {
            Self::Live(live) => Arc::strong_count(live) == 1,
            Self::Packed(packed) => Arc::strong_count(packed) == 1,
        }
    }

    fn share(&self) -> Self {
        match self {
            Self::Live(live) => Self::Live(Arc::clone(live)),
            Self::Packed(packed) => Self::Packed(Arc::clone(packed)),
        }
    }
}

fn other(tier: Tier) -> Tier {
    match tier {
        Tier::Device => Tier::Host,
        Tier::Host => Tier::Device,
    }
}
