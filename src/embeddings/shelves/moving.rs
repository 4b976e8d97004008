//! How an embedding gets from one tier to the next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Kept, Shelves, Slot, State};
use crate::cache::embedding::Key;
use crate::cache::weighted_lru::Gone;
use crate::embeddings::packed::{Live, Packed};
use crate::memory::status::Tier;

/// Most bytes that wait to be written.
const QUEUE_BYTES: u64 = 64 << 20;
/// How long whoever adds to a full queue waits for the disk in all, before embeddings are dropped.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long the disk is waited for where host memory is to be given back.
const RELEASE_PATIENCE: Duration = Duration::from_secs(2);

/// An embedding that has left its shelf. Whatever happens, its key is not marked as moving for longer than this lives.
pub(super) struct Moving<'a, L: Live> {
    shelves: &'a Shelves<L>,
    key: Key,
    kept: Option<Kept<L>>,
}

impl<L: Live> Drop for Moving<'_, L> {
    fn drop(&mut self) {
        // Dropped without the lock, and before anybody looks for it again.
        self.kept = None;
        self.shelves.lock().moving.remove(&self.key);
        self.shelves.changed.notify_all();
    }
}

/// What left a shelf.
pub(super) struct Out<'a, L: Live> {
    moving: Vec<Moving<'a, L>>,
    /// Does not move; to be dropped without the lock.
    _rest: Vec<Kept<L>>,
}

impl<L: Live> Shelves<L> {
    /// What left a shelf, marked as moving. What a prediction holds does not move: it lives until that ends, and is then
    /// gone, unless it is to be written and waits for that. Neither does the former embedding of the key `replaced`.
    pub(super) fn take_out(
        &self,
        state: &mut State<L>,
        gone: Gone<Slot<L>>,
        replaced: Option<Key>,
    ) -> Out<'_, L> {
        let mut out = Out {
            moving: Vec::new(),
            _rest: Vec::new(),
        };
        for Slot { key, kept } in gone.values {
            if Some(key) == replaced {
                out._rest.push(kept);
            } else if kept.is_idle() {
                state.moving.insert(key, true);
                out.moving.push(Moving {
                    shelves: self,
                    key,
                    kept: Some(kept),
                });
            } else if state.queue.contains(&key) || state.writing == Some(key) {
                state.leave(key, kept);
            } else {
                out._rest.push(kept);
            }
        }
        out
    }

    /// Moves down what has left the shelf of a tier, and what has to leave the next one for it.
    pub(super) fn settle(&self, out: Out<'_, L>, from: Tier, spare_host: bool) {
        let until = Instant::now()
            + match spare_host {
                true => RELEASE_PATIENCE,
                false => PATIENCE,
            };
        let (mut from_device, mut from_host) = (VecDeque::new(), VecDeque::new());
        match from {
            Tier::Device => from_device.extend(out.moving),
            Tier::Host => from_host.extend(out.moving),
        }
        loop {
            if let Some(one) = from_host.pop_front() {
                self.to_disk(one, until);
            } else if let Some(one) = from_device.pop_front() {
                if spare_host || !(self.host_has_room)() {
                    self.to_disk(one, until);
                } else {
                    from_host.extend(self.to_host(one, until).moving);
                }
            } else {
                return;
            }
        }
    }

    /// From the device into host memory; gives what has to leave that for it.
    fn to_host(&self, mut one: Moving<'_, L>, until: Instant) -> Out<'_, L> {
        let nothing = Out {
            moving: Vec::new(),
            _rest: Vec::new(),
        };
        let limits = self.limits(Tier::Host);
        if limits.entries == 0 || limits.bytes == 0 {
            self.to_disk(one, until);
            return nothing;
        }
        let Some(packed) = one.pack(self.half) else {
            return nothing;
        };
        let bytes = packed.bytes.len() as u64;
        if bytes > limits.bytes {
            self.to_disk(one, until);
            return nothing;
        }
        let key = one.key;
        let mut state = self.lock();
        if !state.may_arrive(key) {
            return nothing;
        }
        one.kept = None;
        let slot = Slot {
            key,
            kept: Kept::Packed(packed),
        };
        let gone = state.host.insert(key, slot, bytes);
        let out = self.take_out(&mut state, gone, Some(key));
        drop(state);
        out
    }

    /// To the disk: dropped where it is there already, else to the queue of the writer, for room in which is waited no longer
    /// than `until`.
    fn to_disk(&self, mut one: Moving<'_, L>, until: Instant) {
        let (key, Some(kept)) = (one.key, &one.kept) else {
            return;
        };
        let precision = kept.precision();
        let disk = self.disk.as_ref();
        let Some(disk) = disk.filter(|disk| disk.keeps(key, precision)) else {
            return;
        };
        if disk.touch(key, precision) {
            return;
        }
        let Some(packed) = one.pack(self.half) else {
            return;
        };
        let bytes = packed.bytes.len() as u64;
        let mut state = self.lock();
        while state.leaving_bytes > 0 && state.leaving_bytes + bytes > QUEUE_BYTES {
            let Some(left) = until.checked_duration_since(Instant::now()) else {
                return;
            };
            state = self.wait(state, left);
        }
        if state.may_arrive(key) && !state.closing {
            one.kept = None;
            state.leave(key, Kept::Packed(packed));
            if !state.queue.contains(&key) {
                state.queue.push_back(key);
            }
        }
    }

    /// Gives the writer time to write what waits in memory for it, and drops what it could not.
    pub(super) fn empty_queue(&self) {
        let state = self.lock();
        if state.leaving_bytes == 0 {
            return;
        }
        // What comes after them has had no time yet.
        let keys: Vec<Key> = state.leaving.keys().copied().collect();
        drop(state);
        self.flush(RELEASE_PATIENCE, |key| keys.contains(&key));
        let mut state = self.lock();
        let dropped: Vec<_> = keys
            .into_iter()
            .filter_map(|key| state.unleave(key))
            .collect();
        drop(state);
        drop(dropped);
    }
}

impl<L: Live> Moving<'_, L> {
    /// As bytes; what it was before is given back.
    fn pack(&mut self, half: bool) -> Option<Arc<Packed>> {
        let packed = match self.kept.take()? {
            Kept::Packed(packed) => packed,
            Kept::Live(live) => Arc::new(live.pack(half)?),
        };
        self.kept = Some(Kept::Packed(Arc::clone(&packed)));
        Some(packed)
    }
}

impl<L: Live> State<L> {
    /// Whether what was on its way is still wanted, and has not been replaced since.
    fn may_arrive(&self, key: Key) -> bool {
        let wanted = self.moving.get(&key) == Some(&true);
        wanted && self.device.peek(&key).is_none() && self.host.peek(&key).is_none()
    }
}
