//! An operation under the care of the memory manager: the plan, the run, and the ladder when memory runs out.

use std::sync::Arc;

use crate::error::Error;

use super::events::EventKind;
use super::manager::MemoryManager;
use super::plan::{Candidate, Choice, NoPlanFits, Supply, Way, choose, equal_to_best};
use super::recovery::{
    self, Attempt, Failure, Need, RecoveryRecord, Rung, RungRecord, Rungs, backend_need,
};
use super::status::{Status, Tier};

/// How an operation was run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// The way that gave the result.
    pub way: Way,
    /// Why it was chosen, with the numbers; what recovery changed is not in it.
    pub reason: String,
    /// A better way was passed over, because it does not fit.
    pub downgraded: bool,
    /// The rung that helped after memory had run out.
    pub recovered_by: Option<Rung>,
}

/// Runs an operation: chooses among `candidates` (the best first) one that fits, makes the room that it needs, runs
/// `attempt`, and climbs the ladder when memory runs out all the same. What `attempt` gives is what the caller gets.
/// `candidates` is asked again on the ladder, since an attempt may have left the weights in another precision.
///
/// # Errors
/// [`Error::NoPlanFits`] when nothing fits, [`Error::OutOfMemory`] when no rung helped, else what `candidates` or
/// `attempt` says.
pub fn execute<T>(
    manager: &Arc<MemoryManager>,
    operation: &str,
    candidates: &Candidates<'_>,
    mut attempt: impl FnMut(&Way) -> Result<T, Error>,
) -> Result<(T, Ran), Error> {
    let profile = manager.profile(operation);
    let result = planned(manager, operation, candidates, &mut attempt);
    manager.analytics().profile(profile.end());
    // One that was asked to stop did neither succeed nor fail.
    if !result.as_ref().is_err_and(Error::is_cancelled) {
        manager.analytics().operation(result.is_ok());
    }
    result
}

/// Runs an operation that nobody waits for, in the best of `candidates` that fits as things are: nobody gives memory back
/// for it, and when it runs out all the same, that is the end of it.
///
/// # Errors
/// [`Error::NoPlanFits`] when nothing fits so, else what `candidates` or `attempt` says.
pub fn execute_modestly<T>(
    manager: &Arc<MemoryManager>,
    operation: &str,
    candidates: &Candidates<'_>,
    attempt: impl FnOnce(&Way) -> Result<T, Error>,
) -> Result<(T, Ran), Error> {
    let (supply, status) = manager.supply();
    let as_things_are = Supply {
        device_releasable: 0,
        host_releasable: 0,
        ..supply
    };
    let choice = choose(&candidates()?, &as_things_are)
        .map_err(|nothing| refused(operation, &status, nothing))?;
    let profile = manager.profile(operation);
    let value = attempt(&choice.way)?;
    manager.analytics().profile(profile.end());
    manager.analytics().operation(true);
    let ran = Ran {
        way: choice.way,
        downgraded: choice.is_downgrade(),
        reason: choice.reason,
        recovered_by: None,
    };
    Ok((value, ran))
}

/// Every way to run an operation as things are, the best first.
pub type Candidates<'a> = dyn Fn() -> Result<Vec<Candidate>, Error> + 'a;

/// The way that an operation would be run now, if any fits.
pub fn foresee(manager: &MemoryManager, candidates: &[Candidate]) -> Option<Way> {
    let (supply, _) = manager.supply();
    Some(choose(candidates, &supply).ok()?.way)
}

/// How an operation fits in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// As things are.
    AsIs,
    /// After caches gave something back.
    AfterRelease,
    /// Not in a way that gives the same result.
    No,
}

/// How an operation would fit now when it is run in one of the ways that give the same result within rounding as the best
/// one.
pub fn fit(manager: &MemoryManager, candidates: &[Candidate]) -> Fit {
    let (supply, _) = manager.supply();
    match choose(equal_to_best(candidates), &supply) {
        Ok(choice) if choice.release == 0 => Fit::AsIs,
        Ok(_) => Fit::AfterRelease,
        Err(_) => Fit::No,
    }
}

fn planned<T>(
    manager: &MemoryManager,
    operation: &str,
    candidates: &Candidates<'_>,
    attempt: &mut impl FnMut(&Way) -> Result<T, Error>,
) -> Result<(T, Ran), Error> {
    let (supply, status) = manager.supply();
    let choice =
        choose(&candidates()?, &supply).map_err(|nothing| refused(operation, &status, nothing))?;
    make_room(manager, &choice);
    if choice.is_downgrade() {
        manager.emit(EventKind::PlanDowngraded {
            operation: operation.to_owned(),
            needed: choice.needed,
            reason: choice.reason.clone(),
        });
    }
    let mut rungs = ManagedRungs {
        manager,
        operation,
        candidates,
        supply: &supply,
        tier: choice.way.tier,
    };
    let run = recovery::run(
        operation,
        choice.way,
        &mut rungs,
        &|| manager.clock(),
        need,
        |now: &Attempt<'_, Way>| attempt(now.plan),
    );
    let recovered_by = run.recovery.as_ref().and_then(RecoveryRecord::recovered_by);
    if let Some(record) = run.recovery {
        manager.analytics().recovery(record.clone());
        manager.emit(EventKind::Recovery(record));
    }
    let value = run.result.map_err(|failure| match failure {
        Failure::Other(error) => error,
        Failure::OutOfMemory(exhausted) => Error::OutOfMemory(Box::new(exhausted)),
    })?;
    let ran = Ran {
        way: run.plan,
        downgraded: choice.is_downgrade(),
        reason: choice.reason,
        recovered_by,
    };
    Ok((value, ran))
}

/// Only the type of an error tells that memory ran out, never its words.
fn need(error: &Error) -> Option<Need> {
    match error {
        Error::Backend(error) => backend_need(error),
        _ => None,
    }
}

fn refused(operation: &str, status: &Status, nothing: NoPlanFits) -> Error {
    Error::NoPlanFits {
        operation: operation.to_owned(),
        status: if status.is_critical() {
            status.message()
        } else {
            None
        },
        nothing_fits: Box::new(nothing),
    }
}

fn make_room(manager: &MemoryManager, choice: &Choice) {
    if choice.release > 0 {
        manager.consumers().release(choice.way.tier, choice.release);
    }
    if choice.empty_allocator {
        manager.trim();
    }
}

/// The rungs of the ladder, done by the manager.
struct ManagedRungs<'a> {
    manager: &'a MemoryManager,
    operation: &'a str,
    candidates: &'a Candidates<'a>,
    supply: &'a Supply,
    /// Whose memory the operation takes now.
    tier: Tier,
}

impl ManagedRungs<'_> {
    /// Whether a candidate may be tried: without growth the budget holds on the ladder as well.
    fn may(&self, candidate: &Candidate) -> bool {
        if candidate.way.tier == Tier::Host || self.manager.config().growth {
            return true;
        }
        self.manager
            .room_now()
            .is_none_or(|room| room.deficit(candidate.needed) == 0)
    }

    /// None when they cannot be had any more: then there is nothing to climb to.
    fn candidates(&self) -> Vec<Candidate> {
        (self.candidates)().unwrap_or_default()
    }
}

impl Rungs for ManagedRungs<'_> {
    type Plan = Way;

    fn release_caches(&mut self, want: u64) -> u64 {
        let released = self.manager.consumers().release(self.tier, want);
        super::consumer::total(&released)
    }

    fn empty_allocator(&mut self) -> u64 {
        self.manager.trim()
    }

    fn cheaper_plan(&mut self, way: &Way) -> Option<Way> {
        let candidates = self.candidates();
        let at = candidates
            .iter()
            .position(|candidate| candidate.way == *way)?;
        let needed = candidates[at].needed;
        candidates[at + 1..]
            .iter()
            .find(|other| other.way.tier == way.tier && other.needed < needed && self.may(other))
            .map(|other| other.way)
    }

    fn cpu_plan(&mut self, way: &Way) -> Option<Way> {
        if way.tier == Tier::Host {
            return None;
        }
        let mut on_cpu = self.candidates();
        on_cpu.retain(|candidate| candidate.way.tier == Tier::Host);
        let choice = choose(&on_cpu, self.supply).ok()?;
        make_room(self.manager, &choice);
        self.tier = Tier::Host;
        Some(choice.way)
    }

    fn advice(&self, need: &Need) -> Vec<String> {
        let short = match need.deficit() {
            u64::MAX => 0,
            bytes => bytes,
        };
        let mut advice = match self.manager.room_now() {
            Some(room) if self.tier == Tier::Device => room.advice(short),
            _ => Vec::new(),
        };
        if advice.is_empty() {
            advice.push("use a smaller model, or fewer objects in one call".to_owned());
        }
        advice
    }

    fn climbed(&mut self, rung: &RungRecord) {
        self.manager.emit(EventKind::RecoveryRung {
            operation: self.operation.to_owned(),
            rung: rung.clone(),
        });
    }
}
