//! Holds a checkpoint against the tensors that its model needs.

use std::collections::HashSet;

use super::config::Architecture;
use crate::checkpoint::Checkpoint;
use crate::error::{ArchitectureProblem, CheckpointError, Mismatch, Misshaped, Problem, Result};

/// A checkpoint that has all that its model needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    /// Description of the model.
    pub found: String,
    /// Tensors that the model needs, all of which are there.
    pub used: usize,
    /// Tensors that are known not to be needed, such as the classifier head of TinyViT.
    pub ignored: Vec<String>,
    /// Tensors that are no part of the model. They are not used; a model that was changed by hand may need them.
    pub unexpected: Vec<String>,
}

impl Architecture {
    /// Checks that the checkpoint has every tensor the model needs, in its shape and of a real type.
    ///
    /// # Errors
    /// When tensors are missing or do not fit, naming them, or when the family is only recognised.
    pub fn check(&self, checkpoint: &Checkpoint<'_>) -> Result<CheckReport> {
        self.hold_against(checkpoint)
            .map_err(|problem| CheckpointError::new(checkpoint.source_name(), problem))
    }

    fn hold_against(&self, checkpoint: &Checkpoint<'_>) -> Result<CheckReport, Problem> {
        let found = self.describe();
        let Some(expected) = self.expected_tensors() else {
            return Err(ArchitectureProblem::UnsupportedFamily { model: found }.into());
        };
        let mut mismatch = Mismatch {
            found,
            expected: expected.len(),
            ..Mismatch::default()
        };
        for tensor in &expected {
            match checkpoint.tensor(&tensor.name) {
                None => mismatch
                    .missing
                    .push((tensor.name.clone(), tensor.shape.clone())),
                Some(there) if there.shape != tensor.shape => mismatch.misshaped.push(Misshaped {
                    name: tensor.name.clone(),
                    found: there.shape.to_vec(),
                    wanted: tensor.shape.clone(),
                }),
                Some(there) if !there.dtype.is_float() => {
                    mismatch.mistyped.push((tensor.name.clone(), there.dtype))
                }
                Some(_) => {}
            }
        }
        let known: HashSet<_> = expected.iter().map(|tensor| tensor.name.as_str()).collect();
        let others = checkpoint
            .names()
            .filter(|name| !known.contains(name))
            .map(str::to_owned);
        let (ignored, unexpected): (Vec<_>, Vec<_>) = others.partition(|name| is_ignored(name));
        if mismatch.is_empty() {
            return Ok(CheckReport {
                found: mismatch.found,
                used: expected.len(),
                ignored,
                unexpected,
            });
        }
        mismatch.unexpected = unexpected;
        Err(Problem::Mismatch(Box::new(mismatch)))
    }
}

/// Whether a tensor is known to be of no use to inference.
fn is_ignored(name: &str) -> bool {
    const NAMES: [&str; 6] = [
        "pixel_mean",
        "pixel_std",
        "image_encoder.head.weight",
        "image_encoder.head.bias",
        "image_encoder.norm_head.weight",
        "image_encoder.norm_head.bias",
    ];
    const ENDINGS: [&str; 3] = [".num_batches_tracked", ".attention_bias_idxs", ".attn.ab"];
    NAMES.contains(&name) || ENDINGS.iter().any(|ending| name.ends_with(ending))
}
