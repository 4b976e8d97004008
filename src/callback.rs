//! A place for somebody else's callback.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use crate::error::Error;

thread_local! {
    /// Set while this thread runs a callback, which may call the library again.
    static IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
}

/// Refuses what may have to wait for the call that a callback runs in, and thus for itself: opening a backend, loading,
/// encoding, predicting. Locks that are held while a line or an event is told are taken by these alone, so everything else
/// may be called. `what` is the beginning of a sentence: `"loading a model"`.
///
/// # Errors
/// From inside a callback.
pub fn refuse_inside(what: &'static str) -> Result<(), Error> {
    if IN_CALLBACK.get() {
        let reason = "is refused from inside a callback: it might have to wait for the call that the callback runs in";
        return Err(Error::invalid_argument(what, reason));
    }
    Ok(())
}

/// Whether this thread runs a callback.
pub fn is_inside() -> bool {
    IN_CALLBACK.get()
}

/// Set when the process ends.
static SILENT: AtomicBool = AtomicBool::new(false);

/// From now on no callback is called any more: what they use may be gone, for the process ends.
pub fn silence_for_good() {
    SILENT.store(true, Ordering::SeqCst);
}

/// Runs a callback that is in no slot. Not from inside another one.
pub fn run_inside(callback: impl FnOnce()) {
    if SILENT.load(Ordering::SeqCst) {
        return;
    }
    IN_CALLBACK.set(true);
    let _leave = Leave;
    callback();
}

/// Holds a callback that can be replaced at any time. On one thread no callback runs inside another one, of whatever
/// slot: it would be called without end.
pub struct Slot<T>(RwLock<Option<T>>);

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(RwLock::new(None))
    }
}

impl<T> Slot<T> {
    /// Replaces the callback; `None` removes it. Returns when the last running call of the former one has ended, so what
    /// that one uses may be freed afterwards.
    ///
    /// # Errors
    /// From inside a callback; `name` says which one was to be changed.
    pub fn set(&self, name: &'static str, callback: Option<T>) -> Result<(), Error> {
        if IN_CALLBACK.get() {
            // Waiting for the running call would be waiting for ourselves.
            return Err(Error::invalid_argument(
                name,
                "cannot be changed from inside a callback",
            ));
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = callback;
        Ok(())
    }

    /// Lets `call` call the callback, if there is one and this thread is not inside a callback already.
    pub fn with(&self, call: impl FnOnce(&T)) {
        if IN_CALLBACK.get() || SILENT.load(Ordering::SeqCst) {
            return;
        }
        if let Some(callback) = &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            run_inside(|| call(callback));
        }
    }
}

struct Leave;

impl Drop for Leave {
    fn drop(&mut self) {
        IN_CALLBACK.set(false);
    }
}
