//! What a plugin can ask of the host while it works for it.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use sam_mm_backend_abi::abi::sam_mm_operation;
use sam_mm_backend_abi::types::LogLevel;

use super::host;

/// What the host does for one operation, such as one `encode`. A panic in any of these is caught and counts as the
/// cautious answer.
pub trait OperationHooks: Send + Sync {
    /// Whether the operation should stop as soon as it can. From any thread, often; quick.
    fn is_cancelled(&self) -> bool {
        false
    }

    /// The operation is about to need `bytes` of device memory; room may be made before this returns. `false` refuses,
    /// and the operation fails as out of memory. On the thread of the operation: its model is in use, embeddings may
    /// be exported and dropped, and the device trimmed.
    fn before_allocate(&self, bytes: u64) -> bool {
        let _ = bytes;
        true
    }

    /// An allocation of `bytes` failed for the `attempt`-th time (from 1). `true` when something was released and
    /// trying once more makes sense. On the thread of the operation, as [`before_allocate`](Self::before_allocate).
    fn allocation_failed(&self, bytes: u64, attempt: u32) -> bool {
        let _ = (bytes, attempt);
        false
    }

    /// A line for the log. From any thread.
    fn log(&self, level: LogLevel, message: &str) {
        let _ = (level, message);
    }
}

/// One operation. Ends when dropped: a plugin that asks later is told to stop.
pub struct Operation {
    token: usize,
}

impl Operation {
    /// An operation that asks `hooks`.
    pub fn new(hooks: Arc<dyn OperationHooks>) -> Self {
        Self {
            token: host::register(hooks),
        }
    }

    /// An operation that is never cancelled and never retried, and logs to everybody.
    pub fn detached() -> Self {
        Self { token: 0 }
    }

    pub(super) fn as_ptr(&self) -> *mut sam_mm_operation {
        host::pointer(self.token)
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if self.token != 0 {
            host::unregister(self.token);
        }
    }
}

/// Receives lines that plugins write outside of any operation. From any thread.
pub trait LogSink: Send + Sync {
    /// A line for the log.
    fn write(&self, level: LogLevel, message: &str);
}

static SINKS: Mutex<Vec<Weak<dyn LogSink>>> = Mutex::new(Vec::new());

/// Lets a sink receive, as long as it lives, the lines that plugins write outside of any operation.
pub fn subscribe_log(sink: &Arc<dyn LogSink>) {
    let mut sinks = SINKS.lock().unwrap_or_else(PoisonError::into_inner);
    sinks.retain(|known| known.strong_count() > 0);
    sinks.push(Arc::downgrade(sink));
}

/// Writes a line to every sink.
pub(super) fn log_to_all(level: LogLevel, message: &str) {
    let sinks = SINKS.lock().unwrap_or_else(PoisonError::into_inner);
    let live: Vec<_> = sinks.iter().filter_map(Weak::upgrade).collect();
    drop(sinks);
    live.iter().for_each(|sink| sink.write(level, message));
}
