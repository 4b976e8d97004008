//! The end of the process: whoever works in the background leaves the backend, whose own globals go next.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::memory::plan::Way;

/// Works in the background.
pub trait Leaving: Send + Sync {
    /// Tells it to stop for good; does not wait.
    fn stop(&self);

    /// Whether something is still going on.
    fn is_busy(&self) -> bool;
}

static KNOWN: Mutex<Vec<Weak<dyn Leaving>>> = Mutex::new(Vec::new());

/// Makes somebody known, for as long as they live.
pub fn register(worker: Weak<dyn Leaving>) {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.retain(|known| known.strong_count() > 0);
    known.push(worker);
}

/// Puts [`let_go_of_everything`] before all that is to happen at the end of the process as known so far.
static RENEW: OnceLock<fn()> = OnceLock::new();

/// What the backend has done so far, each the first time.
static DONE: Mutex<Vec<(&'static str, Way)>> = Mutex::new(Vec::new());

/// Has `renew` called whenever a backend may have made globals of its own, which it does when it does something for the
/// first time: at the end of the process the youngest go first.
pub fn renew_by(renew: fn()) {
    let _ = RENEW.set(renew);
}

/// The backend has run an operation in a way.
pub fn has_run(operation: &'static str, way: &Way) {
    let mut way = *way;
    way.plan.num_objects = 0;
    let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
    if done.contains(&(operation, way)) {
        return;
    }
    done.push((operation, way));
    drop(done);
    if let Some(renew) = RENEW.get() {
        renew();
    }
}

/// Tells everybody in the process to stop, and gives them so long to do so.
pub fn let_go_of_everything(patience: Duration) {
    let known: Vec<Arc<dyn Leaving>> = {
        let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().filter_map(Weak::upgrade).collect()
    };
    known.iter().for_each(|worker| worker.stop());
    let end = Instant::now() + patience;
    while known.iter().any(|worker| worker.is_busy()) && Instant::now() < end {
        thread::sleep(Duration::from_millis(1));
    }
}
