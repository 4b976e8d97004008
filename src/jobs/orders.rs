//! What whoever asks for a result says besides: how soon it is wanted, who may stop it, and who is told how far it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::Error;

use super::cancel::CancelToken;
use super::progress::{Progress, ProgressEvents, Stage, Whose};
use super::turnstile::{Signs, Turn, Urgency};

/// Goes with a call through all of its stages. The default is that of a plain call: wanted at once, stopped by nobody,
/// telling nobody.
#[derive(Clone, Default)]
pub struct Orders {
    /// How soon it is wanted.
    pub urgency: Urgency,
    /// Whether it is not to cost anybody anything: nobody gives memory back for it, and when memory runs out all the same, that
    /// is its end.
    pub modest: bool,
    /// Who may stop it.
    pub cancel: CancelToken,
    /// Who is told.
    pub progress: Option<Progress>,
}

impl Orders {
    /// Orders whose progress is told to the callback and the queue of a context.
    pub fn told(whose: Whose, events: &Arc<ProgressEvents>) -> Self {
        let cancel = CancelToken::new();
        Self {
            urgency: Urgency::default(),
            modest: false,
            progress: Some(Progress::new(whose, Arc::clone(events), cancel.clone())),
            cancel,
        }
    }

    /// A stage begins, and `fraction` of all is done.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub fn enter(&self, stage: Stage, fraction: f64) -> Result<(), Error> {
        self.at(stage, fraction);
        self.cancel.check()
    }

    /// `fraction` of all is done.
    pub fn at(&self, stage: Stage, fraction: f64) {
        if let Some(progress) = &self.progress {
            progress.at(stage, fraction);
        }
    }
}

/// What a backend hears when it asks whether to go on, and how it may help itself to memory.
#[derive(Clone, Default)]
pub struct Oversight {
    cancel: CancelToken,
    signs: Option<Arc<Signs>>,
    for_others: bool,
    modest: bool,
    ticks: Option<Arc<Ticks>>,
}

impl Oversight {
    /// For work that ends when its orders say so.
    pub fn of(orders: &Orders) -> Self {
        Self {
            cancel: orders.cancel.clone(),
            modest: orders.modest,
            ..Self::default()
        }
    }

    /// The same, and it gives way to who is more urgent.
    pub fn in_turn(orders: &Orders, turn: &Turn) -> Self {
        Self {
            signs: Some(Arc::clone(turn.signs())),
            ..Self::of(orders)
        }
    }

    /// The same, but it goes on for others who wait for the result when the one who began it wants it no more.
    pub fn for_others_too(self) -> Self {
        Self {
            for_others: true,
            ..self
        }
    }

    /// The same, and each question of the backend counts as a step ahead.
    pub fn counted_by(self, ticks: &Arc<Ticks>) -> Self {
        Self {
            ticks: Some(Arc::clone(ticks)),
            ..self
        }
    }

    /// Whether nobody is to give memory back for it.
    pub fn is_modest(&self) -> bool {
        self.modest
    }

    /// The backend asks whether to stop.
    pub fn should_stop(&self) -> bool {
        if let Some(ticks) = &self.ticks {
            ticks.tick();
        }
        let Some(signs) = &self.signs else {
            return self.cancel.is_cancelled();
        };
        let for_others = self.for_others && signs.is_awaited();
        (self.cancel.is_cancelled() && !for_others) || signs.must_give_way()
    }
}

/// Progress within one stage of the backend, which tells none. But it asks again and again whether to go on, a model always
/// as often: how often it did the last time tells how far it is this time.
pub struct Ticks {
    orders: Orders,
    stage: Stage,
    /// Of all the work, where the stage begins and ends.
    from: f64,
    to: f64,
    expected: u32,
    seen: AtomicU32,
}

impl Ticks {
    /// A stage between two fractions of all the work, in which `expected` questions will come; 0 when that is not known.
    pub fn new(orders: &Orders, stage: Stage, (from, to): (f64, f64), expected: u32) -> Self {
        Self {
            orders: orders.clone(),
            stage,
            from,
            to,
            expected,
            seen: AtomicU32::new(0),
        }
    }

    /// Questions so far.
    pub fn seen(&self) -> u32 {
        self.seen.load(Ordering::Relaxed)
    }

    fn tick(&self) {
        let seen = self.seen.fetch_add(1, Ordering::Relaxed) + 1;
        if self.expected > 0 && self.orders.progress.is_some() {
            let done = f64::from(seen.min(self.expected)) / f64::from(self.expected);
            self.orders
                .at(self.stage, self.from + (self.to - self.from) * done);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::ImageKey;
    use crate::jobs::turnstile::{Errand, Turnstile};
    use std::thread;

    #[test]
    fn questions_of_the_backend_are_steps_ahead_and_never_more_than_the_stage() {
        let events = Arc::new(ProgressEvents::default());
        let orders = Orders::told(Whose::Call, &events);
        let ticks = Arc::new(Ticks::new(&orders, Stage::Encoding, (0.2, 0.6), 4));
        let oversight = Oversight::of(&orders).counted_by(&ticks);
        (0..6).for_each(|_| assert!(!oversight.should_stop()));
        let told: Vec<f64> = std::iter::from_fn(|| events.poll())
            .map(|event| (event.fraction * 1000.0).round() / 1000.0)
            .collect();
        assert_eq!((told, ticks.seen()), (vec![0.3, 0.4, 0.5, 0.6], 6));
    }

    #[test]
    fn who_is_cancelled_goes_on_while_others_wait_for_the_same() {
        let turnstile = Turnstile::default();
        let errand = Errand {
            model: 1,
            image: ImageKey::of_content_id(&[1], 1, 1),
            urgency: Urgency::Interactive,
        };
        let orders = Orders::default();
        let turn = turnstile.take(errand, &orders.cancel).unwrap();
        let alone = Oversight::in_turn(&orders, &turn);
        let generous = alone.clone().for_others_too();
        let other = CancelToken::new();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| turnstile.take(errand, &other).map(drop));
            while turnstile.waiting() == 0 {
                thread::yield_now();
            }
            orders.cancel.cancel();
            assert!(alone.should_stop() && !generous.should_stop());
            other.cancel();
            assert!(waiting.join().unwrap().is_err());
        });
        assert!(generous.should_stop());
    }
}
