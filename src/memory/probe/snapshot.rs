//! The last answer of a probe, for those who must not wait for the next.
//!
//! A thread of its own asks the probe, only when somebody wants an answer younger than the last. Whoever wants one first
//! may wait a little for it; everybody else is given the last one, marked as stale. A probe that hangs thus holds up
//! nobody for longer than the patience they brought, and later callers not at all.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

/// An answer of the probe.
#[derive(Clone, Debug)]
pub struct Answer<T> {
    /// What the probe said.
    pub value: Arc<T>,
    /// When it was asked; the value is at least as old.
    pub taken: Instant,
    /// It is older than was asked for: the probe takes long, or hangs.
    pub stale: bool,
}

/// A probe and its last answer. Used from many threads at once.
pub struct Snapshot<T> {
    shared: Arc<Shared<T>>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

struct Shared<T> {
    probe: Box<dyn Fn() -> T + Send + Sync>,
    last: ArcSwapOption<Taken<T>>,
    turns: Mutex<Turns>,
    changed: Condvar,
}

struct Taken<T> {
    value: Arc<T>,
    at: Instant,
}

/// Questions to the probe, numbered from 1.
#[derive(Clone, Copy, Debug, Default)]
struct Turns {
    /// The last one that somebody wants.
    wanted: u64,
    /// The last one begun.
    begun: u64,
    /// The last one that ended.
    ended: u64,
    /// When somebody wanted it.
    wanted_at: Option<Instant>,
    /// The snapshot is gone.
    over: bool,
}

/// How long a dropped snapshot waits for its thread. One that hangs in a driver is left behind.
const FAREWELL: Duration = Duration::from_secs(1);

impl<T: Send + Sync + 'static> Snapshot<T> {
    /// A snapshot of what `probe` answers; it is first asked when somebody wants to know. A panic in it counts as no
    /// answer.
    pub fn new(probe: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Self {
            shared: Arc::new(Shared {
                probe: Box::new(probe),
                last: ArcSwapOption::empty(),
                turns: Mutex::default(),
                changed: Condvar::new(),
            }),
            worker: Mutex::new(None),
        }
    }

    /// An answer no older than `max_age`, from memory where there is one. Else the probe is asked, and this call waits
    /// for it up to `patience`. When that is over, or somebody else has asked already, the last answer is given, stale.
    /// Where there has never been one all wait, but not for a question that has been open for longer than their
    /// patience; `None` then.
    pub fn get(&self, max_age: Duration, patience: Duration) -> Option<Answer<T>> {
        let fits = |answer: &Answer<T>| answer.taken.elapsed() <= max_age;
        let last = self.shared.last_answer();
        if let Some(answer) = last.as_ref()
            && fits(answer)
        {
            return last;
        }
        let since = Instant::now();
        if self.run_worker() {
            let mut turns = self.shared.turns();
            if turns.wanted == turns.ended {
                turns.want(since);
                self.shared.wait(turns, patience);
            } else if last.is_none() {
                let open_for = turns.wanted_at.map_or(Duration::ZERO, |at| at.elapsed());
                self.shared.wait(turns, patience.saturating_sub(open_for));
            }
        }
        let stale = |answer: &Answer<T>| answer.taken < since && !fits(answer);
        self.shared.marked(stale)
    }

    /// An answer that the probe begins after this call, waiting for it up to `patience`: what there is after memory was
    /// given back. The last one, stale, when that is over.
    pub fn get_new(&self, patience: Duration) -> Option<Answer<T>> {
        let since = Instant::now();
        if self.run_worker() {
            let mut turns = self.shared.turns();
            // One that is running may have looked before the change.
            if turns.wanted == turns.begun {
                turns.want(since);
            }
            self.shared.wait(turns, patience);
        }
        self.shared.marked(|answer| answer.taken < since)
    }

    /// Has the probe asked, if nobody has, without waiting for it.
    pub fn refresh(&self) {
        self.get(Duration::ZERO, Duration::ZERO);
    }

    /// Starts the thread if there is none. False when the system gives no thread.
    fn run_worker(&self) -> bool {
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        if worker.is_none() {
            let shared = Arc::clone(&self.shared);
            *worker = thread::Builder::new()
                .name("sam-mm-probe".to_owned())
                .spawn(move || shared.work())
                .ok();
        }
        worker.is_some()
    }
}

impl Turns {
    fn want(&mut self, now: Instant) {
        self.wanted += 1;
        self.wanted_at = Some(now);
    }
}

impl<T> Shared<T> {
    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last_answer(&self) -> Option<Answer<T>> {
        let last = self.last.load();
        last.as_ref().map(|taken| Answer {
            value: Arc::clone(&taken.value),
            taken: taken.at,
            stale: false,
        })
    }

    fn marked(&self, stale: impl Fn(&Answer<T>) -> bool) -> Option<Answer<T>> {
        self.last_answer().map(|answer| Answer {
            stale: stale(&answer),
            ..answer
        })
    }

    /// Wakes the thread and waits until the last question that is wanted now has ended.
    fn wait(&self, turns: MutexGuard<'_, Turns>, patience: Duration) {
        self.changed.notify_all();
        let turn = turns.wanted;
        let open = |turns: &mut Turns| turns.ended < turn;
        drop(self.changed.wait_timeout_while(turns, patience, open));
    }

    /// The thread: asks the probe whenever an answer is wanted.
    fn work(&self) {
        loop {
            let turns = self.turns();
            let idle = |turns: &mut Turns| turns.wanted == turns.begun && !turns.over;
            let waited = self.changed.wait_while(turns, idle);
            let mut turns = waited.unwrap_or_else(PoisonError::into_inner);
            if turns.over {
                return;
            }
            // One answer serves everybody who asked before it was begun.
            turns.begun = turns.wanted;
            let turn = turns.begun;
            drop(turns);
            let at = Instant::now();
            if let Ok(value) = catch_unwind(AssertUnwindSafe(|| (self.probe)())) {
                let value = Arc::new(value);
                self.last.store(Some(Arc::new(Taken { value, at })));
            }
            self.turns().ended = turn;
            self.changed.notify_all();
        }
    }
}

impl<T> Drop for Snapshot<T> {
    fn drop(&mut self) {
        self.shared.turns().over = true;
        self.shared.changed.notify_all();
        let worker = self
            .worker
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(worker) = worker.take() else {
            return;
        };
        let turns = self.shared.turns();
        let running = |turns: &mut Turns| turns.begun > turns.ended;
        let waited = self
            .shared
            .changed
            .wait_timeout_while(turns, FAREWELL, running)
            .unwrap_or_else(PoisonError::into_inner);
        let ended = !waited.1.timed_out();
        drop(waited);
        if ended {
            let _ = worker.join();
        }
    }
}

impl<T> fmt::Debug for Snapshot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("turns", &*self.shared.turns())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
