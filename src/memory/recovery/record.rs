//! What a recovery did, rung by rung.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::memory::units::milliseconds;

/// A rung of the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// Caches give back the deficit, and, when that was not enough, the rest.
    ReleaseCaches,
    /// The allocator gives what it holds unused back to the device.
    EmptyAllocator,
    /// The operation is run with a plan that needs less: chunked attention where it is not in use yet, half precision.
    LowerPrecision,
    /// The operation is run on the CPU.
    Cpu,
}

impl Rung {
    /// Every rung, from the first.
    pub const ALL: [Self; 4] = [
        Self::ReleaseCaches,
        Self::EmptyAllocator,
        Self::LowerPrecision,
        Self::Cpu,
    ];
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReleaseCaches => "release caches",
            Self::EmptyAllocator => "empty the allocator",
            Self::LowerPrecision => "lower precision",
            Self::Cpu => "run on the CPU",
        })
    }
}

/// What came of a rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RungOutcome {
    /// It changed nothing, so the operation was not run again.
    NothingChanged,
    /// The operation ran again, and out of memory again.
    StillOutOfMemory,
    /// The operation ran again, and succeeded.
    Recovered,
    /// The operation ran again, and failed for another reason.
    OtherFailure,
}

/// A rung that was climbed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RungRecord {
    /// Which.
    pub rung: Rung,
    /// Bytes it gave back.
    pub freed: u64,
    /// Time it took to give them back.
    #[serde(rename = "took_ms", serialize_with = "milliseconds")]
    pub took: Duration,
    /// Time the operation then ran; zero when it did not.
    #[serde(rename = "retry_took_ms", serialize_with = "milliseconds")]
    pub retry_took: Duration,
    /// What came of it.
    pub outcome: RungOutcome,
}

impl RungRecord {
    /// Whether the operation was run again.
    pub fn retried(&self) -> bool {
        self.outcome != RungOutcome::NothingChanged
    }
}

/// What came of a recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RecoveryOutcome {
    /// A retry succeeded.
    Recovered,
    /// No rung helped.
    OutOfMemory,
    /// A retry failed for another reason.
    OtherFailure,
}

/// A recovery: an operation ran out of memory, and what was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecoveryRecord {
    /// The operation.
    pub operation: String,
    /// When it ran out of memory, on the clock of the context.
    #[serde(rename = "at_ms", serialize_with = "milliseconds")]
    pub at: Duration,
    /// Bytes asked for at first, where known.
    pub requested: Option<u64>,
    /// Bytes that were free at first, where known.
    pub free: Option<u64>,
    /// The rungs climbed, in order.
    pub rungs: Vec<RungRecord>,
    /// What came of it all.
    pub outcome: RecoveryOutcome,
}

impl RecoveryRecord {
    /// The rung that helped.
    pub fn recovered_by(&self) -> Option<Rung> {
        let last = self.rungs.last()?;
        (last.outcome == RungOutcome::Recovered).then_some(last.rung)
    }

    /// Bytes given back on the way.
    pub fn freed(&self) -> u64 {
        self.rungs
            .iter()
            .fold(0, |sum, rung| sum.saturating_add(rung.freed))
    }
}
