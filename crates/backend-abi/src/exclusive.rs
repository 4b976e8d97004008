//! A value that one call at a time may use: a model on either side of the border.

use core::sync::atomic::{AtomicU64, Ordering};
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard};

use crate::error::{BackendError, Result};

/// A mutex that refuses, instead of deadlocking, when the thread that holds it asks again. That is possible here: a
/// plugin at work calls the host, and the host may call the plugin from there.
pub struct Exclusive<T> {
    value: Mutex<T>,
    /// [`thread_token`] of the holder, 0 when free.
    holder: AtomicU64,
}

impl<T> Exclusive<T> {
    /// Wraps a value.
    pub fn new(value: T) -> Self {
        Self {
            value: Mutex::new(value),
            holder: AtomicU64::new(0),
        }
    }

    /// Waits for calls on other threads. `what` names the value in messages.
    ///
    /// # Errors
    /// `SAM_MM_ERR_INTERNAL` when this thread holds it already, or when an earlier call panicked in the middle of
    /// changing it.
    pub fn lock(&self, what: &str) -> Result<Held<'_, T>> {
        let me = thread_token();
        // Only this thread ever stores its own token, so the comparison cannot be true by a race.
        if self.holder.load(Ordering::Relaxed) == me {
            return Err(BackendError::internal(format!(
                "the {what} was used from within a callback of a call that is using the same {what}"
            )));
        }
        let guard = self.value.lock().map_err(|_| {
            BackendError::internal(format!(
                "an earlier call on this {what} failed half way; free it"
            ))
        })?;
        self.holder.store(me, Ordering::Relaxed);
        Ok(Held {
            guard,
            holder: &self.holder,
        })
    }
}

/// The value, until dropped.
pub struct Held<'a, T> {
    guard: MutexGuard<'a, T>,
    holder: &'a AtomicU64,
}

impl<T> Deref for Held<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for Held<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

impl<T> Drop for Held<'_, T> {
    fn drop(&mut self) {
        self.holder.store(0, Ordering::Relaxed);
    }
}

/// A number of the running thread that no other thread of the process ever has.
fn thread_token() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local! {
        static TOKEN: u64 = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    // During thread exit the local may be gone; a fresh number then only means that re-entry is not noticed.
    TOKEN
        .try_with(|token| *token)
        .unwrap_or_else(|_| NEXT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_by_the_same_thread_is_refused() {
        let value = Exclusive::new(1);
        let held = value.lock("model").unwrap();
        let error = value.lock("model").map(drop).unwrap_err();
        assert!(error.message.contains("from within a callback"), "{error}");
        drop(held);
        assert_eq!(*value.lock("model").unwrap(), 1);
    }

    #[test]
    fn another_thread_waits_its_turn() {
        let value = Exclusive::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..100).for_each(|_| *value.lock("model").unwrap() += 1));
            }
        });
        assert_eq!(*value.lock("model").unwrap(), 400);
    }

    #[test]
    fn a_value_left_half_changed_by_a_panic_is_refused() {
        let value = Exclusive::new(0);
        let _ = crate::guard::catch(|| {
            let _held = value.lock("model").unwrap();
            panic!("half way");
        });
        assert!(
            value
                .lock("model")
                .map(drop)
                .unwrap_err()
                .message
                .contains("earlier call")
        );
    }
}
