//! The scenarios, by what they are about.

mod defects;
mod probes;
mod rungs;
mod thresholds;

use sam_mm::context::Options;
use sam_mm::error::Error;
use sam_mm::memory::recovery::Rung;
use sam_mm::prediction::Prediction;

use crate::scenario::Scenario;
use crate::support::gpu_session::{GpuSession, options};

/// Every scenario.
pub fn all() -> Vec<Scenario> {
    let parts: [&[Scenario]; 4] = [
        probes::SCENARIOS,
        thresholds::SCENARIOS,
        rungs::SCENARIOS,
        defects::SCENARIOS,
    ];
    parts.concat()
}

fn session(change: impl FnOnce(&mut Options)) -> GpuSession {
    let mut options = options();
    change(&mut options);
    GpuSession::new(options)
}

/// How a prediction was encoded, and what helped.
fn told(result: &Result<Prediction, Error>) -> String {
    let prediction = match result {
        Ok(prediction) => prediction,
        Err(Error::NoPlanFits { .. }) => return "refused: no plan fits".to_owned(),
        Err(Error::OutOfMemory(_)) => return "failed: out of memory".to_owned(),
        Err(error) => return format!("failed: {error}"),
    };
    let by = |rung: Option<Rung>| rung.map_or(String::new(), |rung| format!(", recovered: {rung}"));
    let ran = |ran: Option<&sam_mm::memory::execute::Ran>| {
        ran.map_or("kept".to_owned(), |ran| {
            format!("{}{}", ran.way, by(ran.recovered_by))
        })
    };
    match &prediction.encode_ran {
        Some(encoded) => ran(Some(encoded)),
        None => ran(prediction.decode_ran()),
    }
}
