//! Who may use a model next.
//!
//! A model does one thing at a time. Those who want it stand in line: calls that somebody waits for before work in the
//! background, and within each in the order they came. Work in the background runs only while nobody waits for any model of
//! the context, and is told to give way as soon as somebody does, unless it is making just what that one wants.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::Error;
use crate::image::ImageKey;

use super::cancel::CancelToken;

/// How soon something is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Somebody waits for it: a click, a job.
    #[default]
    Interactive,
    /// Nobody does yet.
    Background,
}

/// What somebody wants to use a model for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errand {
    /// The model's number within its context.
    pub model: u64,
    /// The picture.
    pub image: ImageKey,
    /// How soon.
    pub urgency: Urgency,
}

impl Errand {
    /// Whether the two want the same embedding.
    fn is_about_the_same(&self, other: &Self) -> bool {
        (self.model, self.image) == (other.model, other.image)
    }
}

/// The line before the models of a context.
#[derive(Clone, Default)]
pub struct Turnstile(Arc<Shared>);

#[derive(Default)]
struct Shared {
    line: Mutex<Line>,
    moved: Condvar,
}

/// Decides; nothing here waits.
#[derive(Default)]
struct Line {
    next: u64,
    /// In the order they came.
    waiting: Vec<(u64, Errand)>,
    running: Vec<Running>,
}

struct Running {
    number: u64,
    errand: Errand,
    signs: Arc<Signs>,
}

/// What the holder of a turn can see without waiting.
#[derive(Debug, Default)]
pub struct Signs {
    give_way: AtomicBool,
    gave_way: AtomicBool,
    awaited: AtomicBool,
}

impl Signs {
    /// Whether somebody more urgent waits. Whoever asks and is told so stops, and says so by this.
    pub fn must_give_way(&self) -> bool {
        let must = self.give_way.load(Ordering::SeqCst);
        if must {
            self.gave_way.store(true, Ordering::SeqCst);
        }
        must
    }

    /// Whether the holder was ever told to give way.
    pub fn gave_way(&self) -> bool {
        self.gave_way.load(Ordering::SeqCst)
    }

    /// Whether somebody else waits for the embedding that the holder is making.
    pub fn is_awaited(&self) -> bool {
        self.awaited.load(Ordering::SeqCst)
    }
}

impl Line {
    fn join(&mut self, errand: Errand) -> u64 {
        let number = self.next;
        self.next += 1;
        self.waiting.push((number, errand));
        self.look_around();
        number
    }

    fn leave(&mut self, number: u64) {
        self.waiting.retain(|&(other, _)| other != number);
        self.running.retain(|running| running.number != number);
        self.look_around();
    }

    /// Lets whoever waits under `number` begin, if it is their turn.
    fn begin(&mut self, number: u64) -> Option<Arc<Signs>> {
        let at = self.waiting.iter().position(|&(n, _)| n == number)?;
        let errand = self.waiting[at].1;
        let taken = |running: &Running| running.errand.model == errand.model;
        let urgent = |errand: &Errand| errand.urgency == Urgency::Interactive;
        let may = match errand.urgency {
            Urgency::Interactive => !self.waiting[..at]
                .iter()
                .any(|(_, other)| other.model == errand.model && urgent(other)),
            Urgency::Background => {
                !self.waiting.iter().any(|(_, other)| urgent(other))
                    && !self.running.iter().any(|running| urgent(&running.errand))
                    && !self.waiting[..at]
                        .iter()
                        .any(|(_, other)| other.model == errand.model)
            }
        };
        if !may || self.running.iter().any(taken) {
            return None;
        }
        self.waiting.remove(at);
        let signs = Arc::new(Signs::default());
        self.running.push(Running {
            number,
            errand,
            signs: Arc::clone(&signs),
        });
        self.look_around();
        Some(signs)
    }

    /// Brings the signs of all who run up to date.
    fn look_around(&self) {
        for running in &self.running {
            let mut others = self.waiting.iter().map(|(_, other)| other);
            let awaited = others
                .clone()
                .any(|other| other.is_about_the_same(&running.errand));
            let wanted = others.clone().any(|other| {
                other.urgency == Urgency::Interactive && other.is_about_the_same(&running.errand)
            });
            let urgent = others.any(|other| other.urgency == Urgency::Interactive);
            let background = running.errand.urgency == Urgency::Background;
            let signs = &running.signs;
            signs.awaited.store(awaited, Ordering::SeqCst);
            signs
                .give_way
                .store(background && urgent && !wanted, Ordering::SeqCst);
        }
    }
}

impl Turnstile {
    /// Waits for a turn. The turn ends when what this returns is dropped.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when the token is told before the turn comes.
    pub fn take(&self, errand: Errand, cancel: &CancelToken) -> Result<Turn, Error> {
        let shared = Arc::clone(&self.0);
        let _listening = cancel.listen(move || {
            // Under the lock, so that it cannot fall between a look at the token and the wait.
            let _line = shared.lock();
            shared.moved.notify_all();
        });
        let mut line = self.0.lock();
        let number = line.join(errand);
        // Those in the background have somebody to give way to.
        self.0.moved.notify_all();
        loop {
            if cancel.is_cancelled() {
                line.leave(number);
                drop(line);
                self.0.moved.notify_all();
                return Err(Error::Cancelled);
            }
            if let Some(signs) = line.begin(number) {
                return Ok(Turn {
                    shared: Arc::clone(&self.0),
                    number,
                    signs,
                });
            }
            line = self
                .0
                .moved
                .wait(line)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// How many wait for a turn.
    pub fn waiting(&self) -> usize {
        self.0.lock().waiting.len()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The use of a model, until dropped.
pub struct Turn {
    shared: Arc<Shared>,
    number: u64,
    signs: Arc<Signs>,
}

impl Turn {
    /// What the holder can see.
    pub fn signs(&self) -> &Arc<Signs> {
        &self.signs
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.shared.lock().leave(self.number);
        self.shared.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::atomic::AtomicU32;
    use std::sync::mpsc;
    use std::thread;

    use Urgency::{Background, Interactive};

    fn errand(model: u64, image: u8, urgency: Urgency) -> Errand {
        Errand {
            model,
            image: ImageKey::of_content_id(&[image], 1, 1),
            urgency,
        }
    }

    fn take(turnstile: &Turnstile, errand: Errand) -> Turn {
        turnstile.take(errand, &CancelToken::new()).unwrap()
    }

    /// Starts a thread for each errand, one after the other in line, and tells in what order they had their turns.
    fn order(turnstile: &Turnstile, first: Turn, errands: &[Errand]) -> Vec<usize> {
        let (send, turns) = mpsc::channel();
        thread::scope(|scope| {
            for (index, &errand) in errands.iter().enumerate() {
                let before = turnstile.waiting();
                let send = send.clone();
                scope.spawn(move || {
                    let _turn = take(turnstile, errand);
                    send.send(index).unwrap();
                });
                while turnstile.waiting() == before {
                    thread::yield_now();
                }
            }
            drop(first);
        });
        drop(send);
        turns.iter().collect()
    }

    #[test]
    fn turns_come_in_the_order_of_arrival_and_the_background_last() {
        let turnstile = Turnstile::default();
        let first = take(&turnstile, errand(1, 0, Interactive));
        let errands = [
            errand(1, 1, Background),
            errand(1, 2, Interactive),
            errand(1, 3, Background),
            errand(1, 4, Interactive),
            errand(1, 0, Interactive),
        ];
        assert_eq!(order(&turnstile, first, &errands), [1, 3, 4, 0, 2]);
    }

    #[test]
    fn two_models_do_not_wait_for_each_other_but_the_background_waits_for_both() {
        let mut line = Line::default();
        let one = line.join(errand(1, 0, Interactive));
        let two = line.join(errand(2, 0, Interactive));
        let behind = line.join(errand(3, 0, Background));
        assert!(line.begin(two).is_some() && line.begin(one).is_some());
        assert!(line.begin(behind).is_none());
        line.leave(one);
        assert!(line.begin(behind).is_none());
        line.leave(two);
        assert!(line.begin(behind).is_some());
    }

    #[test]
    fn the_background_gives_way_to_a_click_on_another_image_and_of_another_model() {
        for click in [errand(1, 9, Interactive), errand(2, 0, Interactive)] {
            let mut line = Line::default();
            let number = line.join(errand(1, 0, Background));
            let signs = line.begin(number).unwrap();
            assert!(!signs.must_give_way());
            line.join(errand(1, 5, Background));
            assert!(!signs.must_give_way(), "to its equals it does not");
            line.join(click);
            assert!(signs.must_give_way() && signs.gave_way());
        }
    }

    #[test]
    fn a_click_on_the_image_that_the_background_is_at_waits_for_it() {
        let mut line = Line::default();
        let number = line.join(errand(1, 0, Background));
        let signs = line.begin(number).unwrap();
        let other = line.join(errand(1, 9, Interactive));
        assert!(signs.must_give_way() && !signs.is_awaited());
        let same = line.join(errand(1, 0, Interactive));
        assert!(!signs.must_give_way() && signs.is_awaited());
        line.leave(same);
        assert!(signs.must_give_way() && !signs.is_awaited());
        line.leave(other);
        assert!(!signs.must_give_way());
    }

    #[test]
    fn whoever_stops_waiting_is_out_of_the_line_at_once_and_the_next_one_moves_up() {
        let turnstile = Turnstile::default();
        let first = take(&turnstile, errand(1, 0, Interactive));
        let cancel = CancelToken::new();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| turnstile.take(errand(1, 1, Interactive), &cancel));
            while turnstile.waiting() == 0 {
                thread::yield_now();
            }
            cancel.cancel();
            assert!(matches!(waiting.join().unwrap(), Err(Error::Cancelled)));
        });
        assert_eq!(turnstile.waiting(), 0);
        drop(first);
        take(&turnstile, errand(1, 2, Interactive));
        assert!(matches!(
            turnstile.take(errand(1, 1, Interactive), &cancel),
            Err(Error::Cancelled)
        ));
    }

    #[test]
    fn a_crowd_has_each_model_one_at_a_time_and_everybody_is_served() {
        const MODELS: usize = 2;
        let turnstile = Turnstile::default();
        let inside = [const { AtomicU32::new(0) }; MODELS];
        let served = AtomicU32::new(0);
        thread::scope(|scope| {
            for thread in 0..8_usize {
                let (turnstile, inside, served) = (&turnstile, &inside, &served);
                scope.spawn(move || {
                    for round in 0..50_usize {
                        let model = (thread + round) % MODELS;
                        let urgency = if (thread * 7 + round) % 3 == 0 {
                            Background
                        } else {
                            Interactive
                        };
                        let cancel = CancelToken::new();
                        if (thread + round) % 11 == 0 {
                            cancel.cancel();
                        }
                        let errand = errand(model as u64, (round % 5) as u8, urgency);
                        let Ok(_turn) = turnstile.take(errand, &cancel) else {
                            served.fetch_add(1, Ordering::SeqCst);
                            continue;
                        };
                        assert_eq!(inside[model].fetch_add(1, Ordering::SeqCst), 0);
                        if round % 2 == 0 {
                            thread::yield_now();
                        }
                        inside[model].fetch_sub(1, Ordering::SeqCst);
                        served.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!((served.into_inner(), turnstile.waiting()), (8 * 50, 0));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Join(u64, u8, bool),
        Begin(usize),
        Leave(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0..3_u64, 0..3_u8, any::<bool>()).prop_map(|(m, i, b)| Step::Join(m, i, b)),
            (0..20_usize).prop_map(Step::Begin),
            (0..20_usize).prop_map(Step::Leave),
        ];
        proptest::collection::vec(step, 1..80)
    }

    proptest! {
        /// Whatever happens in whatever order: one at a time per model, nobody overtakes their equals, the background never
        /// beside a click that began before it, and a line in which nobody runs always has somebody who may.
        #[test]
        fn no_interleaving_breaks_the_rules_or_stops_the_line(steps in steps()) {
            let mut line = Line::default();
            let mut known: Vec<u64> = Vec::new();
            for step in steps {
                match step {
                    Step::Join(model, image, background) => {
                        let urgency = if background { Background } else { Interactive };
                        known.push(line.join(errand(model, image, urgency)));
                    }
                    Step::Begin(at) if !known.is_empty() => {
                        let number = known[at % known.len()];
                        let errand = line.waiting.iter().find(|w| w.0 == number).map(|w| w.1);
                        if line.begin(number).is_some() {
                            let errand = errand.expect("only who waits begins");
                            let overtaken = line.waiting.iter().any(|&(other, them)| {
                                other < number && them.model == errand.model && them.urgency <= errand.urgency
                            });
                            prop_assert!(!overtaken);
                        }
                    }
                    Step::Leave(at) if !known.is_empty() => {
                        line.leave(known.remove(at % known.len()));
                    }
                    _ => {}
                }
                for (index, running) in line.running.iter().enumerate() {
                    let alone = line.running[..index].iter().all(|other| other.errand.model != running.errand.model);
                    prop_assert!(alone);
                    let must = line.waiting.iter().any(|(_, other)| other.urgency == Interactive)
                        && !line.waiting.iter().any(|(_, other)| other.urgency == Interactive
                            && other.is_about_the_same(&running.errand));
                    let background = running.errand.urgency == Background;
                    prop_assert_eq!(running.signs.must_give_way(), background && must);
                }
            }
            line.running.clear();
            while !line.waiting.is_empty() {
                let numbers: Vec<u64> = line.waiting.iter().map(|w| w.0).collect();
                let begun = numbers.into_iter().find(|&number| line.begin(number).is_some());
                prop_assert!(begun.is_some(), "nobody may go on");
                line.leave(begun.unwrap());
            }
        }
    }
}
