//! The threads of a context that do its jobs: few, started when there is something to do, ended with the context.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};

use crate::callback::is_inside;
use crate::error::Error;

use super::job::Job;
use super::leaving::{self, Leaving};

/// Most threads at once. Models do one thing at a time; beyond a few, threads would only wait for them.
const MOST_THREADS: usize = 4;

/// Jobs in line, and the threads that do them.
#[derive(Default)]
pub struct Pool {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    line: VecDeque<Arc<Job>>,
    /// Jobs that may not have ended, to be cancelled with the context.
    known: Vec<Weak<Job>>,
    threads: Vec<JoinHandle<()>>,
    idle: usize,
    busy: usize,
    closed: bool,
}

impl Pool {
    /// A pool without threads.
    pub fn new() -> Arc<Self> {
        let pool = Arc::new(Self::default());
        let itself: Weak<Self> = Arc::downgrade(&pool);
        leaving::register(itself);
        pool
    }

    /// Puts a job at the end of the line.
    ///
    /// # Errors
    /// The pool is closed, or no thread can be started for it.
    pub fn submit(self: &Arc<Self>, job: &Arc<Job>) -> Result<(), Error> {
        let mut state = self.lock();
        if state.closed {
            let reason = "cannot be submitted: the context was destroyed";
            return Err(Error::invalid_argument("job", reason));
        }
        self.have_a_thread(&mut state)?;
        state.known.retain(|known| known.strong_count() > 0);
        state.known.push(Arc::downgrade(job));
        state.line.push_back(Arc::clone(job));
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Has the callback of a job that has ended called before anything else is begun. `false` when nobody is left to do it.
    pub(super) fn tell_soon(self: &Arc<Self>, job: &Arc<Job>) -> bool {
        let mut state = self.lock();
        if (state.closed && state.threads.is_empty()) || self.have_a_thread(&mut state).is_err() {
            return false;
        }
        state.line.push_front(Arc::clone(job));
        drop(state);
        self.changed.notify_one();
        true
    }

    fn have_a_thread(self: &Arc<Self>, state: &mut State) -> Result<(), Error> {
        if state.idle > state.line.len() || state.threads.len() >= MOST_THREADS || state.closed {
            return Ok(());
        }
        let pool = Arc::clone(self);
        let started = thread::Builder::new()
            .name("sam-mm-job".to_owned())
            .spawn(move || pool.work());
        match started {
            Ok(thread) => state.threads.push(thread),
            // One of the others will do it.
            Err(_) if !state.threads.is_empty() => {}
            Err(error) => {
                let reason = format!("the system starts no thread for a job: {error}");
                return Err(Error::Unsupported(reason));
            }
        }
        Ok(())
    }

    /// What a thread does until the pool is closed and nothing is left.
    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.line.pop_front() {
                state.busy += 1;
                drop(state);
                job.run();
                job.tell();
                // What it kept alive goes without the lock.
                drop(job);
                state = self.lock();
                state.busy -= 1;
                self.changed.notify_all();
                continue;
            }
            if state.closed {
                return;
            }
            state.idle += 1;
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    /// Cancels all jobs and ends the threads. When this returns they have ended and every callback was called; but from
    /// inside a callback, or on one of them, nothing is waited for.
    pub fn close(&self) {
        self.stop();
        if is_inside() {
            return;
        }
        let threads = std::mem::take(&mut self.lock().threads);
        for thread in threads {
            if thread.thread().id() != thread::current().id() {
                // Panics of jobs are caught where they happen.
                let _ = thread.join();
            }
        }
    }

    fn cancel_all(&self) {
        let known = std::mem::take(&mut self.lock().known);
        for job in known.iter().filter_map(Weak::upgrade) {
            job.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leaving for Pool {
    fn stop(&self) {
        self.lock().closed = true;
        self.cancel_all();
        self.changed.notify_all();
    }

    fn is_busy(&self) -> bool {
        let state = self.lock();
        state.busy > 0 || !state.line.is_empty()
    }
}
