//! Takes off what wrappers put before the names of a model's tensors.

use std::collections::BTreeSet;

use crate::error::{Problem, listed, shown};
use crate::tensor::TensorLayout;

/// The parts of the models that are known, under their official names.
const PARTS: &[&str] = &[
    "image_encoder",
    "prompt_encoder",
    "mask_decoder",
    "sam_prompt_encoder",
    "sam_mask_decoder",
    "memory_attention",
    "memory_encoder",
];
/// Those that make up a whole model.
const WHOLE: [&[&str]; 2] = [
    &["image_encoder", "prompt_encoder", "mask_decoder"],
    &["image_encoder", "sam_prompt_encoder", "sam_mask_decoder"],
];
/// What `torch.compile` puts into names, at the front or before any part that was compiled.
const COMPILED: &str = "_orig_mod.";

/// Takes off the prefix that stands before all parts of a model, such as `module.`, `model.` or `sam.`.
///
/// When a file holds the parts under several prefixes, the one that has a whole model is taken.
pub(crate) fn strip_prefix(
    tensors: Vec<(String, TensorLayout)>,
) -> Result<Vec<(String, TensorLayout)>, Problem> {
    let tensors: Vec<_> = tensors
        .into_iter()
        .map(|(name, layout)| (name.replace(COMPILED, ""), layout))
        .collect();
    let found: BTreeSet<(&str, &str)> =
        tensors.iter().filter_map(|(name, _)| split(name)).collect();
    let prefix = match choose(&found)? {
        None | Some("") => return Ok(tensors),
        Some(prefix) => prefix.to_owned(),
    };
    let strip = |name: String| match name.strip_prefix(&prefix) {
        Some(rest) => rest.to_owned(),
        None => name,
    };
    Ok(tensors
        .into_iter()
        .map(|(name, layout)| (strip(name), layout))
        .collect())
}

/// What stands before the first part named in a tensor's name, and that part.
fn split(name: &str) -> Option<(&str, &str)> {
    let mut start = 0;
    for component in name.split('.') {
        if PARTS.contains(&component) {
            return Some((&name[..start], component));
        }
        start += component.len() + 1;
    }
    None
}

fn choose<'n>(found: &BTreeSet<(&'n str, &'n str)>) -> Result<Option<&'n str>, Problem> {
    let prefixes: BTreeSet<_> = found.iter().map(|(prefix, _)| *prefix).collect();
    if prefixes.len() < 2 {
        return Ok(prefixes.first().copied());
    }
    let has_all = |prefix: &str, parts: &[&'static str]| {
        parts.iter().all(|part| found.contains(&(prefix, *part)))
    };
    let whole: Vec<_> = prefixes
        .iter()
        .copied()
        .filter(|prefix| WHOLE.iter().any(|parts| has_all(prefix, parts)))
        .collect();
    match whole[..] {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        _ => Err(Problem::NoStateDict(format!(
            "holds several models, under the prefixes {}: save the one you want alone",
            listed(whole.iter().map(|prefix| format!("`{}`", shown(prefix))))
        ))),
    }
}
