//! The end of the process: whoever works in the background leaves the backend, whose own globals go next.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

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
