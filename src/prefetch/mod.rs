//! Encoding the images that are coming, while nobody waits for anything.
//!
//! Nothing is made that nobody asked for: images are in the [`queue`] because they were added. One thread encodes them, one
//! after the other, and costs nobody anything: it gives way to clicks between two blocks of the model
//! ([`turnstile`](crate::jobs::turnstile)), rests while memory is full ([`gate`]), takes at most half of the embedding cache
//! for what has not been used yet, so that the images at hand stay, and makes nobody give memory back
//! ([`Orders::modest`]). What does not fit is dropped; whoever clicks on that image has it encoded with everything that
//! recovery can do.

pub mod gate;
pub mod queue;

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::cache::embedding::Key;
use crate::cache::weighted_lru::Limits;
use crate::callback::is_inside;
use crate::context::Context;
use crate::error::Error;
use crate::jobs::cancel::CancelToken;
use crate::jobs::leaving::{self, Leaving};
use crate::jobs::orders::Orders;
use crate::jobs::progress::{Stage, Whose};
use crate::jobs::turnstile::Urgency;
use crate::logging::Level;
use crate::memory::status::Tier;
use crate::model::Model;
use crate::panics;
use crate::placement::PlacedEmbedding;
use crate::predictor::{self, Prefetched};
use crate::registered_image::RegisteredImage;

use gate::{Closed, Fullness, Gate};
use queue::{Item, Queue};

/// Why it rests, though images are waiting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rest {
    /// Memory is too full, or nobody knows.
    Memory(Closed),
    /// Its part of the embedding cache is full of what has not been used yet.
    Cache {
        /// Embeddings that were not used yet.
        unused: usize,
        /// Their bytes.
        bytes: u64,
    },
}

impl fmt::Display for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(closed) => closed.fmt(f),
            Self::Cache { unused, bytes } => write!(
                f,
                "{unused} prefetched images of {bytes} bytes have not been used yet, which is the part of the embedding cache \
                 that prefetching may take"
            ),
        }
    }
}

/// What prefetching is at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overview {
    /// Images that wait.
    pub queued: u64,
    /// Bytes of their pixels, held for as long as they wait.
    pub queued_bytes: u64,
    /// 1 while an image is encoded, else 0.
    pub running: u64,
    /// Images whose embedding is kept now, or was already.
    pub done: u64,
    /// Images that were dropped: memory was too short for them, or they failed.
    pub skipped: u64,
    /// Images that were taken out of the queue, or whose model was freed.
    pub cancelled: u64,
    /// Why it rests, though images are waiting.
    pub rest: Option<Rest>,
}

/// The prefetching of a context.
pub struct Prefetcher {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: Queue,
    next: u64,
    running: Option<Running>,
    overview: Overview,
    /// Made, and not used yet. What has left the cache meanwhile is dead here.
    unused: Vec<Unused>,
    /// Since the queue was empty last: what is progress.
    added: u64,
    ended: u64,
    closed: bool,
}

struct Running {
    item: Item,
    cancel: CancelToken,
}

struct Unused {
    key: Key,
    embedding: Weak<PlacedEmbedding>,
    bytes: u64,
}

impl Default for Prefetcher {
    fn default() -> Self {
        let shared = Arc::new(Shared::default());
        let itself: Weak<Shared> = Arc::downgrade(&shared);
        leaving::register(itself);
        Self {
            shared,
            thread: Mutex::new(None),
        }
    }
}

impl Prefetcher {
    /// Adds an image to the queue, or changes its priority there: the larger the sooner. Nothing happens for one that is
    /// being encoded at this moment. Never waits; the image may be dropped afterwards.
    ///
    /// # Errors
    /// The context was destroyed, or no thread can be started.
    pub fn add(
        &self,
        model: &Arc<Model>,
        image: &RegisteredImage,
        priority: i32,
    ) -> Result<(), Error> {
        predictor::check_same_context(model, image)?;
        let mut state = self.shared.lock();
        if state.closed {
            let reason = "cannot be prefetched: the context was destroyed";
            return Err(Error::invalid_argument("image", reason));
        }
        self.have_a_thread(model.context())?;
        let (image_id, pixels) = (image.id(), image.shared_pixels());
        let runs = state.running.as_ref().is_some_and(|running| {
            let at = &running.item;
            !running.cancel.is_cancelled() && at.is_about_the_same(model.id(), image_id, pixels)
        });
        if runs {
            return Ok(());
        }
        if state.queue.is_empty() && state.running.is_none() {
            (state.added, state.ended) = (0, 0);
        }
        let number = state.next;
        state.next += 1;
        let new = state.queue.add(Item {
            model: Arc::downgrade(model),
            model_id: model.id(),
            image_id,
            pixels: Arc::clone(pixels),
            priority,
            number,
        });
        state.added += u64::from(new);
        drop(state);
        self.shared.changed.notify_all();
        Ok(())
    }

    /// Takes an image out of the queue, and stops encoding it. Never waits.
    pub fn remove(&self, model: &Model, image: &RegisteredImage) {
        let (id, pixels) = (image.id(), image.shared_pixels());
        self.remove_where(|item| item.is_about_the_same(model.id(), id, pixels));
    }

    /// Takes everything out of the queue, and stops encoding. Never waits.
    pub fn clear(&self) {
        self.remove_where(|_| true);
    }

    /// The same for the images of a model.
    pub fn forget_model(&self, model: u64) {
        self.remove_where(|item| item.model_id == model);
    }

    fn remove_where(&self, unwanted: impl Fn(&Item) -> bool) {
        let mut state = self.shared.lock();
        let gone = state.queue.remove_where(&unwanted);
        state.overview.cancelled += gone.len() as u64;
        state.ended += gone.len() as u64;
        let running = state
            .running
            .as_ref()
            .filter(|running| unwanted(&running.item));
        let cancel = running.map(|running| running.cancel.clone());
        drop(state);
        self.shared.changed.notify_all();
        // Outside of the lock: what waits for a turn is told, and pixels are freed.
        drop(gone);
        if let Some(cancel) = cancel {
            cancel.cancel();
        }
    }

    /// What it is at.
    pub fn overview(&self) -> Overview {
        let state = self.shared.lock();
        Overview {
            queued: state.queue.len() as u64,
            queued_bytes: state.queue.bytes(),
            running: state.running.is_some().into(),
            rest: state.overview.rest.filter(|_| !state.queue.is_empty()),
            ..state.overview.clone()
        }
    }

    /// An embedding was made that nobody has used yet.
    pub(crate) fn made(&self, key: Key, embedding: &Arc<PlacedEmbedding>) {
        self.shared.lock().unused.push(Unused {
            key,
            embedding: Arc::downgrade(embedding),
            bytes: embedding.embedding.bytes(),
        });
    }

    /// An embedding was used: it does not count as prefetched any more.
    pub(crate) fn used(&self, key: Key) {
        let mut state = self.shared.lock();
        let before = state.unused.len();
        state.unused.retain(|unused| unused.key != key);
        if state.unused.len() < before {
            drop(state);
            self.shared.changed.notify_all();
        }
    }

    fn have_a_thread(&self, context: &Arc<Context>) -> Result<(), Error> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_some() {
            return Ok(());
        }
        let (shared, context) = (Arc::clone(&self.shared), Arc::downgrade(context));
        let started = thread::Builder::new()
            .name("sam-mm-prefetch".to_owned())
            .spawn(move || shared.work(&context));
        *thread = Some(started.map_err(|error| {
            Error::Unsupported(format!(
                "the system starts no thread to prefetch on: {error}"
            ))
        })?);
        Ok(())
    }

    /// Empties the queue, stops encoding and ends the thread, for good. Waits for that, but not from inside a callback or on
    /// the thread itself.
    pub fn close(&self) {
        self.shared.lock().closed = true;
        self.clear();
        if is_inside() {
            return;
        }
        let thread = {
            let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
            thread.take()
        };
        if let Some(thread) = thread
            && thread.thread().id() != thread::current().id()
        {
            // A panic is caught where it happens.
            let _ = thread.join();
        }
    }
}

impl Drop for Prefetcher {
    fn drop(&mut self) {
        self.close();
    }
}

/// What the thread does next.
enum Next {
    Encode(Item, CancelToken),
    /// Looks again after a while, or when something has changed.
    Rest,
    End,
}

impl Shared {
    fn work(&self, context: &Weak<Context>) {
        let mut gate: Option<Gate> = None;
        loop {
            if !self.wait_for_an_item() {
                return;
            }
            let Some(context) = context.upgrade() else {
                return;
            };
            let memory = context.memory();
            let period = memory.config().monitor.period;
            let gate = gate.get_or_insert_with(|| Gate::new(memory.config()));
            let open = gate.look(Fullness::of(&memory.info()));
            match self.next(&context, open) {
                Next::Encode(item, cancel) => self.encode(&context, item, cancel),
                Next::Rest => {
                    drop(context);
                    self.rest(period);
                }
                Next::End => return,
            }
        }
    }

    /// `false` when there will be none.
    fn wait_for_an_item(&self) -> bool {
        let mut state = self.lock();
        while !state.closed && state.queue.is_empty() {
            state.overview.rest = None;
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        !state.closed
    }

    fn rest(&self, period: Duration) {
        let state = self.lock();
        if !state.closed {
            // Whatever ends it, everything is looked at anew.
            drop(self.changed.wait_timeout(state, period));
        }
    }

    fn next(&self, context: &Context, open: Result<(), Closed>) -> Next {
        let mut state = self.lock();
        if state.closed {
            return Next::End;
        }
        state.overview.rest = open.err().map(Rest::Memory);
        if state.overview.rest.is_some() {
            return Next::Rest;
        }
        state.overview.rest = state.full(share_of(context));
        if state.overview.rest.is_some() {
            return Next::Rest;
        }
        let Some(item) = state.queue.pop() else {
            return Next::Rest;
        };
        let cancel = CancelToken::new();
        state.running = Some(Running {
            item: item.clone(),
            cancel: cancel.clone(),
        });
        Next::Encode(item, cancel)
    }

    fn encode(&self, context: &Arc<Context>, item: Item, cancel: CancelToken) {
        let orders = Orders {
            urgency: Urgency::Background,
            modest: true,
            cancel: cancel.clone(),
            progress: None,
        };
        let image = RegisteredImage::again(context, item.image_id, Arc::clone(&item.pixels));
        let outcome = panics::caught(|| {
            let Some(model) = item.model.upgrade() else {
                return Err(Error::Cancelled);
            };
            if context.is_poisoned() {
                return Err(Error::Poisoned);
            }
            check_cache(&model)?;
            predictor::prefetch(&model, &image, &orders)
        });
        let outcome = outcome.unwrap_or_else(|panic| {
            context.poison();
            Err(Error::Internal(panic))
        });
        let mut state = self.lock();
        state.running = None;
        let ended = match &outcome {
            Ok(Prefetched::GaveWay) if !cancel.is_cancelled() && !state.closed => {
                state.queue.add(item.clone());
                false
            }
            Ok(Prefetched::GaveWay) => {
                state.overview.cancelled += 1;
                true
            }
            Ok(Prefetched::IsThere) => {
                state.overview.done += 1;
                true
            }
            Err(error) if error.is_cancelled() => {
                state.overview.cancelled += 1;
                true
            }
            Err(_) => {
                state.overview.skipped += 1;
                true
            }
        };
        state.ended += u64::from(ended);
        let (all, done) = (state.added.max(1), state.ended);
        let empty = state.queue.is_empty();
        drop(state);
        drop(item);
        if let Err(error) = &outcome
            && !error.is_cancelled()
        {
            let line = format!("image {} is not prefetched: {error}", image.id());
            context.log().write(Level::Info, &line);
        }
        if ended {
            let stage = if empty { Stage::Ended } else { Stage::Encoding };
            let fraction = (done as f64 / all as f64).min(1.0);
            let events = context.jobs().events();
            if events.emit(Whose::Prefetch, stage, fraction, 0) {
                context.prefetch().clear();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The part of the embedding cache for what has not been used yet. The other half is that of the images used last: what is
/// prefetched never pushes out the one at hand.
fn share_of(context: &Context) -> Limits {
    let tier = if context.memory().has_device() {
        Tier::Device
    } else {
        Tier::Host
    };
    let limits = context.embeddings().limits(tier);
    Limits {
        entries: limits.entries / 2,
        bytes: limits.bytes / 2,
    }
}

/// An embedding that would not fit beside the one in use is not made.
fn check_cache(model: &Model) -> Result<(), Error> {
    let (bytes, share) = (model.info().embedding_bytes, share_of(model.context()));
    if bytes <= share.bytes && share.entries > 0 {
        return Ok(());
    }
    Err(Error::Unsupported(format!(
        "an embedding of {bytes} bytes has no room in the {} bytes of the embedding cache that prefetching may take; make the \
         cache larger",
        share.bytes
    )))
}

impl State {
    /// Whether there is no room for one more that nobody has used.
    fn full(&mut self, limits: Limits) -> Option<Rest> {
        self.unused
            .retain(|unused| unused.embedding.strong_count() > 0);
        let (unused, bytes) = (
            self.unused.len(),
            self.unused.iter().map(|unused| unused.bytes).sum::<u64>(),
        );
        // The next one is taken to be as large as the largest so far; the first is looked at when it is its turn.
        let next = self.unused.iter().map(|unused| unused.bytes).max()?;
        let full = unused >= limits.entries || bytes + next > limits.bytes;
        full.then_some(Rest::Cache { unused, bytes })
    }
}

impl Leaving for Shared {
    fn stop(&self) {
        let mut state = self.lock();
        state.closed = true;
        let cancel = state.running.as_ref().map(|running| running.cancel.clone());
        drop(state);
        self.changed.notify_all();
        if let Some(cancel) = cancel {
            cancel.cancel();
        }
    }

    fn is_busy(&self) -> bool {
        self.lock().running.is_some()
    }
}
