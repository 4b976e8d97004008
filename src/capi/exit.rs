//! The end of the process: what still runs in the background leaves the backend before the backend's globals go.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::callback::silence_for_good;
use crate::jobs::leaving::{let_go_of_everything, renew_by};

/// How long a process that ends waits for them; a block of a large model on the CPU takes a part of that.
const PATIENCE: Duration = Duration::from_secs(2);

/// More calls than there are models and ways to run them are of no use.
const MOST: u32 = 64;

/// From now on, jobs and prefetching are told to stop when the process ends by `exit` or by returning from `main`, and get a
/// moment to do so, before whatever was registered until now. Destroying the contexts before that is better: it waits for as long as it takes.
pub fn let_go_at_exit() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    if CALLS.fetch_add(1, Ordering::Relaxed) >= MOST {
        CALLS.store(MOST, Ordering::Relaxed);
        return;
    }
    // SAFETY: a function of ours without arguments that unwinds nowhere. Where it cannot be registered, nothing is lost but
    // this courtesy.
    unsafe { libc::atexit(let_go) };
}

/// [`let_go_at_exit`], the first time only.
pub fn let_go_at_exit_once() {
    static FIRST: Once = Once::new();
    FIRST.call_once(|| {
        renew_by(let_go_at_exit);
        let_go_at_exit();
    });
}

extern "C" fn let_go() {
    // Of all registrations the last one is called first; for the others nothing is left to do.
    static LEFT: Once = Once::new();
    let leave = || {
        silence_for_good();
        let_go_of_everything(PATIENCE);
    };
    let _ = crate::panics::caught(|| LEFT.call_once(leave));
}
