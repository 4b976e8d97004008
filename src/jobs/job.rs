//! A call that somebody else makes: its state, and its result when it is there.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use sam_mm_backend_abi::abi;

use crate::callback::refuse_inside;
use crate::context::Context;
use crate::error::Error;
use crate::everything::Everything;
use crate::image::display::DisplayImage;
use crate::model::Model;
use crate::panics;
use crate::prediction::Prediction;

use super::cancel::CancelToken;
use super::completion::{Callback, Completion};
use super::orders::Orders;
use super::pool::Pool;
use super::progress::{Progress, Stage};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A model.
    ModelLoad,
    /// The embedding of an image, which is kept.
    Encode,
    /// Masks.
    Predict,
    /// An image for display.
    Process,
    /// Everything in an image.
    Everything,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ModelLoad => "model load",
            Self::Encode => "encode",
            Self::Predict => "predict",
            Self::Process => "process",
            Self::Everything => "everything",
        })
    }
}

/// What comes of it.
pub enum Output {
    /// Of an encode.
    Nothing,
    /// Of a model load.
    Model(Arc<Model>),
    /// Of a predict.
    Prediction(Box<Prediction>),
    /// Of a process.
    Display(Arc<DisplayImage>),
    /// Of an everything.
    Everything(Box<Everything>),
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It has not begun.
    Queued,
    /// A thread is at it.
    Running,
    /// Its result is there, or was taken.
    Succeeded,
    /// It has an error instead.
    Failed,
    /// It was cancelled before it had a result.
    Cancelled,
}

impl JobState {
    /// Whether nothing will change any more.
    pub fn has_ended(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

const WAIT: &str = "wait for it first, or ask again later";

/// What a job does, with everything it needs.
pub type Body = Box<dyn FnOnce(&Orders) -> Result<Output, Error> + Send>;

/// A call that a thread of the context makes.
pub struct Job {
    id: u64,
    kind: Kind,
    orders: Orders,
    progress: Progress,
    context: Weak<Context>,
    pool: Weak<Pool>,
    phase: Mutex<Phase>,
    changed: Condvar,
    completion: Completion,
}

enum Phase {
    Queued(Body),
    Running,
    Done(Output),
    Taken,
    Failed(Arc<Error>),
}

impl Phase {
    fn state(&self) -> JobState {
        match self {
            Self::Queued(_) => JobState::Queued,
            Self::Running => JobState::Running,
            Self::Done(_) | Self::Taken => JobState::Succeeded,
            Self::Failed(error) if error.is_cancelled() => JobState::Cancelled,
            Self::Failed(_) => JobState::Failed,
        }
    }
}

impl Job {
    /// A job that has not begun.
    pub(super) fn new(
        context: &Arc<Context>,
        pool: &Arc<Pool>,
        (id, kind): (u64, Kind),
        (orders, progress): (Orders, Progress),
        body: Body,
    ) -> Self {
        Self {
            id,
            kind,
            orders,
            progress,
            context: Arc::downgrade(context),
            pool: Arc::downgrade(pool),
            phase: Mutex::new(Phase::Queued(body)),
            changed: Condvar::new(),
            completion: Completion::default(),
        }
    }

    /// Its number within the context, never used twice.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What was asked for.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where it is, and its status code: 0 while it has not ended, and when it succeeded.
    pub fn state(&self) -> (JobState, i32) {
        let phase = self.lock();
        let status = match &*phase {
            Phase::Failed(error) => error.code(),
            _ => abi::SAM_MM_OK,
        };
        (phase.state(), status)
    }

    /// What is being done, and the done part of all.
    pub fn progress(&self) -> (Stage, f64) {
        self.progress.now()
    }

    /// Its result is not wanted any more. One that has not begun ends at once, one that runs as soon as it can; it goes on
    /// for others who wait for the same embedding. Never waits; one that has ended stays as it is.
    pub fn cancel(self: &Arc<Self>) {
        self.orders.cancel.cancel();
        let mut phase = self.lock();
        if !matches!(*phase, Phase::Queued(_)) {
            return;
        }
        let body = std::mem::replace(&mut *phase, Phase::Failed(Arc::new(Error::Cancelled)));
        drop(phase);
        self.changed.notify_all();
        drop(body);
        self.progress.end(abi::SAM_MM_ERR_CANCELLED);
        // Its callback is called where all are: by a thread of the pool.
        if let Some(pool) = self.pool.upgrade() {
            pool.tell_soon(self);
        }
    }

    /// Waits until it has ended, or the time is over, and tells where it is then. `None` waits for ever.
    ///
    /// # Errors
    /// From inside a callback.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<JobState, Error> {
        refuse_inside("waiting for the end of a job")?;
        // A time beyond what the clock counts is for ever.
        let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut phase = self.lock();
        loop {
            let state = phase.state();
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if state.has_ended() || left.is_some_and(|left| left.is_zero()) {
                return Ok(state);
            }
            phase = match left {
                None => self.changed.wait(phase),
                Some(left) => Ok(match self.changed.wait_timeout(phase, left) {
                    Ok((phase, _)) => phase,
                    Err(poisoned) => poisoned.into_inner().0,
                }),
            }
            .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What came of it.
    ///
    /// # Errors
    /// The job's own error when it has one; a job that has not ended is refused.
    pub fn check(&self) -> Result<(), Error> {
        match &*self.lock() {
            Phase::Failed(error) => Err(Error::Job(Arc::clone(error))),
            Phase::Done(_) | Phase::Taken => Ok(()),
            Phase::Queued(_) | Phase::Running => {
                let reason = format!("{} has not ended: {}", self.id, WAIT);
                Err(Error::invalid_argument("job", reason))
            }
        }
    }

    /// Takes the result of a job of this kind.
    ///
    /// # Errors
    /// The job's own error when it has one, as often as asked; a job that has not ended, is of another kind, or whose
    /// result was taken before is refused.
    pub fn take(&self, kind: Kind) -> Result<Output, Error> {
        if kind != self.kind {
            let article = match self.kind {
                Kind::Encode | Kind::Everything => "an",
                _ => "a",
            };
            let instead = match self.kind {
                Kind::ModelLoad => "its result is a model (sam_mm_job_take_model)",
                Kind::Encode => "it has no result to take: the embedding is kept",
                Kind::Predict => "its result is a sam_mm_result (sam_mm_job_take_result)",
                Kind::Process => "its result is a sam_mm_display (sam_mm_job_take_display)",
                Kind::Everything => "its result is a sam_mm_mask_set (sam_mm_job_take_mask_set)",
            };
            let reason = format!("{} is {article} {} job; {instead}", self.id, self.kind);
            return Err(Error::invalid_argument("job", reason));
        }
        let mut phase = self.lock();
        let reason = match &*phase {
            Phase::Failed(error) => return Err(Error::Job(Arc::clone(error))),
            Phase::Done(_) => match std::mem::replace(&mut *phase, Phase::Taken) {
                Phase::Done(output) => return Ok(output),
                _ => unreachable!("it was just looked at"),
            },
            Phase::Taken => format!(
                "{} has nothing to take: its result was taken before",
                self.id
            ),
            Phase::Queued(_) | Phase::Running => format!("{} has not ended: {WAIT}", self.id),
        };
        Err(Error::invalid_argument("job", reason))
    }

    /// Gives a job that was not started yet its callback.
    pub fn begin_with_callback(&self, callback: Option<Callback>) {
        self.completion.begin_with(callback);
    }

    /// Has `callback` called once when the job has ended; `None` removes the one there is. Returns when the former one is
    /// not running any more. For a job that has ended already it is called soon, as for any other, by a thread of the
    /// context.
    ///
    /// # Errors
    /// From inside a callback.
    pub fn set_callback(self: &Arc<Self>, callback: Option<Callback>) -> Result<(), Error> {
        if self.completion.set(callback)? {
            let posted = self.pool.upgrade().is_some_and(|pool| pool.tell_soon(self));
            if !posted {
                self.completion.tell();
            }
        }
        Ok(())
    }

    /// Nobody is interested any more: cancels it, and removes its callback, which is not running any more when this
    /// returns; from inside a callback it is not waited for.
    pub fn abandon(self: &Arc<Self>) {
        self.completion.remove();
        self.cancel();
    }

    /// Runs it, unless that was done or it was cancelled. On a thread of the pool.
    pub(super) fn run(&self) {
        let mut phase = self.lock();
        if !matches!(*phase, Phase::Queued(_)) {
            return;
        }
        let Phase::Queued(body) = std::mem::replace(&mut *phase, Phase::Running) else {
            unreachable!("it was just looked at");
        };
        drop(phase);
        let outcome = panics::caught(|| {
            self.orders.cancel.check()?;
            if self.context.upgrade().is_some_and(|it| it.is_poisoned()) {
                return Err(Error::Poisoned);
            }
            body(&self.orders)
        });
        let outcome = outcome.unwrap_or_else(|panic| {
            if let Some(context) = self.context.upgrade() {
                context.poison();
            }
            Err(Error::Internal(panic))
        });
        let status = outcome.as_ref().err().map_or(0, Error::code);
        // Before its state says so: who sees the end has seen all of its progress.
        self.progress.end(status);
        *self.lock() = match outcome {
            Ok(output) => Phase::Done(output),
            Err(error) => Phase::Failed(Arc::new(error)),
        };
        self.changed.notify_all();
    }

    /// Tells the callback that it has ended. On a thread of the pool.
    pub(super) fn tell(&self) {
        self.completion.tell();
    }

    /// The token that stops it.
    pub fn cancel_token(&self) -> &CancelToken {
        &self.orders.cancel
    }

    fn lock(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
