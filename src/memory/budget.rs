//! How much device memory this process may use: fraction × total, minus what other processes hold.

use crate::backend::AllocatorMemory;

use super::config::{FRACTION_VARIABLE, MemoryConfig};
use super::figures::Figures;
use super::units::Size;

/// What this process may still take of a device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Room {
    /// Bytes the device has.
    pub total: u64,
    /// Share of the total that may be used.
    pub fraction: f64,
    /// Bytes that other processes hold.
    pub others: u64,
    /// Bytes that this process holds.
    pub ours: u64,
    /// Bytes that this process may hold in all: `fraction` × `total` − `others`.
    pub ceiling: u64,
    /// Bytes free on the device for any process.
    pub free: u64,
    /// Bytes that the allocator holds and does not use.
    pub idle: u64,
}

/// The room that the figures leave. `allocator` is the backend's, where it has one and tells.
///
/// Where the source does not tell processes apart, what the allocator holds counts as ours and all else as others'.
pub fn room(figures: &Figures, allocator: Option<AllocatorMemory>, config: &MemoryConfig) -> Room {
    let reserved = allocator.map_or(0, |allocator| allocator.reserved);
    let ours = figures.process.unwrap_or(reserved).min(figures.used);
    let others = figures.used - ours;
    Room {
        total: figures.total,
        fraction: config.fraction,
        others,
        ours,
        ceiling: limit(figures.total, config.fraction).saturating_sub(others),
        free: figures.free,
        idle: allocator.map_or(0, |allocator| {
            allocator.reserved.saturating_sub(allocator.allocated)
        }),
    }
}

/// `fraction` of `total`, in whole bytes and never above it.
pub fn limit(total: u64, fraction: f64) -> u64 {
    ((total as f64 * fraction) as u64).min(total)
}

impl Room {
    /// Bytes that can be had from the device without crossing the budget.
    pub fn from_device(&self) -> u64 {
        self.ceiling.saturating_sub(self.ours).min(self.free)
    }

    /// Bytes that can be had in all: from the device, and what the allocator holds unused. Where this process holds too
    /// much, since a neighbour has grown, less than it holds unused.
    pub fn available(&self) -> u64 {
        let within_ceiling = self.ceiling.saturating_sub(self.in_use());
        within_ceiling.min(self.free.saturating_add(self.idle))
    }

    /// Bytes that caches must give back before `needed` bytes fit, once the allocator is emptied. Counts what this
    /// process holds too much.
    pub fn deficit(&self, needed: u64) -> u64 {
        let above_ceiling = self
            .in_use()
            .saturating_add(needed)
            .saturating_sub(self.ceiling);
        let not_free = needed.saturating_sub(self.free.saturating_add(self.idle));
        above_ceiling.max(not_free)
    }

    /// Whether the allocator is to be emptied before `needed` bytes are taken: what it holds unused may be in pieces
    /// that do not serve, so that it would take as much again from the device and cross the budget.
    pub fn must_empty(&self, needed: u64) -> bool {
        self.idle > 0 && self.ours.saturating_add(needed) > self.ceiling
    }

    /// Bytes that this process holds and uses.
    fn in_use(&self) -> u64 {
        self.ours.saturating_sub(self.idle)
    }

    /// Bytes this process holds above the budget, because others have grown.
    pub fn excess(&self) -> u64 {
        self.ours.saturating_sub(self.ceiling)
    }

    /// What a person can do so that `short` bytes more fit.
    pub fn advice(&self, short: u64) -> Vec<String> {
        let mut advice = Vec::new();
        if self.others > 0 {
            advice.push(format!(
                "close other programs that use the GPU: they hold {}",
                Size(self.others)
            ));
        }
        let outside = self.free.saturating_sub(self.from_device());
        if outside >= short && self.fraction < 1.0 {
            advice.push(format!(
                "raise {FRACTION_VARIABLE}, now {}: {} are free outside the budget",
                self.fraction,
                Size(outside)
            ));
        }
        advice
    }
}

/// What is asked when an operation wants memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It fits.
    Fits,
    /// It would cross the budget: caches give this many bytes back first and the allocator is emptied, then it goes on
    /// as [`crosses`] says.
    Shed {
        /// Bytes; 0 when emptying the allocator is enough.
        deficit: u64,
    },
}

/// Whether `bytes` more fit in the budget.
pub fn admit(bytes: u64, room: &Room) -> Admission {
    match room.deficit(bytes) {
        0 if !room.must_empty(bytes) => Admission::Fits,
        deficit => Admission::Shed { deficit },
    }
}

/// Whether what does not fit even after caches were shed may be tried all the same: with growth the limit is soft and
/// the device decides; without it the limit is strict.
pub fn crosses(config: &MemoryConfig) -> bool {
    config.growth
}

/// The limit to set on the allocator, in bytes: `None` with growth enabled, when it grows as needed. What this process
/// holds outside of the allocator, such as the CUDA context, is taken off.
pub fn allocator_limit(
    figures: &Figures,
    allocator: Option<AllocatorMemory>,
    config: &MemoryConfig,
) -> Option<u64> {
    if config.growth {
        return None;
    }
    let room = room(figures, allocator, config);
    let reserved = allocator.map_or(0, |allocator| allocator.reserved);
    Some(
        room.ceiling
            .saturating_sub(room.ours.saturating_sub(reserved)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GB: u64 = 1 << 30;

    fn config(fraction: f64, growth: bool) -> MemoryConfig {
        MemoryConfig {
            fraction,
            growth,
            ..Default::default()
        }
    }

    fn figures(total: u64, used: u64, process: Option<u64>) -> Figures {
        Figures {
            total,
            used,
            free: total - used,
            process,
        }
    }

    fn allocator(allocated: u64, reserved: u64) -> Option<AllocatorMemory> {
        Some(AllocatorMemory {
            allocated,
            reserved,
        })
    }

    #[test]
    fn what_others_hold_comes_off_the_fraction() {
        let room = room(
            &figures(8 * GB, 3 * GB, Some(GB)),
            allocator(GB / 2, GB),
            &config(0.75, true),
        );
        assert_eq!((room.others, room.ceiling), (2 * GB, 4 * GB));
        assert_eq!((room.from_device(), room.idle), (3 * GB, GB / 2));
        assert_eq!(room.available(), 3 * GB + GB / 2);
    }

    #[test]
    fn without_processes_told_apart_the_allocator_says_what_is_ours() {
        let seen = room(
            &figures(8 * GB, 3 * GB, None),
            allocator(GB, GB),
            &config(1.0, true),
        );
        assert_eq!((seen.ours, seen.others), (GB, 2 * GB));
        let unseen = room(&figures(8 * GB, 3 * GB, None), None, &config(1.0, true));
        assert_eq!((unseen.ours, unseen.others), (0, 3 * GB));
    }

    #[test]
    fn crossing_the_budget_asks_for_the_deficit_and_no_more() {
        let room = room(
            &figures(8 * GB, 5 * GB, Some(5 * GB)),
            allocator(5 * GB, 5 * GB),
            &config(0.75, true),
        );
        assert_eq!(admit(GB, &room), Admission::Fits);
        assert_eq!(admit(3 * GB, &room), Admission::Shed { deficit: 2 * GB });
    }

    #[test]
    fn a_neighbour_that_grows_makes_us_give_back_what_is_too_much() {
        let room = room(
            &figures(8 * GB, 8 * GB, Some(4 * GB)),
            allocator(4 * GB, 4 * GB),
            &config(0.75, true),
        );
        assert_eq!((room.available(), room.excess()), (0, 2 * GB));
    }

    #[test]
    fn defect_5_the_limit_is_set_on_the_allocator_when_growth_is_disabled_and_only_then() {
        let device = figures(8 * GB, 2 * GB, Some(GB));
        assert_eq!(
            allocator_limit(&device, allocator(0, 0), &config(0.5, true)),
            None
        );
        // 4 GB, minus 1 GB of others, minus 1 GB of ours that the allocator does not hold.
        assert_eq!(
            allocator_limit(&device, allocator(0, 0), &config(0.5, false)),
            Some(2 * GB)
        );
        assert!(crosses(&config(0.5, true)) && !crosses(&config(0.5, false)));
    }

    #[test]
    fn advice_names_the_variable_only_where_it_would_help() {
        let held = figures(8 * GB, 6 * GB, Some(0));
        let advice = room(&held, None, &config(0.75, true)).advice(GB).join("; ");
        assert!(
            advice.contains("they hold 6.00 GB")
                && advice.contains("SAM_GPU_MEMORY_FRACTION, now 0.75: 2.00 GB"),
            "{advice}"
        );
        let advice = room(&held, None, &config(0.75, true))
            .advice(3 * GB)
            .join("; ");
        assert!(!advice.contains("FRACTION"), "{advice}");
    }

    fn any_device() -> impl Strategy<Value = Figures> {
        (0..1_u64 << 40, 0.0..=1.0, proptest::option::of(0.0..=1.0)).prop_map(
            |(total, used, process): (u64, f64, Option<f64>)| {
                let used = limit(total, used);
                figures(total, used, process.map(|process| limit(used, process)))
            },
        )
    }

    proptest! {
        #[test]
        fn taking_what_is_available_keeps_us_in_the_budget_and_others_unharmed(
            device in any_device(), fraction in 0.0..=1.0_f64, reserved in 0..1_u64 << 40, part in 0.0..=1.0_f64,
        ) {
            let reserved = reserved.min(device.process.unwrap_or(device.used));
            let allocated = (reserved as f64 * part) as u64;
            let config = config(fraction, true);
            let room = room(&device, allocator(allocated.min(reserved), reserved), &config);
            let grown = room.ours + room.from_device();
            prop_assert!(room.from_device() == 0 || grown + room.others <= limit(device.total, fraction));
            prop_assert!(room.from_device() <= device.free);
            prop_assert_eq!(room.ours + room.others, device.used);
            prop_assert!(room.available() <= device.total);
        }

        #[test]
        fn giving_the_deficit_back_makes_what_was_asked_for_fit(
            device in any_device(), fraction in 0.01..=1.0_f64, needed in 0..1_u64 << 40,
        ) {
            let config = config(fraction, true);
            let before = room(&device, None, &config);
            let deficit = before.deficit(needed);
            if deficit <= before.ours {
                let after = Figures {
                    used: device.used - deficit,
                    free: device.free + deficit,
                    process: Some(before.ours - deficit),
                    ..device
                };
                let after = room(&after, None, &config);
                prop_assert_eq!(admit(needed, &after), Admission::Fits);
            }
        }

        #[test]
        fn absurd_figures_do_no_harm(
            total: u64, used: u64, free: u64, process: Option<u64>, allocated: u64, reserved: u64, fraction in 0.0..=1.0_f64, needed: u64,
        ) {
            let device = Figures { total, used, free, process };
            let room = room(&device, allocator(allocated, reserved), &config(fraction, false));
            let _ = (room.available(), room.deficit(needed), room.advice(needed));
            let _ = allocator_limit(&device, allocator(allocated, reserved), &config(fraction, false));
        }
    }
}
