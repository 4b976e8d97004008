//! How many points are decoded at once.

use crate::error::Error;
use crate::memory::execute::Fit;

/// Fewer points than this at once are slower by more than what the embeddings cost that would have to go for them.
const WORTH_AN_EMBEDDING: u32 = 8;

/// Lowers the number of points of a batch to what memory has room for.
pub(super) struct BatchSize {
    /// What is asked for, or what is left of it after memory ran out in spite of the estimate.
    most: u32,
    /// The smallest that was chosen below what was asked for.
    reduced: Option<u32>,
}

impl BatchSize {
    pub fn new(most: u32) -> Self {
        Self {
            most,
            reduced: None,
        }
    }

    /// Points for the next batch, of `left` that are left. `fit` tells whether so many fit.
    ///
    /// Half precision and the CPU are no choice here: half as many points give the same masks. The first number that fits as
    /// things are is taken; below a few points, one that makes caches give something back goes before.
    pub fn choose(
        &mut self,
        left: u32,
        mut fit: impl FnMut(u32) -> Result<Fit, Error>,
    ) -> Result<u32, Error> {
        let most = self.most.min(left);
        let mut after_release = None;
        let mut points = most;
        loop {
            if points < WORTH_AN_EMBEDDING
                && let Some(larger) = after_release
            {
                return Ok(self.chosen(larger, most));
            }
            match fit(points)? {
                Fit::AsIs => return Ok(self.chosen(points, most)),
                Fit::AfterRelease => after_release = after_release.or(Some(points)),
                Fit::No => {}
            }
            if points == 1 {
                // With nothing that fits, what can be done for one point is up to the memory manager.
                return Ok(self.chosen(after_release.unwrap_or(1), most));
            }
            points = points.div_ceil(2);
        }
    }

    /// Memory ran out for `points`. Tells whether fewer can be tried.
    pub fn ran_out(&mut self, points: u32) -> bool {
        if points <= 1 {
            return false;
        }
        self.most = points / 2;
        self.reduced = Some(self.reduced.map_or(self.most, |least| least.min(self.most)));
        true
    }

    /// The smallest number chosen for want of memory.
    pub fn reduced(&self) -> Option<u32> {
        self.reduced
    }

    fn chosen(&mut self, points: u32, most: u32) -> u32 {
        if points < most {
            self.reduced = Some(self.reduced.map_or(points, |least| least.min(points)));
        }
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is chosen of 64 when so many fit as things are, and so many more after caches gave something back.
    fn chosen(free: u32, with_caches: u32) -> (u32, Option<u32>) {
        let mut size = BatchSize::new(64);
        let fit = |points| {
            Ok(match points {
                points if points <= free => Fit::AsIs,
                points if points <= with_caches => Fit::AfterRelease,
                _ => Fit::No,
            })
        };
        let points = size.choose(1000, fit).unwrap();
        (points, size.reduced())
    }

    #[test]
    fn the_number_is_halved_until_it_fits() {
        assert_eq!(chosen(64, 64), (64, None));
        assert_eq!(chosen(63, 63), (32, Some(32)));
        assert_eq!(chosen(9, 9), (8, Some(8)));
        assert_eq!(chosen(1, 1), (1, Some(1)));
    }

    #[test]
    fn caches_give_something_back_only_when_few_points_would_be_left_without() {
        assert_eq!(chosen(20, 64), (16, Some(16)));
        assert_eq!(chosen(8, 64), (8, Some(8)));
        assert_eq!(chosen(7, 64), (64, None));
        assert_eq!(chosen(0, 40), (32, Some(32)));
        assert_eq!(chosen(0, 1), (1, Some(1)));
    }

    #[test]
    fn one_point_is_tried_when_nothing_seems_to_fit() {
        assert_eq!(chosen(0, 0), (1, Some(1)));
    }

    #[test]
    fn after_memory_ran_out_no_batch_is_as_large_again() {
        let mut size = BatchSize::new(64);
        assert!(size.ran_out(64) && size.ran_out(32));
        assert_eq!(size.choose(1000, |_| Ok(Fit::AsIs)).unwrap(), 16);
        assert_eq!(size.reduced(), Some(16));
        assert!(size.ran_out(2) && !size.ran_out(1));
    }

    #[test]
    fn a_last_batch_that_is_small_because_no_points_are_left_is_no_reduction() {
        let mut size = BatchSize::new(64);
        assert_eq!(size.choose(5, |_| Ok(Fit::AsIs)).unwrap(), 5);
        assert_eq!(size.reduced(), None);
    }
}
