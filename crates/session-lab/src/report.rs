//! What came of a trace: as a table for people, and as JSON.

use std::time::Duration;

use serde_json::{Value, json};

use crate::annotator::{Click, Diary, Kind};
use crate::house::Seen;
use crate::latency::Percentiles;
use crate::trace::{Step, Trace};
use crate::watch::{Held, Lookups};

/// What came of a trace in one house.
pub struct Outcome {
    pub trace: &'static str,
    pub backend: &'static str,
    /// Different images opened.
    pub images: usize,
    /// Times that an image was opened: what a tool encodes that keeps nothing of an image it left.
    pub visits: usize,
    pub encodes: Encodes,
    pub lookups: Lookups,
    pub held: Vec<Held>,
    pub clicks: Vec<Click>,
    pub checked: usize,
    /// What was not as it should be, in words.
    pub faults: Vec<String>,
}

/// Runs of the image encoder.
#[derive(Clone, Copy, Debug)]
pub struct Encodes {
    /// While a click waited for it.
    pub for_clicks: usize,
    /// Ahead of the click, because the image was announced.
    pub ahead: usize,
}

impl Outcome {
    pub fn new(trace: &Trace, backend: &'static str, diaries: Vec<Diary>, seen: Seen) -> Self {
        let steps = trace.users.iter().flatten();
        let mut outcome = Self {
            trace: trace.name,
            backend,
            images: trace.images_opened(),
            visits: steps.filter(|step| matches!(step, Step::Open(_))).count(),
            encodes: Encodes {
                for_clicks: 0,
                ahead: seen.encoded_ahead as usize,
            },
            lookups: seen.lookups,
            held: seen.peaks,
            clicks: Vec::new(),
            checked: 0,
            faults: Vec::new(),
        };
        for diary in diaries {
            outcome.clicks.extend(diary.clicks);
            outcome.checked += diary.checked;
            outcome.faults.extend(diary.wrong);
        }
        outcome.encodes.for_clicks = outcome.clicks.iter().filter(|click| click.encoded).count();
        outcome
    }

    /// Holds the figures against what must be: no image is encoded twice, for the disk has room for all; no cache holds
    /// more than it may; and the backend counted the same runs of its encoder as we.
    pub fn judged(mut self, counted_by_backend: Option<u64>) -> Self {
        let (run, images) = (self.encodes.for_clicks + self.encodes.ahead, self.images);
        if run > images {
            self.fault(format!("{run} encodes for {images} images"));
        }
        for held in self.held.clone() {
            if held.peak > held.budget {
                self.fault(format!("over its budget: {held}"));
            }
        }
        if let Some(counted) = counted_by_backend
            && counted != run as u64
        {
            // One that gave way to a click and was begun again is counted twice by the backend alone.
            if counted < run as u64 || self.encodes.ahead == 0 {
                self.fault(format!("the backend counted {counted} encodes, we {run}"));
            }
        }
        let reused = self.clicks.iter().filter(|click| click.reused).count() as u64;
        if reused != self.lookups.predictions_hit() {
            self.fault(format!(
                "{reused} answers were kept ones, by the cache's own count {}",
                self.lookups.predictions_hit()
            ));
        }
        if self.checked == 0 {
            self.fault("no answer was checked".to_owned());
        }
        self
    }

    fn fault(&mut self, words: String) {
        self.faults.push(words);
    }

    fn times(&self, wanted: impl Fn(&Click) -> bool) -> Option<Percentiles> {
        Percentiles::of(
            self.clicks
                .iter()
                .filter(|click| wanted(click))
                .map(|click| click.took),
        )
    }

    /// Percentiles by what a click was to the annotator.
    fn latencies(&self) -> [(&'static str, Option<Percentiles>); 4] {
        [
            ("all", self.times(|_| true)),
            ("first", self.times(|click| click.kind == Kind::First)),
            ("further", self.times(|click| click.kind == Kind::Further)),
            ("again", self.times(|click| click.kind == Kind::Again)),
        ]
    }

    /// Visits to an image for which nothing was encoded at all.
    fn avoided(&self) -> usize {
        self.visits
            .saturating_sub(self.encodes.for_clicks + self.encodes.ahead)
    }

    pub fn json(&self) -> Value {
        let latencies = self
            .latencies()
            .into_iter()
            .filter_map(|(kind, times)| Some((kind.to_owned(), times?.json())));
        json!({
            "trace": self.trace,
            "backend": self.backend,
            "images": self.images,
            "visits": self.visits,
            "clicks": self.clicks.len(),
            "encodes": {
                "run": self.encodes.for_clicks + self.encodes.ahead,
                "waited_for": self.encodes.for_clicks,
                "ahead": self.encodes.ahead,
                "avoided": self.avoided(),
            },
            "hit_rates": self.lookups.json(),
            "peak_bytes": self.held.iter().map(|held| (held.name.to_owned(), held.json())).collect::<serde_json::Map<_, _>>(),
            "click_ms": latencies.collect::<serde_json::Map<_, _>>(),
            "answers_checked": self.checked,
            "faults": self.faults,
        })
    }

    /// Prints it for people.
    pub fn print(&self) {
        println!("\n{} ({})", self.trace, self.backend);
        println!(
            "  {} clicks in {} visits to {} images; {} encoded while a click waited, {} ahead, {} visits without",
            self.clicks.len(),
            self.visits,
            self.images,
            self.encodes.for_clicks,
            self.encodes.ahead,
            self.avoided()
        );
        println!("  hits: {}", self.lookups);
        for held in &self.held {
            println!("  {held}");
        }
        for (kind, times) in self.latencies() {
            if let Some(times) = times {
                println!(
                    "  {kind:8} clicks {:5}   p50 {:9.3} ms   p90 {:9.3}   p99 {:9.3}   max {:9.3}",
                    times.count, times.p50, times.p90, times.p99, times.longest
                );
            }
        }
        println!(
            "  {} answers compared with a context that keeps nothing",
            self.checked
        );
        for fault in &self.faults {
            println!("  NOT AS IT SHOULD BE: {fault}");
        }
    }
}

/// How long something is waited for before it counts as stuck.
pub const PATIENCE: Duration = Duration::from_secs(60);
