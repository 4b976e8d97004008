//! How well recovery does its work.

use std::collections::VecDeque;

use serde::Serialize;

use crate::memory::recovery::{RecoveryOutcome, RecoveryRecord};

/// Recoveries that count.
const RECENT: usize = 10;

/// A word for the failure rate of the last recoveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// Below 10 %, or nothing had to be recovered.
    Healthy,
    /// From 10 % on.
    Monitoring,
    /// From 30 % on.
    Degraded,
    /// From 60 % on.
    Critical,
}

/// How well recovery does its work.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Health {
    /// In a word.
    pub state: HealthState,
    /// Share of the last recoveries that gave the caller no result, 0 to 1; `None` without any.
    pub failure_rate: Option<f64>,
    /// How many that were, 10 at most.
    pub recoveries: usize,
}

impl Health {
    /// From the history, the latest last. A recovery is a success when a retry succeeded, and a failure else.
    pub(super) fn of(history: &VecDeque<RecoveryRecord>) -> Self {
        let recoveries = history.len().min(RECENT);
        let failures = history
            .iter()
            .rev()
            .take(RECENT)
            .filter(|record| record.outcome != RecoveryOutcome::Recovered)
            .count();
        let failure_rate = (recoveries > 0).then(|| failures as f64 / recoveries as f64);
        Self {
            state: match failure_rate.unwrap_or(0.0) {
                ..0.1 => HealthState::Healthy,
                ..0.3 => HealthState::Monitoring,
                ..0.6 => HealthState::Degraded,
                _ => HealthState::Critical,
            },
            failure_rate,
            recoveries,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn history(outcomes: impl IntoIterator<Item = RecoveryOutcome>) -> VecDeque<RecoveryRecord> {
        outcomes
            .into_iter()
            .map(|outcome| RecoveryRecord {
                operation: "encode".to_owned(),
                at: Duration::ZERO,
                requested: None,
                free: None,
                rungs: Vec::new(),
                outcome,
            })
            .collect()
    }

    fn with_failures(failures: usize) -> HealthState {
        let outcomes = (0..10).map(|number| {
            if number < failures {
                RecoveryOutcome::OutOfMemory
            } else {
                RecoveryOutcome::Recovered
            }
        });
        Health::of(&history(outcomes)).state
    }

    #[test]
    fn health_gets_worse_at_1_3_and_6_failures_in_10() {
        use HealthState::{Critical, Degraded, Healthy, Monitoring};
        assert_eq!(
            [0, 1, 2, 3, 5, 6, 10].map(with_failures),
            [
                Healthy, Monitoring, Monitoring, Degraded, Degraded, Critical, Critical
            ]
        );
    }

    #[test]
    fn without_recoveries_all_is_well_and_no_rate_is_told() {
        let health = Health::of(&VecDeque::new());
        assert_eq!(
            (health.state, health.failure_rate, health.recoveries),
            (HealthState::Healthy, None, 0)
        );
    }

    #[test]
    fn only_the_last_ten_count() {
        let outcomes = [RecoveryOutcome::OutOfMemory; 20]
            .into_iter()
            .chain([RecoveryOutcome::Recovered; 10]);
        assert_eq!(Health::of(&history(outcomes)).failure_rate, Some(0.0));
    }

    #[test]
    fn a_retry_that_failed_for_another_reason_is_no_success() {
        let health = Health::of(&history([RecoveryOutcome::OtherFailure]));
        assert_eq!(health.failure_rate, Some(1.0));
    }
}
