//! The log of a context: lines go to the callback its owner registered, and nowhere else.

use crate::callback::Slot;
use crate::error::Error;

/// How much a line matters; smaller is graver. The numbers are those of the C API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum Level {
    /// Something failed.
    Error = 1,
    /// Something is not as it should be, and work goes on.
    Warn = 2,
    /// Rare events worth knowing.
    Info = 3,
    /// What happens inside, for finding a fault.
    Debug = 4,
}

impl Level {
    /// The level of a number of the C API.
    pub fn from_number(number: i32) -> Option<Self> {
        [Self::Error, Self::Warn, Self::Info, Self::Debug]
            .into_iter()
            .find(|&level| level as i32 == number)
    }
}

/// Receives lines. Called from any thread.
pub type Sink = Box<dyn Fn(Level, &str) + Send + Sync>;

/// Hands lines of at most a chosen level to a sink.
#[derive(Default)]
pub struct Log {
    sink: Slot<(Level, Sink)>,
}

impl Log {
    /// Replaces the sink; `None` removes it. Returns when the last running call of the former one has ended, so what
    /// that one uses may be freed afterwards.
    pub fn set_sink(&self, sink: Option<(Level, Sink)>) -> Result<(), Error> {
        self.sink.set("log callback", sink)
    }

    /// Writes a line at [`Level::Debug`], which is made only where somebody wants it.
    pub fn debug(&self, message: impl FnOnce() -> String) {
        self.sink.with(|(most, sink)| {
            if Level::Debug <= *most {
                sink(Level::Debug, &message());
            }
        });
    }

    /// Writes a line. Lines that arise inside a callback are dropped: they would call it without end.
    pub fn write(&self, level: Level, message: &str) {
        self.sink.with(|(most, sink)| {
            if level <= *most {
                sink(level, message);
            }
        });
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Log")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    fn recording(log: &Arc<Log>, most: Level) -> Arc<Mutex<Vec<String>>> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (kept, again) = (Arc::clone(&lines), Arc::clone(log));
        let sink: Sink = Box::new(move |level, line| {
            again.write(Level::Error, "from inside");
            assert!(
                again.set_sink(None).is_err(),
                "a sink must not replace itself"
            );
            kept.lock().unwrap().push(format!("{level:?} {line}"));
        });
        log.set_sink(Some((most, sink))).unwrap();
        lines
    }

    #[test]
    fn lines_up_to_the_chosen_level_arrive_and_a_sink_is_never_called_by_itself() {
        let log = Arc::new(Log::default());
        let lines = recording(&log, Level::Warn);
        log.write(Level::Error, "a");
        log.write(Level::Warn, "b");
        log.write(Level::Info, "c");
        assert_eq!(*lines.lock().unwrap(), ["Error a", "Warn b"]);
    }

    #[test]
    fn a_line_for_finding_faults_is_made_only_where_it_is_wanted() {
        let log = Arc::new(Log::default());
        log.debug(|| unreachable!("nobody listens"));
        let lines = recording(&log, Level::Info);
        log.debug(|| unreachable!("nobody wants it"));
        assert!(lines.lock().unwrap().is_empty());
        let lines = recording(&log, Level::Debug);
        log.debug(|| "found".to_owned());
        assert_eq!(*lines.lock().unwrap(), ["Debug found"]);
    }

    #[test]
    fn nothing_arrives_after_a_sink_was_removed() {
        let log = Arc::new(Log::default());
        let lines = recording(&log, Level::Debug);
        log.set_sink(None).unwrap();
        log.write(Level::Error, "late");
        assert!(lines.lock().unwrap().is_empty());
    }
}
