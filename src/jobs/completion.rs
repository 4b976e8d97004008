//! The callback that is told that a job has ended: once, and also when the job ended before there was a callback.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::callback::{is_inside, refuse_inside, run_inside};
use crate::error::Error;

/// Is told once.
pub type Callback = Box<dyn FnOnce() + Send>;

/// A place for a callback and the news that it waits for, which come in any order.
#[derive(Default)]
pub struct Completion {
    state: Mutex<State>,
    left: Condvar,
}

#[derive(Default)]
struct State {
    callback: Option<Callback>,
    ended: bool,
    running: u32,
}

impl Completion {
    /// Puts the callback in place before there can be any news.
    pub fn begin_with(&self, callback: Option<Callback>) {
        self.lock().callback = callback;
    }

    /// Replaces the callback; `None` removes it. Returns when the former one is not running any more, and tells whether
    /// the new one is due already: then somebody has to [`tell`](Self::tell).
    ///
    /// # Errors
    /// From inside a callback, which it might have to wait for.
    pub fn set(&self, callback: Option<Callback>) -> Result<bool, Error> {
        refuse_inside("changing the callback of a job")?;
        let mut state = self.lock();
        while state.running > 0 {
            state = self
                .left
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let former = std::mem::replace(&mut state.callback, callback);
        let due = state.ended && state.callback.is_some();
        drop(state);
        drop(former);
        Ok(due)
    }

    /// Removes the callback. Returns when it is not running any more, but from inside a callback at once.
    pub fn remove(&self) {
        let mut state = self.lock();
        let former = state.callback.take();
        while state.running > 0 && !is_inside() {
            state = self
                .left
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        drop(former);
    }

    /// It has ended: calls the callback, if there is one that was not called yet. Not from inside a callback.
    pub fn tell(&self) {
        let mut state = self.lock();
        state.ended = true;
        let Some(callback) = state.callback.take() else {
            return;
        };
        state.running += 1;
        drop(state);
        run_inside(callback);
        self.lock().running -= 1;
        self.left.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Arc, mpsc};
    use std::thread;

    fn counting(calls: &Arc<AtomicU32>) -> Option<Callback> {
        let calls = Arc::clone(calls);
        Some(Box::new(move || {
            calls.fetch_add(1, Ordering::SeqCst);
        }))
    }

    #[test]
    fn it_is_called_once_whichever_comes_first() {
        let calls = Arc::new(AtomicU32::new(0));
        let early = Completion::default();
        early.begin_with(counting(&calls));
        early.tell();
        early.tell();
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        let late = Completion::default();
        assert!(!late.set(None).unwrap());
        late.tell();
        assert!(late.set(counting(&calls)).unwrap(), "it is due");
        late.tell();
        late.tell();
        assert_eq!(calls.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn a_removed_one_is_not_called_and_does_not_run_any_more() {
        let (entered, wait_for_entry) = mpsc::channel();
        let (leave, wait_to_leave) = mpsc::channel::<()>();
        let left = Arc::new(AtomicU32::new(0));
        let leaves = Arc::clone(&left);
        let completion = Completion::default();
        completion.begin_with(Some(Box::new(move || {
            entered.send(()).unwrap();
            wait_to_leave.recv().unwrap();
            leaves.fetch_add(1, Ordering::SeqCst);
        })));
        thread::scope(|scope| {
            scope.spawn(|| completion.tell());
            wait_for_entry.recv().unwrap();
            let remover = scope.spawn(|| {
                completion.remove();
                left.load(Ordering::SeqCst)
            });
            thread::yield_now();
            leave.send(()).unwrap();
            assert_eq!(remover.join().unwrap(), 1, "it was waited for");
        });
        let never = Completion::default();
        never.begin_with(Some(Box::new(|| unreachable!("it was removed"))));
        never.remove();
        never.tell();
    }

    #[test]
    fn from_inside_a_callback_it_can_be_removed_but_not_replaced() {
        let own = Arc::new(Completion::default());
        let inside = Arc::clone(&own);
        let (send, refused) = mpsc::channel();
        own.set(Some(Box::new(move || {
            send.send(inside.set(None).is_err()).unwrap();
            // Would wait for itself.
            inside.remove();
        })))
        .unwrap();
        own.tell();
        assert!(refused.recv().unwrap());
    }
}
