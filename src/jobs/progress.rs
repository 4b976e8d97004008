//! How far work is: events to a callback, which may stop it, and to a queue.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::callback::Slot;
use crate::error::Error;

use super::cancel::CancelToken;

/// What is being done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Nothing yet: it waits for a thread, or for its turn with the model.
    #[default]
    Waiting,
    /// A model is loaded.
    Loading,
    /// The pixels are read: their key, and the model's input.
    Reading,
    /// The image encoder runs.
    Encoding,
    /// The mask decoder runs.
    Decoding,
    /// The image is brought to display size.
    Processing,
    /// Nothing any more.
    Ended,
}

/// Whose progress it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Whose {
    /// A call that somebody waits in.
    Call,
    /// The job of this number.
    Job(u64),
    /// Prefetching.
    Prefetch,
}

/// How far something is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProgressEvent {
    /// Its number, from 0 in each context; a gap is what left the queue unread.
    pub number: u64,
    /// When, since the context was made.
    pub at: Duration,
    /// Whose.
    pub whose: Whose,
    /// What is being done.
    pub stage: Stage,
    /// The done part of all, 0 to 1.
    pub fraction: f64,
    /// Status code, once it has ended; else 0.
    pub status: i32,
}

/// Is told events, from any thread, several at once. Gives `true` when the work should stop.
pub type Callback = Box<dyn Fn(&ProgressEvent) -> bool + Send + Sync>;

/// Events kept for polling.
pub const CAPACITY: usize = 256;

/// The progress of all work of a context. Each event goes into the queue and to the callback; nobody has to look at either.
pub struct ProgressEvents {
    started: Instant,
    queue: Mutex<Queue>,
    callback: Slot<Callback>,
}

#[derive(Default)]
struct Queue {
    events: VecDeque<ProgressEvent>,
    emitted: u64,
}

impl Default for ProgressEvents {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            queue: Mutex::default(),
            callback: Slot::default(),
        }
    }
}

impl ProgressEvents {
    /// Something got further. A full queue drops its oldest event. Tells whether the callback wants the work to stop; one
    /// that arises inside a callback goes to the queue only.
    pub fn emit(&self, whose: Whose, stage: Stage, fraction: f64, status: i32) -> bool {
        let mut queue = self.lock();
        let event = ProgressEvent {
            number: queue.emitted,
            at: self.started.elapsed(),
            whose,
            stage,
            fraction,
            status,
        };
        queue.emitted += 1;
        queue.events.push_back(event);
        if queue.events.len() > CAPACITY {
            queue.events.pop_front();
        }
        drop(queue);
        let mut stop = false;
        self.callback.with(|callback| stop = callback(&event));
        stop
    }

    /// Takes the oldest event.
    pub fn poll(&self) -> Option<ProgressEvent> {
        self.lock().events.pop_front()
    }

    /// Replaces the callback; `None` removes it. Returns when the last running call of the former one has ended.
    ///
    /// # Errors
    /// From inside a callback.
    pub fn set_callback(&self, callback: Option<Callback>) -> Result<(), Error> {
        self.callback.set("progress callback", callback)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The progress of one piece of work. Copies are the same.
#[derive(Clone)]
pub struct Progress(Arc<Shared>);

struct Shared {
    whose: Whose,
    events: Arc<ProgressEvents>,
    cancel: CancelToken,
    now: Mutex<(Stage, f64)>,
}

/// Less than this share more is not worth an event.
const STEP: f64 = 0.01;

impl Progress {
    /// Progress that is told to `events`; `cancel` is told when somebody there wants it to stop.
    pub fn new(whose: Whose, events: Arc<ProgressEvents>, cancel: CancelToken) -> Self {
        Self(Arc::new(Shared {
            whose,
            events,
            cancel,
            now: Mutex::default(),
        }))
    }

    /// The stage, and the done part of all: 0 to 1. Never goes back within a stage.
    pub fn now(&self) -> (Stage, f64) {
        *self.lock()
    }

    /// It is at `stage` now, and `fraction` of all is done.
    pub fn at(&self, stage: Stage, fraction: f64) {
        let mut now = self.lock();
        let (before, done) = *now;
        let fraction = fraction.clamp(0.0, 1.0);
        if stage == before && fraction < done + STEP {
            return;
        }
        *now = (stage, fraction);
        drop(now);
        if self.0.events.emit(self.0.whose, stage, fraction, 0) {
            self.0.cancel.cancel();
        }
    }

    /// It has ended, with this status code.
    pub fn end(&self, status: i32) {
        let mut now = self.lock();
        let fraction = if status == 0 { 1.0 } else { now.1 };
        *now = (Stage::Ended, fraction);
        drop(now);
        self.0
            .events
            .emit(self.0.whose, Stage::Ended, fraction, status);
    }

    fn lock(&self) -> MutexGuard<'_, (Stage, f64)> {
        self.0.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(events: &Arc<ProgressEvents>) -> (Progress, CancelToken) {
        let cancel = CancelToken::new();
        let progress = Progress::new(Whose::Job(7), Arc::clone(events), cancel.clone());
        (progress, cancel)
    }

    fn polled(events: &ProgressEvents) -> Vec<(Stage, f64)> {
        std::iter::from_fn(|| events.poll())
            .map(|event| (event.stage, event.fraction))
            .collect()
    }

    #[test]
    fn small_steps_within_a_stage_are_not_told_one_by_one() {
        let events = Arc::new(ProgressEvents::default());
        let (progress, _) = progress(&events);
        progress.at(Stage::Encoding, 0.5);
        (0..5).for_each(|step| progress.at(Stage::Encoding, 0.5 + 0.001 * f64::from(step)));
        progress.at(Stage::Encoding, 0.4);
        progress.at(Stage::Encoding, 0.52);
        progress.at(Stage::Decoding, 0.52);
        progress.end(0);
        let told = [
            (Stage::Encoding, 0.5),
            (Stage::Encoding, 0.52),
            (Stage::Decoding, 0.52),
            (Stage::Ended, 1.0),
        ];
        assert_eq!(polled(&events), told);
    }

    #[test]
    fn what_failed_is_not_told_to_be_whole() {
        let events = Arc::new(ProgressEvents::default());
        let (progress, _) = progress(&events);
        progress.at(Stage::Encoding, 0.5);
        progress.end(4);
        assert_eq!(progress.now(), (Stage::Ended, 0.5));
    }

    #[test]
    fn a_callback_that_asks_for_it_stops_the_work() {
        let events = Arc::new(ProgressEvents::default());
        let (progress, cancel) = progress(&events);
        events
            .set_callback(Some(Box::new(|event| event.stage == Stage::Encoding)))
            .unwrap();
        progress.at(Stage::Reading, 0.0);
        assert!(!cancel.is_cancelled());
        progress.at(Stage::Encoding, 0.1);
        assert!(cancel.is_cancelled());
    }

    #[test]
    fn a_queue_nobody_reads_keeps_the_last_events() {
        let events = ProgressEvents::default();
        for _ in 0..CAPACITY + 3 {
            events.emit(Whose::Prefetch, Stage::Ended, 1.0, 0);
        }
        assert_eq!(events.poll().unwrap().number, 3);
    }
}
