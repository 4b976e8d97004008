//! How long clicks took.

use std::time::Duration;

use serde_json::{Value, json};

/// Percentiles of times, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percentiles {
    pub count: usize,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub longest: f64,
}

impl Percentiles {
    /// Of some times; `None` without any.
    pub fn of(times: impl Iterator<Item = Duration>) -> Option<Self> {
        let mut times: Vec<f64> = times.map(|time| time.as_secs_f64() * 1e3).collect();
        times.sort_by(f64::total_cmp);
        let longest = *times.last()?;
        // Nearest rank: the smallest time that the given share of all does not exceed.
        let at = |share: f64| times[((share * times.len() as f64).ceil() as usize).max(1) - 1];
        Some(Self {
            count: times.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            longest,
        })
    }

    pub fn json(self) -> Value {
        let round = |ms: f64| (ms * 1e4).round() / 1e4;
        json!({
            "count": self.count,
            "p50": round(self.p50),
            "p90": round(self.p90),
            "p99": round(self.p99),
            "max": round(self.longest),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(milliseconds: impl Iterator<Item = u64>) -> Option<Percentiles> {
        Percentiles::of(milliseconds.map(Duration::from_millis))
    }

    #[test]
    fn a_percentile_is_a_time_that_was_measured() {
        let times = of((1..=100).rev()).unwrap();
        assert_eq!(
            (times.p50, times.p90, times.p99, times.longest),
            (50.0, 90.0, 99.0, 100.0)
        );
        let few = of([3, 1].into_iter()).unwrap();
        assert_eq!((few.count, few.p50, few.p90), (2, 1.0, 3.0));
        assert_eq!(of(std::iter::empty()), None);
    }
}
