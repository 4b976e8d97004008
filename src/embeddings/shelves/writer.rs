//! The thread that writes embeddings to the disk, and those who wait for it.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::{Kept, Shelves, State};
use crate::cache::embedding::Key;
use crate::embeddings::packed::Live;
use crate::jobs::leaving::Leaving;

/// How long an embedding that is no use is waited for.
const PATIENCE: Duration = Duration::from_millis(100);
/// How soon the writer looks again at an embedding that is in use.
const IN_USE: Duration = Duration::from_millis(20);

impl<L: Live> Shelves<L> {
    /// Waits until what was encoded so far of the keys that `wanted` names is on disk, but not for ever.
    pub fn flush(&self, patience: Duration, wanted: impl Fn(Key) -> bool) {
        if self.disk.is_none() {
            return;
        }
        let until = Instant::now() + patience;
        let mut state = self.lock();
        state.draining += 1;
        self.changed.notify_all();
        let open = |state: &State<L>| {
            let waits = state.queue.iter().any(|&key| wanted(key));
            waits || state.writing.is_some_and(&wanted)
        };
        while open(&state) && !state.closing {
            let Some(left) = until.checked_duration_since(Instant::now()) else {
                break;
            };
            state = self.wait(state, left);
        }
        state.draining -= 1;
    }

    /// Waits, but not for ever, while an embedding is being written.
    pub fn wait_unwritten(&self, key: Key) {
        let until = Instant::now() + PATIENCE;
        let mut state = self.lock();
        while state.writing == Some(key) {
            let Some(left) = until.checked_duration_since(Instant::now()) else {
                break;
            };
            state = self.wait(state, left);
        }
    }

    /// Has [`write`](Self::write) return.
    pub fn close(&self) {
        self.lock().closing = true;
        self.changed.notify_all();
    }

    /// Writes what is in the queue until it is closed: the thread of the writer.
    pub fn write(&self) {
        let mut passed_over = 0;
        let mut state = self.lock();
        while !state.closing {
            let Some(key) = state.queue.pop_front() else {
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let Some(kept) = state.to_write(key) else {
                // On its way to where it can be found: whoever moves it says when it is there.
                if state.moving.get(&key) == Some(&true) {
                    state.queue.push_back(key);
                    state = self.wait(state, IN_USE);
                }
                self.changed.notify_all();
                continue;
            };
            // What a click is using is written afterwards.
            if kept.is_used_besides() && state.draining == 0 {
                drop(kept);
                state.queue.push_back(key);
                passed_over += 1;
                if passed_over >= state.queue.len() {
                    passed_over = 0;
                    state = self.wait(state, IN_USE);
                }
                continue;
            }
            passed_over = 0;
            state.writing = Some(key);
            drop(state);
            self.write_one(key, &kept);
            drop(kept);
            state = self.lock();
            state.writing = None;
            // Not when it is to be written once more.
            let left = match state.queue.contains(&key) {
                true => None,
                false => state.unleave(key),
            };
            self.changed.notify_all();
            if left.is_some() {
                drop(state);
                drop(left);
                state = self.lock();
            }
        }
    }

    fn write_one(&self, key: Key, kept: &Kept<L>) {
        let Some(disk) = &self.disk else { return };
        if disk.touch(key, kept.precision()) {
            return;
        }
        match kept {
            Kept::Packed(packed) => disk.store(key, packed),
            Kept::Live(live) => {
                if let Some(packed) = live.pack(self.half) {
                    disk.store(key, &packed);
                }
            }
        }
    }
}

impl<L: Live> Leaving for Shelves<L> {
    fn stop(&self) {
        self.close();
    }

    fn is_busy(&self) -> bool {
        self.lock().writing.is_some()
    }
}

impl<L: Live> State<L> {
    /// What is to be written of a key, wherever it is now.
    fn to_write(&self, key: Key) -> Option<Kept<L>> {
        if let Some(kept) = self.leaving.get(&key) {
            return Some(kept.share());
        }
        let slot = self.device.peek(&key).or_else(|| self.host.peek(&key));
        slot.map(|slot| slot.kept.share())
    }
}

impl<L> Kept<L> {
    /// Of a shared one: somebody holds it besides the shelf and this.
    fn is_used_besides(&self) -> bool {
        match self {
            Self::Live(live) => std::sync::Arc::strong_count(live) > 2,
            Self::Packed(_) => false,
        }
    }
}
