//! Why an operation has no result.

use std::fmt;

use thiserror::Error;

use super::Need;
use super::record::{RungOutcome, RungRecord};
use crate::memory::plan::Help;
use crate::memory::units::Size;

/// Memory ran out, and no rung helped.
#[derive(Debug, Error)]
#[error(
    "{operation} ran out of memory{}; tried to {}{}",
    Numbers(need),
    Tried(rungs),
    Help(help)
)]
pub struct Exhausted<E> {
    /// The operation.
    pub operation: String,
    /// What the last try asked for and what was free then; where it did not tell, what the first one did.
    pub need: Need,
    /// The rungs climbed, in order.
    pub rungs: Vec<RungRecord>,
    /// What a person can do.
    pub help: Vec<String>,
    /// What the last try said.
    pub source: E,
}

/// Why there is no result.
#[derive(Debug, Error)]
pub enum Failure<E> {
    /// Memory ran out, and no rung helped.
    #[error(transparent)]
    OutOfMemory(#[from] Exhausted<E>),
    /// Something else, at the first try or at a later one.
    #[error(transparent)]
    Other(E),
}

struct Numbers<'a>(&'a Need);

impl fmt::Display for Numbers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(requested) = self.0.requested {
            write!(f, ": it needs {}", Size(requested))?;
            if let Some(free) = self.0.free {
                write!(f, ", {} are free", Size(free))?;
            }
        }
        Ok(())
    }
}

struct Tried<'a>(&'a [RungRecord]);

impl fmt::Display for Tried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, record) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{}", record.rung)?;
            match record.outcome {
                RungOutcome::NothingChanged => f.write_str(" (nothing to gain)")?,
                _ if record.freed > 0 => write!(f, " ({} freed)", Size(record.freed))?,
                _ => {}
            }
        }
        Ok(())
    }
}
