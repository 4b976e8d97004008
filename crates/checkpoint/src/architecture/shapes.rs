//! Looks up sizes in the shapes of a checkpoint's tensors, with fallbacks, so that a model whose file lacks a few
//! tensors is still recognised and the missing ones can be listed.

use crate::checkpoint::Checkpoint;
use crate::error::{ArchitectureProblem, listed, shown};

/// Largest size of an axis. Far beyond any model, and small enough for all arithmetic on sizes.
const MAX_SIZE: usize = 1 << 16;
/// Most numbered parts (blocks, layers) in a row. ViT-H has 32 blocks.
const MAX_PARTS: usize = 256;

/// One axis of one tensor, as a place where a size may be found.
pub(super) struct Axis {
    tensor: String,
    axis: usize,
    rank: usize,
}

impl Axis {
    pub fn tensor(&self) -> &str {
        &self.tensor
    }
}

/// Axis `axis` of the tensor `name`, which has `rank` axes.
pub(super) fn axis(name: impl Into<String>, axis: usize, rank: usize) -> Axis {
    Axis {
        tensor: name.into(),
        axis,
        rank,
    }
}

/// The shapes of a checkpoint, seen as those of a model of one family.
#[derive(Clone, Copy)]
pub(super) struct Shapes<'c> {
    checkpoint: &'c Checkpoint<'c>,
    /// What to call the model in messages.
    pub found: &'static str,
}

impl<'c> Shapes<'c> {
    pub fn new(checkpoint: &'c Checkpoint<'c>, found: &'static str) -> Self {
        Self { checkpoint, found }
    }

    pub fn shape(&self, name: &str) -> Option<&'c [usize]> {
        self.checkpoint.tensor(name).map(|tensor| tensor.shape)
    }

    pub fn has(&self, name: &str) -> bool {
        self.shape(name).is_some()
    }

    pub fn any_starts_with(&self, prefix: &str) -> bool {
        self.checkpoint.names().any(|name| name.starts_with(prefix))
    }

    /// A size, from the first of the places that is there.
    pub fn size(&self, what: &'static str, places: &[Axis]) -> Result<usize, ArchitectureProblem> {
        let mut misshaped = None;
        for place in places {
            let Some(shape) = self.shape(&place.tensor) else {
                continue;
            };
            if shape.len() != place.rank {
                misshaped.get_or_insert((place, shape));
                continue;
            }
            return self.bounded(shape[place.axis], &place.tensor, shape);
        }
        Err(match misshaped {
            Some((place, shape)) => self.misshaped(
                &place.tensor,
                shape,
                format!("{} axes are needed", place.rank),
            ),
            None => self.incomplete(what, places.iter().map(|place| place.tensor.as_str())),
        })
    }

    fn bounded(
        &self,
        size: usize,
        tensor: &str,
        shape: &[usize],
    ) -> Result<usize, ArchitectureProblem> {
        if (1..=MAX_SIZE).contains(&size) {
            Ok(size)
        } else {
            Err(self.misshaped(
                tensor,
                shape,
                format!("sizes from 1 to {MAX_SIZE} are read"),
            ))
        }
    }

    /// How many numbered parts there are: one more than the highest number that follows `prefix`.
    pub fn count(&self, what: &'static str, prefix: &str) -> Result<usize, ArchitectureProblem> {
        let number = |name: &str| -> Option<usize> {
            let rest = name.strip_prefix(prefix)?;
            rest.split('.').next()?.parse().ok()
        };
        let highest = self.checkpoint.names().filter_map(number).max();
        match highest {
            None => Err(self.incomplete(what, [format!("{prefix}0").as_str()])),
            Some(highest) if highest >= MAX_PARTS => Err(ArchitectureProblem::Undetermined {
                found: self.found,
                what,
                reason: format!(
                    "a tensor of `{prefix}{highest}` claims more than {MAX_PARTS} of them"
                ),
                keys: "the right tensors, and what they are",
            }),
            Some(highest) => Ok(highest + 1),
        }
    }

    pub fn incomplete<'n>(
        &self,
        what: &'static str,
        looked_for: impl IntoIterator<Item = &'n str>,
    ) -> ArchitectureProblem {
        let names = looked_for
            .into_iter()
            .map(|name| format!("`{}`", shown(name)));
        ArchitectureProblem::Incomplete {
            found: self.found,
            missing: listed(names),
            what,
        }
    }

    pub fn misshaped(
        &self,
        tensor: &str,
        shape: &[usize],
        wanted: impl Into<String>,
    ) -> ArchitectureProblem {
        ArchitectureProblem::Shape {
            found: self.found,
            tensor: shown(tensor),
            shape: shape.to_vec(),
            wanted: wanted.into(),
        }
    }
}
