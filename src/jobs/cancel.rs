//! Telling work that its result is not wanted any more.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Error;

/// Told once, for good. Its copies are the same token.
#[derive(Clone, Default)]
pub struct CancelToken(Arc<Inner>);

#[derive(Default)]
struct Inner {
    cancelled: AtomicBool,
    next: AtomicU64,
    listeners: Mutex<Vec<(u64, Listener)>>,
}

type Listener = Arc<dyn Fn() + Send + Sync>;

impl CancelToken {
    /// A token that nobody has told anything yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The work should stop as soon as it can. Never waits for it.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::SeqCst);
        // Called without the lock: a listener takes locks of its own.
        let listeners: Vec<Listener> = self
            .listeners()
            .iter()
            .map(|(_, listener)| Arc::clone(listener))
            .collect();
        listeners.iter().for_each(|listener| listener());
    }

    /// Whether [`cancel`](Self::cancel) was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    /// [`is_cancelled`](Self::is_cancelled) as an error to be passed on.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when it is.
    pub fn check(&self) -> Result<(), Error> {
        if self.is_cancelled() {
            return Err(Error::Cancelled);
        }
        Ok(())
    }

    /// Has `listener` called when the token is told, until what this returns is dropped. Who waits for something looks at
    /// the token once more after this: what was told before is not told again.
    pub fn listen(&self, listener: impl Fn() + Send + Sync + 'static) -> Listening<'_> {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        self.listeners().push((number, Arc::new(listener)));
        Listening {
            token: self,
            number,
        }
    }

    fn listeners(&self) -> MutexGuard<'_, Vec<(u64, Listener)>> {
        self.0
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody listens to a token until this is dropped. A call that runs at that moment may end later.
pub struct Listening<'a> {
    token: &'a CancelToken,
    number: u64,
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.token
            .listeners()
            .retain(|(number, _)| *number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    #[test]
    fn a_token_told_once_stays_told_and_so_do_its_copies() {
        let token = CancelToken::new();
        let copy = token.clone();
        assert!(copy.check().is_ok());
        token.cancel();
        token.cancel();
        assert!(copy.is_cancelled());
        assert!(matches!(copy.check(), Err(Error::Cancelled)));
        assert!(!CancelToken::new().is_cancelled());
    }

    #[test]
    fn a_listener_is_called_while_it_listens_and_not_afterwards() {
        let (token, calls) = (CancelToken::new(), Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&calls);
        let listening = token.listen(move || {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        token.cancel();
        drop(listening);
        token.cancel();
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_listener_may_use_the_token_it_listens_to() {
        let token = CancelToken::new();
        let again = token.clone();
        let _listening = token.listen(move || {
            // Would never return if a lock were held.
            drop(again.listen(|| {}));
        });
        token.cancel();
    }
}
