//! What happens to memory, as it happens: a queue to be polled and a callback.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::callback::Slot;
use crate::error::Error;

use super::config::ConfigWarning;
use super::monitor::Action;
use super::recovery::{RecoveryOutcome, RecoveryRecord, RungOutcome, RungRecord};
use super::status::Crossing;
use super::units::Size;

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryEvent {
    /// Its number, from 0 in each context; a gap is what was dropped.
    pub number: u64,
    /// When, on the clock of the context.
    pub at: Duration,
    /// What.
    pub kind: EventKind,
}

/// What happened. Its text is for people; the numbers are here.
#[derive(Clone, Debug, PartialEq)]
pub enum EventKind {
    /// A variable of the environment was set aside.
    ConfigWarning(ConfigWarning),
    /// The device got fuller or emptier by a level.
    StatusChanged {
        /// From where to where.
        crossing: Crossing,
        /// Share in use, 0 to 1.
        utilization: f64,
    },
    /// Memory was given back.
    Optimized {
        /// Bytes from caches.
        caches: u64,
        /// Bytes from the allocator.
        allocator: u64,
        /// Whether without need, because somebody asked for it.
        forced: bool,
    },
    /// An operation is run in another way than the best one, because that does not fit.
    PlanDowngraded {
        /// The operation.
        operation: String,
        /// Bytes it needs the way it is run.
        needed: u64,
        /// Why, with the numbers.
        reason: String,
    },
    /// A rung of the ladder was climbed.
    RecoveryRung {
        /// The operation.
        operation: String,
        /// What it did and what came of it.
        rung: RungRecord,
    },
    /// A recovery has ended.
    Recovery(RecoveryRecord),
    /// The monitor acted.
    Monitor {
        /// On what it saw.
        action: Action,
        /// Bytes that were given back.
        freed: u64,
    },
    /// A source of figures fails, or tells less than it could.
    ProbeLost {
        /// The source.
        source: String,
        /// What it said.
        reason: String,
    },
    /// A source of figures tells them all again.
    ProbeBack {
        /// The source.
        source: String,
    },
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConfigWarning(warning) => warning.fmt(f),
            Self::StatusChanged {
                crossing,
                utilization,
            } => write!(
                f,
                "GPU memory is {:.1}% full: {}, was {}",
                utilization * 100.0,
                crossing.to,
                crossing.from
            ),
            Self::Optimized {
                caches,
                allocator,
                forced,
            } => {
                let forced = if *forced { " (forced)" } else { "" };
                write!(
                    f,
                    "memory optimization performed{forced}: {} from caches, {} from the allocator",
                    Size(*caches),
                    Size(*allocator)
                )
            }
            Self::PlanDowngraded {
                operation, reason, ..
            } => write!(f, "{operation}: {reason}"),
            Self::RecoveryRung { operation, rung } => {
                let outcome = match rung.outcome {
                    RungOutcome::NothingChanged => "nothing to gain",
                    RungOutcome::StillOutOfMemory => "still out of memory",
                    RungOutcome::Recovered => "recovered",
                    RungOutcome::OtherFailure => "failed for another reason",
                };
                write!(
                    f,
                    "{operation} ran out of memory: {}, {} freed, {outcome}",
                    rung.rung,
                    Size(rung.freed)
                )
            }
            Self::Recovery(record) => write_recovery(f, record),
            Self::Monitor { action, freed } => {
                match action {
                    Action::ClearImageCache { bytes } => {
                        write!(f, "processed images hold {}", Size(*bytes))?;
                    }
                    Action::OptimizeDevice { utilization } => {
                        write!(f, "GPU memory is {:.1}% full", utilization * 100.0)?;
                    }
                }
                write!(f, ": {} given back", Size(*freed))
            }
            Self::ProbeLost { source, reason } => {
                write!(f, "{source} does not tell all memory figures: {reason}")
            }
            Self::ProbeBack { source } => write!(f, "{source} tells all memory figures again"),
        }
    }
}

fn write_recovery(f: &mut fmt::Formatter<'_>, record: &RecoveryRecord) -> fmt::Result {
    let operation = &record.operation;
    match record.outcome {
        RecoveryOutcome::Recovered => {
            write!(f, "{operation} recovered from running out of memory")?;
            match record.recovered_by() {
                Some(rung) => write!(f, ": {rung}"),
                None => Ok(()),
            }
        }
        RecoveryOutcome::OutOfMemory => {
            write!(f, "{operation} ran out of memory and nothing helped")
        }
        RecoveryOutcome::OtherFailure => write!(
            f,
            "{operation} ran out of memory, and then failed for another reason"
        ),
    }
}

/// Receives events. Called from any thread, several at once.
pub type Callback = Box<dyn Fn(&MemoryEvent) + Send + Sync>;

/// Events kept for polling unless told otherwise.
pub const CAPACITY: usize = 256;

/// The events of a context. Each goes into the queue and to the callback; nobody has to look at either.
pub struct Events {
    queue: Mutex<Queue>,
    callback: Slot<Callback>,
}

struct Queue {
    capacity: usize,
    events: VecDeque<MemoryEvent>,
    emitted: u64,
    dropped: u64,
}

impl Default for Events {
    fn default() -> Self {
        Self::with_capacity(CAPACITY)
    }
}

impl Events {
    /// A queue that keeps at most `capacity` events.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            queue: Mutex::new(Queue {
                capacity,
                events: VecDeque::new(),
                emitted: 0,
                dropped: 0,
            }),
            callback: Slot::default(),
        }
    }

    /// Something happened. A full queue drops its oldest event. What happens inside a callback goes to the queue only.
    pub fn emit(&self, at: Duration, kind: EventKind) {
        let mut queue = self.lock();
        let event = MemoryEvent {
            number: queue.emitted,
            at,
            kind,
        };
        queue.push(event.clone());
        drop(queue);
        self.callback.with(|callback| callback(&event));
    }

    /// Takes the oldest event.
    pub fn poll(&self) -> Option<MemoryEvent> {
        self.lock().events.pop_front()
    }

    /// Events that left the queue before anybody polled them.
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Replaces the callback; `None` removes it. Returns when the last running call of the former one has ended, so what
    /// that one uses may be freed afterwards.
    ///
    /// # Errors
    /// From inside a callback.
    pub fn set_callback(&self, callback: Option<Callback>) -> Result<(), Error> {
        self.callback.set("memory callback", callback)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn push(&mut self, event: MemoryEvent) {
        self.emitted += 1;
        self.events.push_back(event);
        if self.events.len() > self.capacity {
            self.events.pop_front();
            self.dropped += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::recovery::Rung;
    use crate::memory::status::Level;
    use std::sync::{Arc, mpsc};
    use std::thread;

    fn back(source: &str) -> EventKind {
        EventKind::ProbeBack {
            source: source.to_owned(),
        }
    }

    fn emit(events: &Events, source: &str) {
        events.emit(Duration::ZERO, back(source));
    }

    fn polled(events: &Events) -> Vec<u64> {
        std::iter::from_fn(|| events.poll())
            .map(|event| event.number)
            .collect()
    }

    #[test]
    fn events_are_polled_in_order_and_a_full_queue_drops_the_oldest() {
        let events = Events::with_capacity(3);
        (0..5).for_each(|_| emit(&events, "nvml"));
        assert_eq!((events.dropped(), polled(&events)), (2, vec![2, 3, 4]));
        emit(&events, "nvml");
        assert_eq!((events.dropped(), polled(&events)), (2, vec![5]));
    }

    #[test]
    fn a_callback_gets_each_event_and_the_queue_keeps_them_all_the_same() {
        let events = Events::default();
        let (send, received) = mpsc::channel();
        let callback: Callback = Box::new(move |event| send.send(event.number).unwrap());
        events.set_callback(Some(callback)).unwrap();
        emit(&events, "nvml");
        emit(&events, "nvml");
        events.set_callback(None).unwrap();
        emit(&events, "nvml");
        assert_eq!(received.iter().collect::<Vec<_>>(), [0, 1]);
        assert_eq!(polled(&events), [0, 1, 2]);
    }

    #[test]
    fn a_callback_is_never_called_by_itself_and_cannot_replace_itself() {
        let events = Arc::new(Events::default());
        let inside = Arc::downgrade(&events);
        let callback: Callback = Box::new(move |_| {
            let events = inside.upgrade().unwrap();
            emit(&events, "from inside");
            assert!(events.set_callback(None).is_err());
        });
        events.set_callback(Some(callback)).unwrap();
        emit(&events, "nvml");
        assert_eq!(polled(&events), [0, 1]);
    }

    #[test]
    fn removing_a_callback_waits_for_its_running_call() {
        let events = Arc::new(Events::default());
        let (entered, wait_for_entry) = mpsc::channel();
        let (leave, wait_to_leave) = mpsc::channel::<()>();
        let wait_to_leave = std::sync::Mutex::new(wait_to_leave);
        let ended = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let ends = Arc::clone(&ended);
        let callback: Callback = Box::new(move |_| {
            entered.send(()).unwrap();
            wait_to_leave.lock().unwrap().recv().unwrap();
            ends.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        events.set_callback(Some(callback)).unwrap();
        let emitter = thread::spawn({
            let events = Arc::clone(&events);
            move || emit(&events, "nvml")
        });
        wait_for_entry.recv().unwrap();
        let remover = thread::spawn({
            let events = Arc::clone(&events);
            move || {
                events.set_callback(None).unwrap();
                ended.load(std::sync::atomic::Ordering::SeqCst)
            }
        });
        // However long it takes to leave, whoever removes it sees it left.
        thread::yield_now();
        leave.send(()).unwrap();
        assert!(remover.join().unwrap());
        emitter.join().unwrap();
    }

    #[test]
    fn every_event_reads_as_a_sentence_with_its_numbers() {
        let rung = RungRecord {
            rung: Rung::ReleaseCaches,
            freed: 96 << 20,
            took: Duration::ZERO,
            retry_took: Duration::ZERO,
            outcome: RungOutcome::Recovered,
        };
        let recovery = |outcome| {
            EventKind::Recovery(RecoveryRecord {
                operation: "encode".to_owned(),
                at: Duration::ZERO,
                requested: None,
                free: None,
                rungs: vec![rung.clone()],
                outcome,
            })
        };
        for (kind, text) in [
            (
                EventKind::StatusChanged {
                    crossing: Crossing {
                        from: Level::Ok,
                        to: Level::Warning,
                    },
                    utilization: 0.831,
                },
                "GPU memory is 83.1% full: warning, was ok",
            ),
            (
                EventKind::Optimized {
                    caches: 1 << 30,
                    allocator: 96 << 20,
                    forced: true,
                },
                "memory optimization performed (forced): 1.00 GB from caches, 96.0 MB from the allocator",
            ),
            (
                EventKind::RecoveryRung {
                    operation: "encode".to_owned(),
                    rung: rung.clone(),
                },
                "encode ran out of memory: release caches, 96.0 MB freed, recovered",
            ),
            (
                recovery(RecoveryOutcome::Recovered),
                "encode recovered from running out of memory: release caches",
            ),
            (
                recovery(RecoveryOutcome::OutOfMemory),
                "encode ran out of memory and nothing helped",
            ),
            (
                EventKind::Monitor {
                    action: Action::ClearImageCache { bytes: 3 << 29 },
                    freed: 1 << 30,
                },
                "processed images hold 1.50 GB: 1.00 GB given back",
            ),
            (
                EventKind::ProbeLost {
                    source: "nvml".to_owned(),
                    reason: "GPU is lost".to_owned(),
                },
                "nvml does not tell all memory figures: GPU is lost",
            ),
            (back("nvml"), "nvml tells all memory figures again"),
        ] {
            assert_eq!(kind.to_string(), text);
        }
    }
}
