//! What the caches of a context hold and how well they serve, looked at from outside while a session goes on.

use std::fmt;

use sam_mm::context::Context;
use sam_mm::memory::analytics::Cache;
use sam_mm::memory::status::Tier;
use serde_json::{Value, json};

/// The most that a cache held, and what it may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub name: &'static str,
    pub peak: u64,
    pub budget: u64,
    pub entries: u64,
}

impl Held {
    pub fn json(&self) -> Value {
        json!({ "peak": self.peak, "budget": self.budget, "entries": self.entries })
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            peak,
            budget,
            entries,
        } = self;
        write!(
            f,
            "{name:20} at most {peak:>10} bytes in {entries:>4} entries, budget {budget:>10}"
        )
    }
}

/// Raises each peak to what is held now.
pub fn look(context: &Context, peaks: &mut Vec<Held>) {
    let embeddings = context.embeddings();
    let in_memory = [
        ("embeddings, device", Tier::Device),
        ("embeddings, host", Tier::Host),
    ];
    let mut now: Vec<Held> = in_memory
        .into_iter()
        .map(|(name, tier)| {
            let held = embeddings.held(tier);
            Held {
                name,
                peak: held.bytes,
                budget: embeddings.limits(tier).bytes,
                entries: held.entries,
            }
        })
        .collect();
    if let Some(disk) = embeddings.disk() {
        let usage = disk.folder().usage();
        now.push(Held {
            name: "embeddings, disk",
            peak: usage.bytes,
            budget: disk.folder().limits().bytes,
            entries: usage.entries,
        });
    }
    let predictions = context.predictions();
    now.push(Held {
        name: "predictions",
        peak: predictions.bytes(),
        budget: predictions.limits().bytes,
        entries: predictions.len() as u64,
    });
    let images = context.images();
    now.push(Held {
        name: "processed images",
        peak: images.bytes(),
        budget: images.limits().bytes,
        entries: images.len() as u64,
    });
    for held in now {
        match peaks.iter_mut().find(|peak| peak.name == held.name) {
            None => peaks.push(held),
            Some(peak) => {
                peak.peak = peak.peak.max(held.peak);
                peak.entries = peak.entries.max(held.entries);
                peak.budget = held.budget;
            }
        }
    }
}

/// How often each cache had what was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lookups([(u64, u64); CACHES.len()]);

const CACHES: [(&str, Cache); 5] = [
    ("prediction", Cache::Prediction),
    ("embedding", Cache::Embedding),
    ("embedding_device", Cache::EmbeddingDevice),
    ("embedding_host", Cache::EmbeddingHost),
    ("embedding_disk", Cache::EmbeddingDisk),
];

impl Lookups {
    /// Adds those of a context that is about to end.
    pub fn add(&mut self, context: &Context) {
        for ((_, cache), (hits, misses)) in CACHES.iter().zip(&mut self.0) {
            let lookups = context.memory().analytics().lookups(*cache);
            *hits += lookups.hits;
            *misses += lookups.misses;
        }
    }

    /// How often the prediction cache had what was asked for.
    pub fn predictions_hit(&self) -> u64 {
        self.0[0].0
    }

    fn rates(&self) -> impl Iterator<Item = (&'static str, u64, u64)> {
        let counts = CACHES.iter().zip(&self.0);
        counts.map(|((name, _), &(hits, misses))| (*name, hits, hits + misses))
    }

    /// By cache: hits, look-ups and their ratio.
    pub fn json(&self) -> Value {
        self.rates()
            .map(|(name, hits, all)| {
                let rate = (all > 0).then(|| (hits as f64 / all as f64 * 1e4).round() / 1e4);
                (
                    name.to_owned(),
                    json!({ "hits": hits, "lookups": all, "rate": rate }),
                )
            })
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

impl fmt::Display for Lookups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, hits, all)) in self.rates().enumerate() {
            let comma = if number > 0 { ", " } else { "" };
            write!(f, "{comma}{name} {hits} of {all}")?;
        }
        Ok(())
    }
}
