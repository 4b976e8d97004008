//! A source of figures that is opened when it is first needed, dropped when it fails and tried again later.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a source that failed is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// The pause doubles with each failure in a row up to this.
    pub longest: Duration,
}

impl Default for Backoff {
    /// One second, then up to a minute: a driver that is gone costs nothing, one that is back is noticed.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(60),
        }
    }
}

impl Backoff {
    /// The pause after one that was `last`.
    fn after(&self, last: Option<Duration>) -> Duration {
        match last {
            None => self.first,
            Some(last) => last.saturating_mul(2).min(self.longest),
        }
    }
}

/// A source of type `P` and what became of it last.
#[derive(Debug)]
pub(super) struct Retried<P> {
    backoff: Backoff,
    state: Mutex<State<P>>,
}

#[derive(Debug)]
enum State<P> {
    Untried,
    Open(P),
    Failed {
        reason: String,
        pause: Duration,
        since: Instant,
    },
}

impl<P> Retried<P> {
    pub(super) fn new(backoff: Backoff) -> Self {
        Self {
            backoff,
            state: Mutex::new(State::Untried),
        }
    }

    /// Opens the source where needed and reads from it. After a failure of either the source is dropped, and the same
    /// reason is told again until its pause is over.
    pub(super) fn read<T>(
        &self,
        open: impl FnOnce() -> Result<P, String>,
        read: impl FnOnce(&P) -> Result<T, String>,
    ) -> Result<T, String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let last_pause = match &*state {
            State::Failed {
                reason,
                pause,
                since,
            } => {
                if since.elapsed() < *pause {
                    return Err(reason.clone());
                }
                Some(*pause)
            }
            State::Untried | State::Open(_) => None,
        };
        let answer = match &*state {
            State::Open(source) => read(source),
            _ => open().and_then(|source| {
                let answer = read(&source);
                *state = State::Open(source);
                answer
            }),
        };
        if let Err(reason) = &answer {
            *state = State::Failed {
                reason: reason.clone(),
                pause: self.backoff.after(last_pause),
                since: Instant::now(),
            };
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER_AGAIN: Backoff = Backoff {
        first: Duration::MAX,
        longest: Duration::MAX,
    };
    const AT_ONCE: Backoff = Backoff {
        first: Duration::ZERO,
        longest: Duration::ZERO,
    };

    fn lost<T>() -> Result<T, String> {
        Err("lost".to_owned())
    }

    #[test]
    fn a_source_is_opened_once_while_it_works() {
        let source = Retried::new(NEVER_AGAIN);
        assert_eq!(source.read(|| Ok(1), |value| Ok(*value)), Ok(1));
        assert_eq!(source.read(|| Ok(2), |value| Ok(*value)), Ok(1));
    }

    #[test]
    fn a_source_that_failed_is_left_alone_and_its_reason_told_again() {
        let source = Retried::<()>::new(NEVER_AGAIN);
        assert_eq!(source.read(|| Ok(()), |()| lost()), lost::<()>());
        assert_eq!(
            source.read(|| panic!("opened too early"), |()| Ok(())),
            lost::<()>()
        );
    }

    #[test]
    fn a_source_that_failed_is_opened_anew_when_its_pause_is_over() {
        let source = Retried::new(AT_ONCE);
        assert_eq!(source.read(|| Ok(1), |_| lost::<i32>()), lost());
        assert_eq!(source.read(|| Ok(2), |value| Ok(*value)), Ok(2));
    }

    #[test]
    fn the_pause_doubles_up_to_the_longest() {
        let backoff = Backoff::default();
        let mut pauses = Vec::new();
        let mut pause = None;
        for _ in 0..8 {
            pause = Some(backoff.after(pause));
            pauses.push(pause.unwrap().as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    }
}
