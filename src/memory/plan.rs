//! How an operation is run: the plan is chosen before it runs, from what each would need and what can be had.

use std::fmt;

use thiserror::Error;

use crate::backend::{Attention, Estimate, Plan, Precision};

use super::budget::Room;
use super::status::Tier;
use super::units::Size;

/// A way to run an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Way {
    /// Whose memory it takes: the device's, or the host's when it runs on the CPU.
    pub tier: Tier,
    /// How the backend is told to run it.
    pub plan: Plan,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.tier {
            Tier::Device => "GPU",
            Tier::Host => "CPU",
        };
        write!(
            f,
            "{} in {} on the {place}",
            self.plan.attention, self.plan.precision
        )
    }
}

/// What a model and its backend can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// The precision its owner asked for; nothing is computed in a higher one.
    pub precision: Precision,
    /// Half precisions to fall back to, the preferred one first.
    pub lower: Vec<Precision>,
    /// Whether attention can be computed in chunks.
    pub chunked: bool,
    /// Whether it runs on a device with a memory of its own.
    pub device: bool,
    /// Whether it may run on the CPU.
    pub cpu: bool,
}

/// Every way, the best first: full attention, chunked attention, the same in half precision, the CPU. `num_objects` as
/// in [`Plan`].
pub fn ways(abilities: &Abilities, num_objects: u32) -> Vec<Way> {
    let attentions = |tier, precision| {
        let chunked = abilities.chunked.then_some(Attention::Chunked);
        [Some(Attention::Full), chunked]
            .into_iter()
            .flatten()
            .map(move |attention| Way {
                tier,
                plan: Plan {
                    attention,
                    precision,
                    num_objects,
                },
            })
    };
    let lower = abilities
        .lower
        .iter()
        .copied()
        .filter(|&precision| precision != abilities.precision && precision != Precision::Fp32);
    let mut ways = Vec::new();
    if abilities.device {
        for precision in std::iter::once(abilities.precision).chain(lower) {
            ways.extend(attentions(Tier::Device, precision));
        }
    }
    if abilities.cpu {
        // Who falls back to the CPU has no use for half precision there; who chose the CPU chose its precision too.
        let precision = if abilities.device {
            Precision::Fp32
        } else {
            abilities.precision
        };
        ways.extend(attentions(Tier::Host, precision));
    }
    ways
}

/// A part of the work on an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// The image encoder; its embedding stays.
    Encode,
    /// The mask decoder on an embedding that is there.
    Decode,
}

/// A way and what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The way.
    pub way: Way,
    /// Bytes it needs, over and above what is held already.
    pub needed: u64,
}

impl Candidate {
    /// From the backend's estimate. `extra` is what must come to the place first, such as the weights where they are not.
    pub fn new(way: Way, work: Work, estimate: &Estimate, extra: u64) -> Self {
        let needed = match work {
            Work::Encode => estimate
                .embedding_bytes
                .saturating_add(estimate.encode_workspace_bytes),
            Work::Decode => estimate.decode_workspace_bytes,
        };
        Self {
            way,
            needed: needed.saturating_add(extra),
        }
    }
}

/// What can be had.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Supply {
    /// The room on the device; `None` when its figures could not be had.
    pub device: Option<Room>,
    /// Bytes that caches on the device would give back if asked.
    pub device_releasable: u64,
    /// Bytes of host memory that can be had; `None` when that is not known.
    pub host: Option<u64>,
    /// Bytes that caches in host memory would give back if asked.
    pub host_releasable: u64,
}

impl Supply {
    /// Bytes to be given back before `needed` fit in a tier; 0 where its figures are not known.
    fn deficit(&self, tier: Tier, needed: u64) -> u64 {
        match tier {
            Tier::Device => self.device.map_or(0, |room| room.deficit(needed)),
            Tier::Host => self.host.map_or(0, |free| needed.saturating_sub(free)),
        }
    }

    fn available(&self, tier: Tier) -> Option<u64> {
        match tier {
            Tier::Device => self.device.map(|room| room.available()),
            Tier::Host => self.host,
        }
    }

    fn releasable(&self, tier: Tier) -> u64 {
        match tier {
            Tier::Device => self.device_releasable,
            Tier::Host => self.host_releasable,
        }
    }
}

/// A way that was passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The way.
    pub way: Way,
    /// Bytes it needs.
    pub needed: u64,
    /// Bytes that can be had; `None` when that is not known.
    pub available: Option<u64>,
    /// Bytes that caches would give back besides.
    pub releasable: u64,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} needs {}", self.way, Size(self.needed))?;
        let Some(available) = self.available else {
            return Ok(());
        };
        write!(f, ", {} available", Size(available))?;
        if self.releasable > 0 {
            write!(f, " and {} in caches", Size(self.releasable))?;
        }
        Ok(())
    }
}

/// The way an operation is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The way.
    pub way: Way,
    /// Its number among the candidates.
    pub index: usize,
    /// Bytes it needs.
    pub needed: u64,
    /// Bytes that the caches of its tier must give back first.
    pub release: u64,
    /// The allocator is to be emptied first, whether caches give something back or not.
    pub empty_allocator: bool,
    /// Ways that were passed over for it.
    pub skipped: Vec<Skipped>,
    /// Why, with the numbers.
    pub reason: String,
}

impl Choice {
    /// Whether a better way was passed over.
    pub fn is_downgrade(&self) -> bool {
        !self.skipped.is_empty()
    }
}

/// Nothing fits.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "no way to run this fits in memory: {}{}",
    Sentences(skipped),
    Help(help)
)]
pub struct NoPlanFits {
    /// Every way, and why it does not fit.
    pub skipped: Vec<Skipped>,
    /// What a person can do.
    pub help: Vec<String>,
}

impl NoPlanFits {
    /// The smallest of the needs.
    pub fn smallest_need(&self) -> Option<u64> {
        self.skipped.iter().map(|skipped| skipped.needed).min()
    }
}

struct Sentences<'a>(&'a [Skipped]);

impl fmt::Display for Sentences<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("there is neither a GPU nor leave to run on the CPU");
        }
        for (index, skipped) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{skipped}")?;
        }
        Ok(())
    }
}

/// The end of a message: what would help.
pub(super) struct Help<'a>(pub &'a [String]);

impl fmt::Display for Help<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, ". What would help: {}", self.0.join("; "))
    }
}

/// Chooses among candidates, the best first. Neighbours with the same place and precision give the same result within
/// rounding: among them, one that fits as things are goes before one that needs caches to be given back, and if all do,
/// the one that needs the least does. A lower precision or the CPU comes after all of these.
///
/// A place whose figures are not known is taken at its word: the operation itself will tell.
///
/// # Errors
/// Nothing fits, with the numbers.
pub fn choose(candidates: &[Candidate], supply: &Supply) -> Result<Choice, NoPlanFits> {
    let mut start = 0;
    for group in candidates.chunk_by(|a, b| same_result(a.way, b.way)) {
        if let Some(index) = best_of(group, supply) {
            return Ok(chosen(candidates, start + index, supply));
        }
        start += group.len();
    }
    Err(NoPlanFits {
        skipped: candidates
            .iter()
            .map(|candidate| skip(candidate, supply))
            .collect(),
        help: help(candidates, supply),
    })
}

/// The candidates that give the same result within rounding as the best one.
pub fn equal_to_best(candidates: &[Candidate]) -> &[Candidate] {
    let mut groups = candidates.chunk_by(|a, b| same_result(a.way, b.way));
    groups.next().unwrap_or_default()
}

fn same_result(a: Way, b: Way) -> bool {
    a.tier == b.tier && a.plan.precision == b.plan.precision
}

fn best_of(group: &[Candidate], supply: &Supply) -> Option<usize> {
    let deficit = |candidate: &Candidate| supply.deficit(candidate.way.tier, candidate.needed);
    // The first of equals is the better one.
    (0..group.len())
        .min_by_key(|&index| deficit(&group[index]))
        .filter(|&index| deficit(&group[index]) <= supply.releasable(group[index].way.tier))
}

fn skip(candidate: &Candidate, supply: &Supply) -> Skipped {
    Skipped {
        way: candidate.way,
        needed: candidate.needed,
        available: supply.available(candidate.way.tier),
        releasable: supply.releasable(candidate.way.tier),
    }
}

fn chosen(candidates: &[Candidate], index: usize, supply: &Supply) -> Choice {
    let Candidate { way, needed } = candidates[index];
    let release = supply.deficit(way.tier, needed);
    let passed_over: Vec<_> = candidates[..index]
        .iter()
        .map(|candidate| skip(candidate, supply))
        .collect();
    let mut reason = match supply.available(way.tier) {
        Some(available) => format!(
            "{way} needs {} of {} available",
            Size(needed),
            Size(available)
        ),
        None => format!(
            "{way} needs {}; how much is available is not known",
            Size(needed)
        ),
    };
    if release > 0 {
        reason.push_str(&format!(", after caches give back {}", Size(release)));
    }
    for skipped in &passed_over {
        reason.push_str(&format!("; instead of {skipped}"));
    }
    Choice {
        way,
        index,
        needed,
        release,
        empty_allocator: way.tier == Tier::Device
            && supply
                .device
                .is_some_and(|room| release > 0 || room.must_empty(needed)),
        skipped: passed_over,
        reason,
    }
}

fn help(candidates: &[Candidate], supply: &Supply) -> Vec<String> {
    let smallest_on = |tier| {
        candidates
            .iter()
            .filter(|candidate| candidate.way.tier == tier)
            .map(|candidate| candidate.needed)
            .min()
    };
    let mut help = Vec::new();
    if let (Some(needed), Some(room)) = (smallest_on(Tier::Device), &supply.device) {
        let short = room
            .deficit(needed)
            .saturating_sub(supply.device_releasable);
        help.push(format!("free {} of GPU memory", Size(short)));
        help.extend(room.advice(short));
    }
    match smallest_on(Tier::Host) {
        Some(needed) => {
            let short = supply
                .deficit(Tier::Host, needed)
                .saturating_sub(supply.host_releasable);
            help.push(format!("free {} of host memory", Size(short)));
        }
        None => help.push("allow the CPU".to_owned()),
    }
    help.push("use a smaller model, or fewer objects in one call".to_owned());
    help
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::config::MemoryConfig;
    use crate::memory::{budget, figures::Figures};
    use proptest::prelude::*;

    const GB: u64 = 1 << 30;

    fn abilities() -> Abilities {
        Abilities {
            precision: Precision::Fp32,
            lower: vec![Precision::Bf16],
            chunked: true,
            device: true,
            cpu: true,
        }
    }

    fn supply(device_free: u64, device_releasable: u64, host: u64) -> Supply {
        let figures = Figures {
            total: 8 * GB,
            used: 8 * GB - device_free,
            free: device_free,
            process: Some(0),
        };
        let config = MemoryConfig {
            fraction: 1.0,
            ..Default::default()
        };
        Supply {
            device: Some(budget::room(&figures, None, &config)),
            device_releasable,
            host: Some(host),
            host_releasable: 0,
        }
    }

    /// The ways of [`abilities`], needing so many MB each.
    fn candidates(megabytes: [u64; 6]) -> Vec<Candidate> {
        ways(&abilities(), 0)
            .into_iter()
            .zip(megabytes)
            .map(|(way, megabytes)| Candidate {
                way,
                needed: megabytes << 20,
            })
            .collect()
    }

    const VIT_H: [u64; 6] = [5000, 2000, 2500, 1000, 5000, 2000];

    fn chosen_with(free_mb: u64, releasable_mb: u64) -> (String, u64) {
        let choice = choose(
            &candidates(VIT_H),
            &supply(free_mb << 20, releasable_mb << 20, 16 * GB),
        )
        .unwrap();
        (choice.way.to_string(), choice.release >> 20)
    }

    #[test]
    fn the_ways_go_from_full_over_chunked_and_half_precision_to_the_cpu() {
        let texts: Vec<_> = ways(&abilities(), 3).iter().map(Way::to_string).collect();
        assert_eq!(
            texts,
            [
                "full attention in fp32 on the GPU",
                "chunked attention in fp32 on the GPU",
                "full attention in bf16 on the GPU",
                "chunked attention in bf16 on the GPU",
                "full attention in fp32 on the CPU",
                "chunked attention in fp32 on the CPU",
            ]
        );
        assert!(
            ways(&abilities(), 3)
                .iter()
                .all(|way| way.plan.num_objects == 3)
        );
    }

    #[test]
    fn a_model_in_half_precision_is_never_raised_and_what_cannot_be_done_is_not_offered() {
        let half = Abilities {
            precision: Precision::Fp16,
            lower: vec![Precision::Fp32, Precision::Fp16],
            chunked: false,
            device: true,
            cpu: false,
        };
        let texts: Vec<_> = ways(&half, 0).iter().map(Way::to_string).collect();
        assert_eq!(texts, ["full attention in fp16 on the GPU"]);
    }

    #[test]
    fn the_best_way_that_fits_is_chosen_as_memory_gets_tighter() {
        let chosen: Vec<_> = [6000, 3000, 1500, 500]
            .map(|free| chosen_with(free, 0).0)
            .into();
        assert_eq!(
            chosen,
            [
                "full attention in fp32 on the GPU",
                "chunked attention in fp32 on the GPU",
                "chunked attention in bf16 on the GPU",
                "full attention in fp32 on the CPU",
            ]
        );
    }

    #[test]
    fn the_same_result_without_giving_anything_back_goes_before_giving_caches_back() {
        assert_eq!(
            chosen_with(3000, 4000),
            ("chunked attention in fp32 on the GPU".to_owned(), 0)
        );
    }

    #[test]
    fn caches_are_given_back_before_the_precision_is_lowered_and_only_the_deficit() {
        assert_eq!(
            chosen_with(1200, 4000),
            ("chunked attention in fp32 on the GPU".to_owned(), 800)
        );
    }

    #[test]
    fn the_reason_tells_the_numbers_of_what_was_passed_over() {
        let choice = choose(&candidates(VIT_H), &supply(3 * GB, 0, 16 * GB)).unwrap();
        assert!(choice.is_downgrade());
        assert_eq!(
            choice.reason,
            "chunked attention in fp32 on the GPU needs 1.95 GB of 3.00 GB available; instead of full attention in \
             fp32 on the GPU needs 4.88 GB, 3.00 GB available"
        );
    }

    #[test]
    fn when_nothing_fits_the_error_has_every_number_and_what_would_help() {
        let error = choose(&candidates(VIT_H), &supply(GB / 2, 0, GB)).unwrap_err();
        assert_eq!(error.skipped.len(), 6);
        assert_eq!(error.smallest_need(), Some(1000 << 20));
        let text = error.to_string();
        for part in [
            "full attention in fp32 on the GPU needs 4.88 GB, 512.0 MB available",
            "chunked attention in fp32 on the CPU needs 1.95 GB, 1.00 GB available",
            "free 488.0 MB of GPU memory",
            "they hold 7.50 GB",
            "free 976.0 MB of host memory",
        ] {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
    }

    #[test]
    fn without_figures_the_best_way_is_tried() {
        let blind = Supply {
            device: None,
            host: None,
            ..supply(0, 0, 0)
        };
        let choice = choose(&candidates(VIT_H), &blind).unwrap();
        assert_eq!((choice.index, choice.release), (0, 0));
        assert!(choice.reason.contains("not known"), "{}", choice.reason);
    }

    #[test]
    fn with_nowhere_to_run_the_error_says_so() {
        let text = choose(&[], &supply(0, 0, 0)).unwrap_err().to_string();
        assert!(
            text.contains("neither a GPU nor leave to run on the CPU"),
            "{text}"
        );
    }

    #[test]
    fn encoding_needs_its_embedding_and_workspace_and_decoding_its_own() {
        let estimate = Estimate {
            embedding_bytes: 4,
            encode_workspace_bytes: 100,
            decode_workspace_bytes: 7,
        };
        let way = ways(&abilities(), 0)[0];
        assert_eq!(Candidate::new(way, Work::Encode, &estimate, 50).needed, 154);
        assert_eq!(Candidate::new(way, Work::Decode, &estimate, 0).needed, 7);
    }

    proptest! {
        #[test]
        fn whatever_fits_is_found_and_whatever_is_found_fits(
            needs in proptest::array::uniform6(0..9000_u64),
            free in 0..=8192_u64, releasable in 0..4096_u64, host in 0..8192_u64,
        ) {
            let candidates = candidates(needs);
            let supply = supply(free << 20, releasable << 20, host << 20);
            let fits = |candidate: &Candidate| match candidate.way.tier {
                Tier::Device => candidate.needed <= (free + releasable) << 20,
                Tier::Host => candidate.needed <= host << 20,
            };
            match choose(&candidates, &supply) {
                Err(error) => {
                    prop_assert!(!candidates.iter().any(fits));
                    prop_assert_eq!(error.skipped.len(), candidates.len());
                }
                Ok(choice) => {
                    prop_assert!(fits(&candidates[choice.index]));
                    let free = if choice.way.tier == Tier::Device { free << 20 } else { host << 20 };
                    prop_assert_eq!(choice.release, choice.needed.saturating_sub(free));
                    // Nothing with a better result would have fitted.
                    let better = candidates[..choice.index].iter();
                    prop_assert!(!better.clone().any(|other| !same_result(other.way, choice.way) && fits(other)));
                    // And within the same result, nothing better would have fitted as things are.
                    let mut equals = better.filter(|other| same_result(other.way, choice.way));
                    prop_assert!(!equals.any(|other| other.needed <= free));
                }
            }
        }
    }
}
