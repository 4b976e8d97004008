//! Holds a checkpoint against the tensors that its model needs.

use std::collections::HashSet;

use super::config::Architecture;
use crate::checkpoint::Checkpoint;
use crate::error::{CheckpointError, Mismatch, Misshaped, Problem, Result};

/// A checkpoint that has all that its model needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    /// Description of the model.
    pub found: String,
    /// Tensors that the model needs, all of which are there.
    pub used: usize,
    /// Tensors that are known not to be needed, such as the classifier head of TinyViT or the memory of SAM 2.
    pub ignored: Vec<String>,
    /// Tensors that are no part of the model. They are not used; a model that was changed by hand may need them.
    pub unexpected: Vec<String>,
}

impl Architecture {
    /// Checks that the checkpoint has every tensor the model needs, in its shape and of a real type.
    ///
    /// # Errors
    /// When tensors are missing or do not fit, naming them.
    pub fn check(&self, checkpoint: &Checkpoint<'_>) -> Result<CheckReport> {
        self.hold_against(checkpoint)
            .map_err(|problem| CheckpointError::new(checkpoint.source_name(), problem))
    }

    fn hold_against(&self, checkpoint: &Checkpoint<'_>) -> Result<CheckReport, Problem> {
        let found = self.describe();
        let expected = self.expected_tensors();
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
        let (ignored, unexpected): (Vec<_>, Vec<_>) =
            others.partition(|name| is_ignored(name, matches!(self, Self::Sam2(_))));
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
fn is_ignored(name: &str, sam2: bool) -> bool {
    sam2 && VIDEO_PARTS.iter().any(|part| name.starts_with(part)) || is_ignored_in_sam(name)
}

/// What SAM 2 remembers the frames of a video with.
const VIDEO_PARTS: [&str; 9] = [
    "memory_attention.",
    "memory_encoder.",
    "mask_downsample.",
    "maskmem_tpos_enc",
    "no_mem_pos_enc",
    "no_obj_embed_spatial",
    "no_obj_ptr",
    "obj_ptr_proj.",
    "obj_ptr_tpos_proj.",
];

fn is_ignored_in_sam(name: &str) -> bool {
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
