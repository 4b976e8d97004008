//! Work that somebody else does meanwhile, and what makes it bearable: it can be stopped ([`cancel`]), tells how far it is
//! ([`progress`]), and stands in line with everybody else ([`turnstile`]). A call and its [`orders`] go through the same
//! pipeline whoever makes it; a [`job`] is one that a thread of the context makes.

pub mod cancel;
pub mod completion;
pub mod job;
pub mod leaving;
pub mod orders;
pub mod pool;
pub mod progress;
pub mod turnstile;

use std::sync::Arc;

use crate::context::Context;
use crate::error::Error;

use job::{Body, Job, Kind};
use orders::Orders;
use pool::Pool;
use progress::{ProgressEvents, Whose};

/// The jobs of a context.
pub struct Jobs {
    pool: Arc<Pool>,
    events: Arc<ProgressEvents>,
}

impl Default for Jobs {
    fn default() -> Self {
        Self {
            pool: Pool::new(),
            events: Arc::default(),
        }
    }
}

impl Jobs {
    /// A job that does not begin before it is [started](Self::start): meanwhile it can be given its callback.
    pub fn prepare(&self, context: &Arc<Context>, kind: Kind, body: Body) -> Arc<Job> {
        let id = context.fresh_id();
        let orders = Orders::told(Whose::Job(id), &self.events);
        let progress = orders.progress.clone().expect("told orders have progress");
        let parts = (orders, progress);
        Arc::new(Job::new(context, &self.pool, (id, kind), parts, body))
    }

    /// Puts a job at the end of the line.
    ///
    /// # Errors
    /// The context was destroyed, or no thread can be started.
    pub fn start(&self, job: &Arc<Job>) -> Result<(), Error> {
        self.pool.submit(job)
    }

    /// [`prepare`](Self::prepare) and [`start`](Self::start).
    ///
    /// # Errors
    /// As for these.
    pub fn submit(
        &self,
        context: &Arc<Context>,
        kind: Kind,
        body: Body,
    ) -> Result<Arc<Job>, Error> {
        let job = self.prepare(context, kind, body);
        self.start(&job)?;
        Ok(job)
    }

    /// The progress of all work of the context.
    pub fn events(&self) -> &Arc<ProgressEvents> {
        &self.events
    }

    /// Cancels all jobs and ends the threads; see [`Pool::close`].
    pub fn close(&self) {
        self.pool.close();
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.close();
    }
}
