//! What a person could do, from what was counted.

use serde::Serialize;

use super::report::{CacheReport, Report};

/// What a recommendation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// More than 90 % of the device is in use.
    GpuMemoryCritical,
    /// More than 80 % of the device is in use.
    GpuMemoryHigh,
    /// More than 90 % of the host's memory is in use.
    HostMemoryHigh,
    /// Less than half of a cache's look-ups hit.
    LowHitRate,
    /// Memory was given back more than ten times.
    ManyOptimizations,
}

/// Something a person could do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recommendation {
    /// What it is about.
    pub topic: Topic,
    /// In a sentence.
    pub text: String,
}

/// Before this many look-ups a hit rate says nothing.
const ENOUGH_LOOKUPS: u64 = 10;

/// What a person could do, the most pressing first.
pub fn recommend(report: &Report) -> Vec<Recommendation> {
    let mut recommendations = Vec::new();
    let mut add = |topic, text| recommendations.push(Recommendation { topic, text });
    if let Some(device) = &report.device {
        let percent = device.utilization * 100.0;
        if device.utilization > 0.9 {
            let text = format!(
                "GPU memory is {percent:.1}% full: close other programs that use the GPU, or use a smaller model or \
                 half precision."
            );
            add(Topic::GpuMemoryCritical, text);
        } else if device.utilization > 0.8 {
            let text = format!(
                "GPU memory is {percent:.1}% full: keep fewer embeddings on the GPU, or call sam_optimize between \
                 images."
            );
            add(Topic::GpuMemoryHigh, text);
        }
    }
    if let Some(utilization) = report.host_utilization.filter(|&share| share > 0.9) {
        let text = format!(
            "Host memory is {:.1}% full: give the caches fewer bytes, or close other programs.",
            utilization * 100.0
        );
        add(Topic::HostMemoryHigh, text);
    }
    let caches = [
        (
            "image",
            report.caches.image,
            "more images take turns than it holds; let it hold more.",
        ),
        (
            "embedding",
            report.caches.embedding,
            "more images take turns than it holds, and each miss runs the encoder; give it more bytes.",
        ),
        (
            "prediction",
            report.caches.prediction,
            "prompts seldom repeat; its memory may serve better elsewhere.",
        ),
    ];
    for (name, cache, meaning) in caches {
        if let Some(rate) = low_hit_rate(&cache) {
            let text = format!(
                "Only {:.0}% of the look-ups in the {name} cache hit: {meaning}",
                rate * 100.0
            );
            add(Topic::LowHitRate, text);
        }
    }
    let count = report.optimizations.count;
    if count > 10 {
        let text = format!(
            "Memory was optimized {count} times: what is in use does not fit. Use a smaller model or half precision, \
             or give the caches fewer bytes."
        );
        add(Topic::ManyOptimizations, text);
    }
    recommendations
}

fn low_hit_rate(cache: &CacheReport) -> Option<f64> {
    cache
        .rate()
        .filter(|&rate| rate < 0.5 && cache.hits + cache.misses >= ENOUGH_LOOKUPS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::analytics::{DeviceReport, Optimizations};

    fn topics(change: impl Fn(&mut Report)) -> Vec<Topic> {
        let mut report = Report::default();
        change(&mut report);
        recommend(&report)
            .iter()
            .map(|recommendation| recommendation.topic)
            .collect()
    }

    fn at(utilization: f64) -> Vec<Topic> {
        topics(|report| {
            report.device = Some(DeviceReport {
                total: 1,
                used: 1,
                utilization,
            });
        })
    }

    #[test]
    fn a_full_gpu_is_pointed_out_above_80_and_above_90_percent() {
        assert_eq!(
            [at(0.8), at(0.81), at(0.9), at(0.91)],
            [
                vec![],
                vec![Topic::GpuMemoryHigh],
                vec![Topic::GpuMemoryHigh],
                vec![Topic::GpuMemoryCritical]
            ]
        );
    }

    #[test]
    fn a_full_host_is_pointed_out_above_90_percent() {
        let at = |share| topics(|report| report.host_utilization = Some(share));
        assert_eq!([at(0.9), at(0.91)], [vec![], vec![Topic::HostMemoryHigh]]);
    }

    #[test]
    fn a_hit_rate_below_one_half_is_pointed_out_once_it_means_something() {
        let with = |hits, misses| {
            topics(|report| {
                report.caches.embedding.hits = hits;
                report.caches.embedding.misses = misses;
            })
        };
        assert_eq!(
            [with(0, 0), with(0, 9), with(5, 5), with(4, 6)],
            [vec![], vec![], vec![], vec![Topic::LowHitRate]]
        );
    }

    #[test]
    fn more_than_ten_optimizations_are_pointed_out() {
        let after =
            |count| topics(|report| report.optimizations = Optimizations { count, freed: 0 });
        assert_eq!(
            [after(10), after(11)],
            [vec![], vec![Topic::ManyOptimizations]]
        );
    }

    #[test]
    fn what_is_not_known_recommends_nothing() {
        assert!(topics(|_| ()).is_empty());
    }
}
