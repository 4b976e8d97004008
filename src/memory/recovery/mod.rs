//! What is done when memory ran out all the same: the ladder.
//!
//! Release caches → empty the allocator → lower precision → CPU. After each rung that changed something the *same*
//! operation runs again, and what it gives is what the caller gets. Anything but an out-of-memory, told by its type,
//! ends the climb at once.

mod error;
mod record;

use std::time::Duration;

use crate::backend::BackendError;

pub use error::{Exhausted, Failure};
pub use record::{RecoveryOutcome, RecoveryRecord, Rung, RungOutcome, RungRecord};

/// What an allocation that failed asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// Bytes asked for, where known.
    pub requested: Option<u64>,
    /// Bytes that were free, where known.
    pub free: Option<u64>,
}

impl Need {
    /// Bytes to give back before it can be tried again. Where enough was free and it failed all the same, memory is in
    /// pieces or the limit was met: then all that was asked for. `u64::MAX` where nothing is known.
    pub fn deficit(&self) -> u64 {
        match (self.requested, self.free) {
            (Some(requested), Some(free)) if free < requested => requested - free,
            (Some(requested), _) => requested,
            (None, _) => u64::MAX,
        }
    }
}

/// Whether a backend ran out of memory, and of how much. The error's code decides, never its words.
pub fn backend_need(error: &BackendError) -> Option<Need> {
    error.is_out_of_memory().then(|| Need {
        requested: error.requested_bytes(),
        free: error.free_bytes(),
    })
}

/// What the rungs do. Each method does its thing, and tells whether anything changed.
pub trait Rungs {
    /// How the operation is run.
    type Plan;

    /// Lets caches give back `want` bytes (`u64::MAX`: all they can), and tells how many they gave.
    fn release_caches(&mut self, want: u64) -> u64;

    /// Empties the allocator, and tells how many bytes it gave back.
    fn empty_allocator(&mut self) -> u64;

    /// A plan on the device that needs less than `plan`; `None` when there is none.
    fn cheaper_plan(&mut self, plan: &Self::Plan) -> Option<Self::Plan>;

    /// A plan on the CPU; `None` when `plan` is there already, or may not go there.
    fn cpu_plan(&mut self, plan: &Self::Plan) -> Option<Self::Plan>;

    /// What a person can do, when all was in vain.
    fn advice(&self, need: &Need) -> Vec<String> {
        let _ = need;
        Vec::new()
    }

    /// A rung was climbed, and this came of it.
    fn climbed(&mut self, rung: &RungRecord) {
        let _ = rung;
    }
}

/// One run of the operation.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a, P> {
    /// Its number; 0 is the first, before any recovery.
    pub number: u32,
    /// The rung that led to it.
    pub rung: Option<Rung>,
    /// How to run it.
    pub plan: &'a P,
}

/// A run that has ended.
#[derive(Debug)]
pub struct Run<T, E, P> {
    /// What the caller gets.
    pub result: Result<T, Failure<E>>,
    /// How the last try was run.
    pub plan: P,
    /// The recovery, if there was one.
    pub recovery: Option<RecoveryRecord>,
}

/// More plans than a backend offers: a bound on how often it is asked for a cheaper one.
const MOST_PLANS: usize = 8;

/// Runs an operation, and climbs the ladder when it runs out of memory. `clock` tells the time since the context was
/// made; `need` tells an out-of-memory from every other error.
pub fn run<R: Rungs, T, E>(
    operation: &str,
    plan: R::Plan,
    rungs: &mut R,
    clock: &dyn Fn() -> Duration,
    need: impl Fn(&E) -> Option<Need>,
    mut attempt: impl FnMut(&Attempt<'_, R::Plan>) -> Result<T, E>,
) -> Run<T, E, R::Plan> {
    let first = Attempt {
        number: 0,
        rung: None,
        plan: &plan,
    };
    let error = match attempt(&first) {
        Ok(value) => return untroubled(Ok(value), plan),
        Err(error) => error,
    };
    let Some(first_need) = need(&error) else {
        return untroubled(Err(Failure::Other(error)), plan);
    };
    let mut climb = Climb {
        rungs,
        clock,
        plan,
        at: clock(),
        need: first_need,
        records: Vec::new(),
        attempts: 0,
    };
    match climb.up(error, &need, &mut attempt) {
        End::Recovered(value) => {
            climb.finish(operation, first_need, RecoveryOutcome::Recovered, Ok(value))
        }
        End::Other(error) => {
            let outcome = RecoveryOutcome::OtherFailure;
            climb.finish(operation, first_need, outcome, Err(Failure::Other(error)))
        }
        End::OutOfMemory(source) => {
            let exhausted = Exhausted {
                operation: operation.to_owned(),
                need: climb.need,
                rungs: climb.records.clone(),
                help: climb.rungs.advice(&climb.need),
                source,
            };
            let outcome = RecoveryOutcome::OutOfMemory;
            climb.finish(operation, first_need, outcome, Err(exhausted.into()))
        }
    }
}

fn untroubled<T, E, P>(result: Result<T, Failure<E>>, plan: P) -> Run<T, E, P> {
    Run {
        result,
        plan,
        recovery: None,
    }
}

enum End<T, E> {
    Recovered(T),
    Other(E),
    OutOfMemory(E),
}

/// What there is to do, in order. The caches come twice: the deficit first, and the rest before anything is computed
/// in another way.
#[derive(Clone, Copy)]
enum Step {
    ReleaseDeficit,
    ReleaseRest,
    EmptyAllocator,
    CheaperPlan,
    CpuPlan,
}

impl Step {
    const ALL: [Self; 5] = [
        Self::ReleaseDeficit,
        Self::ReleaseRest,
        Self::EmptyAllocator,
        Self::CheaperPlan,
        Self::CpuPlan,
    ];

    fn rung(self) -> Rung {
        match self {
            Self::ReleaseDeficit | Self::ReleaseRest => Rung::ReleaseCaches,
            Self::EmptyAllocator => Rung::EmptyAllocator,
            Self::CheaperPlan => Rung::LowerPrecision,
            Self::CpuPlan => Rung::Cpu,
        }
    }

    /// A cheaper plan may have a cheaper one still.
    fn most(self) -> usize {
        match self {
            Self::CheaperPlan => MOST_PLANS,
            _ => 1,
        }
    }
}

/// What a step changed.
enum Change<P> {
    Nothing,
    Freed(u64),
    Plan(P),
}

impl<P> Change<P> {
    fn freed(bytes: u64) -> Self {
        if bytes == 0 {
            Self::Nothing
        } else {
            Self::Freed(bytes)
        }
    }

    fn plan(plan: Option<P>) -> Self {
        plan.map_or(Self::Nothing, Self::Plan)
    }
}

struct Climb<'a, R: Rungs> {
    rungs: &'a mut R,
    clock: &'a dyn Fn() -> Duration,
    plan: R::Plan,
    at: Duration,
    need: Need,
    records: Vec<RungRecord>,
    attempts: u32,
}

impl<R: Rungs> Climb<'_, R> {
    fn up<T, E>(
        &mut self,
        mut error: E,
        need: &impl Fn(&E) -> Option<Need>,
        attempt: &mut impl FnMut(&Attempt<'_, R::Plan>) -> Result<T, E>,
    ) -> End<T, E> {
        for step in Step::ALL {
            for _ in 0..step.most() {
                let Some(mut record) = self.take(step) else {
                    break;
                };
                let result = self.retry(step, &mut record, attempt);
                let needed = result.as_ref().err().map(need);
                record.outcome = match needed {
                    None => RungOutcome::Recovered,
                    Some(Some(_)) => RungOutcome::StillOutOfMemory,
                    Some(None) => RungOutcome::OtherFailure,
                };
                self.note(record);
                match (result, needed.flatten()) {
                    (Ok(value), _) => return End::Recovered(value),
                    (Err(other), None) => return End::Other(other),
                    (Err(again), Some(now)) => {
                        error = again;
                        self.need = Need {
                            requested: now.requested.or(self.need.requested),
                            free: now.free.or(self.need.free),
                        };
                    }
                }
            }
        }
        End::OutOfMemory(error)
    }

    /// Does a step; `None`, with a note, when it changed nothing.
    fn take(&mut self, step: Step) -> Option<RungRecord> {
        let began = (self.clock)();
        let change = match step {
            Step::ReleaseDeficit => Change::freed(self.rungs.release_caches(self.need.deficit())),
            Step::ReleaseRest => Change::freed(self.rungs.release_caches(u64::MAX)),
            Step::EmptyAllocator => Change::freed(self.rungs.empty_allocator()),
            Step::CheaperPlan => Change::plan(self.rungs.cheaper_plan(&self.plan)),
            Step::CpuPlan => Change::plan(self.rungs.cpu_plan(&self.plan)),
        };
        let mut record = RungRecord {
            rung: step.rung(),
            freed: 0,
            took: (self.clock)().saturating_sub(began),
            retry_took: Duration::ZERO,
            outcome: RungOutcome::NothingChanged,
        };
        match change {
            Change::Nothing => {
                let tried = self.records.iter().any(|other| other.rung == record.rung);
                if !tried {
                    self.note(record);
                }
                return None;
            }
            Change::Freed(bytes) => record.freed = bytes,
            Change::Plan(plan) => self.plan = plan,
        }
        Some(record)
    }

    fn retry<T, E>(
        &mut self,
        step: Step,
        record: &mut RungRecord,
        attempt: &mut impl FnMut(&Attempt<'_, R::Plan>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.attempts += 1;
        let began = (self.clock)();
        let result = attempt(&Attempt {
            number: self.attempts,
            rung: Some(step.rung()),
            plan: &self.plan,
        });
        record.retry_took = (self.clock)().saturating_sub(began);
        result
    }

    fn note(&mut self, record: RungRecord) {
        self.rungs.climbed(&record);
        self.records.push(record);
    }

    fn finish<T, E>(
        self,
        operation: &str,
        first: Need,
        outcome: RecoveryOutcome,
        result: Result<T, Failure<E>>,
    ) -> Run<T, E, R::Plan> {
        Run {
            result,
            plan: self.plan,
            recovery: Some(RecoveryRecord {
                operation: operation.to_owned(),
                at: self.at,
                requested: first.requested,
                free: first.free,
                rungs: self.records,
                outcome,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sam_mm_backend_abi::abi;
    use sam_mm_backend_abi::error::BackendError as PluginError;
    use std::cell::{Cell, RefCell};
    use thiserror::Error;

    #[derive(Debug, Error, PartialEq)]
    enum Fault {
        #[error("out of memory")]
        Memory { requested: u64, free: u64 },
        #[error("CUDA error: device-side assert triggered")]
        Assert,
    }

    fn need(fault: &Fault) -> Option<Need> {
        match *fault {
            Fault::Memory { requested, free } => Some(Need {
                requested: Some(requested),
                free: Some(free),
            }),
            Fault::Assert => None,
        }
    }

    /// A device with room for `room` bytes besides caches, and what the allocator keeps unused in pieces.
    #[derive(Clone, Debug)]
    struct Gpu {
        room: u64,
        caches: u64,
        pieces: u64,
        /// What each plan needs; the last one runs on the CPU.
        needs: Vec<u64>,
        host: u64,
        asked: Vec<u64>,
    }

    impl Gpu {
        fn new(room: u64, caches: u64, pieces: u64) -> Self {
            Self {
                room,
                caches,
                pieces,
                needs: vec![100, 60, 30, 80],
                host: 1000,
                asked: Vec::new(),
            }
        }

        fn cpu(&self) -> usize {
            self.needs.len() - 1
        }

        fn try_plan(&self, plan: usize) -> Result<usize, Fault> {
            let requested = self.needs[plan];
            let (usable, free) = if plan == self.cpu() {
                (self.host, self.host)
            } else {
                // What is in pieces is told as free.
                let free = self.room.saturating_sub(self.caches);
                (free.saturating_sub(self.pieces), free)
            };
            if requested <= usable {
                Ok(plan)
            } else {
                Err(Fault::Memory { requested, free })
            }
        }
    }

    impl Rungs for &RefCell<Gpu> {
        type Plan = usize;

        fn release_caches(&mut self, want: u64) -> u64 {
            let mut gpu = self.borrow_mut();
            gpu.asked.push(want);
            let freed = want.min(gpu.caches);
            gpu.caches -= freed;
            freed
        }

        fn empty_allocator(&mut self) -> u64 {
            std::mem::take(&mut self.borrow_mut().pieces)
        }

        fn cheaper_plan(&mut self, plan: &usize) -> Option<usize> {
            Some(plan + 1).filter(|&next| next < self.borrow().cpu())
        }

        fn cpu_plan(&mut self, plan: &usize) -> Option<usize> {
            Some(self.borrow().cpu()).filter(|cpu| cpu != plan)
        }

        fn advice(&self, _: &Need) -> Vec<String> {
            vec!["buy a larger one".to_owned()]
        }
    }

    fn no_clock() -> Duration {
        Duration::ZERO
    }

    fn run_on(gpu: &mut Gpu) -> Run<usize, Fault, usize> {
        let shared = RefCell::new(gpu.clone());
        let run = run("encode", 0, &mut &shared, &no_clock, need, |attempt| {
            shared.borrow().try_plan(*attempt.plan)
        });
        *gpu = shared.into_inner();
        run
    }

    fn outcomes(record: &RecoveryRecord) -> Vec<(Rung, u64, RungOutcome)> {
        record
            .rungs
            .iter()
            .map(|rung| (rung.rung, rung.freed, rung.outcome))
            .collect()
    }

    #[test]
    fn an_operation_that_succeeds_climbs_nothing() {
        let run = run_on(&mut Gpu::new(100, 0, 0));
        assert_eq!((run.result.unwrap(), run.recovery), (0, None));
    }

    #[test]
    fn defect_1_the_result_of_the_retry_is_what_the_caller_gets() {
        let tries = Cell::new(0);
        let run = run(
            "encode",
            0,
            &mut &RefCell::new(Gpu::new(0, 50, 0)),
            &no_clock,
            need,
            |attempt| {
                tries.set(tries.get() + 1);
                match attempt.rung {
                    None => Err(Fault::Memory {
                        requested: 40,
                        free: 10,
                    }),
                    Some(rung) => Ok(format!("made after {rung}")),
                }
            },
        );
        assert_eq!(run.result.unwrap(), "made after release caches");
        assert_eq!(tries.get(), 2);
        assert_eq!(
            run.recovery.unwrap().recovered_by(),
            Some(Rung::ReleaseCaches)
        );
    }

    #[test]
    fn defect_2_an_operation_that_always_fails_counts_no_success_on_any_rung() {
        let mut gpu = Gpu::new(200, 150, 40);
        gpu.needs = vec![900; 4];
        gpu.host = 10;
        let record = run_on(&mut gpu).recovery.unwrap();
        assert_eq!(record.outcome, RecoveryOutcome::OutOfMemory);
        assert_eq!(record.recovered_by(), None);
        assert!(
            record
                .rungs
                .iter()
                .all(|rung| rung.outcome == RungOutcome::StillOutOfMemory)
        );
    }

    #[test]
    fn defect_3_every_rung_does_what_its_name_says() {
        // The caches help.
        let mut gpu = Gpu::new(120, 60, 0);
        let run = run_on(&mut gpu);
        assert_eq!((run.result.unwrap(), gpu.caches), (0, 20));
        // The allocator does.
        let mut gpu = Gpu::new(120, 0, 60);
        let run = run_on(&mut gpu);
        assert_eq!((run.result.unwrap(), gpu.pieces), (0, 0));
        assert_eq!(
            run.recovery.unwrap().recovered_by(),
            Some(Rung::EmptyAllocator)
        );
        // A cheaper plan does, and one cheaper still.
        assert_eq!(run_on(&mut Gpu::new(70, 0, 0)).result.unwrap(), 1);
        assert_eq!(run_on(&mut Gpu::new(40, 0, 0)).result.unwrap(), 2);
        // The CPU does.
        let run = run_on(&mut Gpu::new(10, 0, 0));
        assert_eq!((run.result.unwrap(), run.plan), (3, 3));
        assert_eq!(run.recovery.unwrap().recovered_by(), Some(Rung::Cpu));
    }

    #[test]
    fn defect_4_an_error_that_merely_speaks_of_cuda_is_not_retried() {
        let tries = Cell::new(0);
        let gpu = RefCell::new(Gpu::new(0, 50, 50));
        let run = run("decode", 0, &mut &gpu, &no_clock, need, |_| {
            tries.set(tries.get() + 1);
            Err::<(), _>(Fault::Assert)
        });
        assert!(matches!(run.result, Err(Failure::Other(Fault::Assert))));
        assert!(run.recovery.is_none());
        assert_eq!(tries.get(), 1);
        assert_eq!((gpu.borrow().caches, gpu.borrow().pieces), (50, 50));
    }

    #[test]
    fn defect_4_the_code_of_a_backend_error_decides_and_not_its_words() {
        let assert = PluginError::internal("CUDA error: out of memory? no: device-side assert");
        assert_eq!(backend_need(&assert.into()), None);
        let mut memory = PluginError::internal("no room");
        memory.code = abi::SAM_MM_ERR_OUT_OF_MEMORY;
        memory.requested_bytes = Some(7);
        assert_eq!(
            backend_need(&memory.into()),
            Some(Need {
                requested: Some(7),
                free: None
            })
        );
    }

    #[test]
    fn the_deficit_is_released_first_and_the_rest_only_when_that_did_not_help() {
        let mut gpu = Gpu::new(150, 80, 0);
        run_on(&mut gpu).result.unwrap();
        assert_eq!((gpu.asked, gpu.caches), (vec![30], 50));
        // What was free was in pieces: the deficit was not the whole truth.
        let mut gpu = Gpu::new(150, 60, 30);
        let record = run_on(&mut gpu).recovery.unwrap();
        assert_eq!(gpu.asked, [10, u64::MAX]);
        assert_eq!(
            outcomes(&record),
            [
                (Rung::ReleaseCaches, 10, RungOutcome::StillOutOfMemory),
                (Rung::ReleaseCaches, 50, RungOutcome::Recovered),
            ]
        );
    }

    #[test]
    fn a_rung_that_changed_nothing_is_noted_and_not_retried() {
        let record = run_on(&mut Gpu::new(70, 0, 0)).recovery.unwrap();
        assert_eq!(
            outcomes(&record),
            [
                (Rung::ReleaseCaches, 0, RungOutcome::NothingChanged),
                (Rung::EmptyAllocator, 0, RungOutcome::NothingChanged),
                (Rung::LowerPrecision, 0, RungOutcome::Recovered),
            ]
        );
        let retried: Vec<_> = record.rungs.iter().map(RungRecord::retried).collect();
        assert_eq!(retried, [false, false, true]);
    }

    #[test]
    fn another_failure_of_a_retry_ends_the_climb_at_once() {
        let gpu = RefCell::new(Gpu::new(0, 50, 50));
        let run = run("encode", 0, &mut &gpu, &no_clock, need, |attempt| {
            Err::<(), _>(match attempt.number {
                0 => Fault::Memory {
                    requested: 5,
                    free: 0,
                },
                _ => Fault::Assert,
            })
        });
        assert!(matches!(run.result, Err(Failure::Other(Fault::Assert))));
        let record = run.recovery.unwrap();
        assert_eq!(record.outcome, RecoveryOutcome::OtherFailure);
        assert_eq!((record.rungs.len(), gpu.borrow().pieces), (1, 50));
    }

    #[test]
    fn the_last_error_names_the_need_what_is_free_what_was_tried_and_what_would_help() {
        let mut gpu = Gpu::new(0, 50 << 20, 0);
        gpu.needs = vec![3 << 30; 4];
        gpu.host = 1 << 30;
        let error = run_on(&mut gpu).result.unwrap_err();
        assert_eq!(
            error.to_string(),
            "encode ran out of memory: it needs 3.00 GB, 1.00 GB are free; tried to release caches (50.0 MB freed), \
             empty the allocator (nothing to gain), lower precision, lower precision, run on the CPU. What would help: \
             buy a larger one"
        );
        assert!(matches!(error, Failure::OutOfMemory(_)));
    }

    #[test]
    fn a_backend_that_always_has_a_cheaper_plan_is_not_asked_for_ever() {
        struct Endless;
        impl Rungs for Endless {
            type Plan = ();
            fn release_caches(&mut self, _: u64) -> u64 {
                0
            }
            fn empty_allocator(&mut self) -> u64 {
                0
            }
            fn cheaper_plan(&mut self, (): &()) -> Option<()> {
                Some(())
            }
            fn cpu_plan(&mut self, (): &()) -> Option<()> {
                None
            }
        }
        let run = run("encode", (), &mut Endless, &no_clock, need, |_| {
            Err::<(), _>(Fault::Memory {
                requested: 1,
                free: 0,
            })
        });
        assert!(matches!(run.result, Err(Failure::OutOfMemory(_))));
    }

    #[test]
    fn time_is_told_apart_between_a_rung_and_its_retry() {
        let now = Cell::new(Duration::ZERO);
        let clock = || {
            now.set(now.get() + Duration::from_secs(1));
            now.get()
        };
        let gpu = RefCell::new(Gpu::new(0, 50, 0));
        let run = run("encode", 0, &mut &gpu, &clock, need, |attempt| {
            now.set(now.get() + Duration::from_secs(10));
            match attempt.number {
                0 => Err(Fault::Memory {
                    requested: 5,
                    free: 0,
                }),
                _ => Ok(()),
            }
        });
        let record = run.recovery.unwrap();
        let rung = &record.rungs[0];
        assert_eq!(record.at, Duration::from_secs(11));
        assert_eq!(
            (rung.took, rung.retry_took),
            (Duration::from_secs(1), Duration::from_secs(11))
        );
    }

    proptest! {
        #[test]
        fn nothing_fails_that_a_smaller_plan_could_have_served_and_nothing_is_made_smaller_than_need_be(
            room in 0..200_u64, caches in 0..200_u64, pieces in 0..200_u64, host in 0..200_u64,
            needs in proptest::collection::vec(0..200_u64, 2..6),
        ) {
            let mut needs = needs;
            // Plans get cheaper, the CPU apart.
            let cpu = needs.len() - 1;
            needs[..cpu].sort_unstable_by(|a, b| b.cmp(a));
            let mut gpu = Gpu { needs: needs.clone(), host, ..Gpu::new(room, caches, pieces) };
            let held = gpu.caches + gpu.pieces;
            let fits = |plan: usize| needs[plan] <= if plan == cpu { host } else { room };
            let first_fit = (0..=cpu).find(|&plan| fits(plan));
            let run = run_on(&mut gpu);
            match run.result {
                Ok(plan) => prop_assert_eq!(Some(plan), first_fit),
                Err(Failure::OutOfMemory(_)) => prop_assert_eq!(first_fit, None),
                Err(other) => prop_assert!(false, "{}", other),
            }
            if let Some(record) = run.recovery {
                prop_assert_eq!(record.freed(), held - gpu.caches - gpu.pieces);
                let successes = record.rungs.iter().filter(|rung| rung.outcome == RungOutcome::Recovered).count();
                prop_assert_eq!(successes, usize::from(record.outcome == RecoveryOutcome::Recovered));
                prop_assert!(record.rungs.iter().all(|rung| rung.outcome != RungOutcome::NothingChanged || rung.freed == 0));
            }
        }
    }
}
