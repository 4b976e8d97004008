//! What the metadata of a `.safetensors` file says about the model. Shapes have the last word.

use std::collections::BTreeMap;

use crate::error::{ArchitectureProblem, shown};

/// Numbers that the metadata may give.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hints {
    pub image_size: Option<usize>,
    pub patch_size: Option<usize>,
    pub num_heads: Option<usize>,
    pub window_size: Option<usize>,
    pub global_attn_indexes: Option<Vec<usize>>,
    pub decoder_num_heads: Option<usize>,
    pub window_spec: Option<Vec<usize>>,
    pub global_att_blocks: Option<Vec<usize>>,
}

/// Largest number that is believed.
const MAX: usize = 1 << 16;

impl Hints {
    pub fn read(metadata: &BTreeMap<String, String>) -> Result<Self, ArchitectureProblem> {
        let number = |key: &'static str| match metadata.get(key) {
            None => Ok(None),
            Some(text) => parse(key, text, text).map(Some),
        };
        let list = |key: &'static str| match metadata.get(key) {
            None => Ok(None),
            Some(text) => parse_list(key, text).map(Some),
        };
        Ok(Self {
            image_size: number("image_size")?,
            patch_size: number("patch_size")?,
            num_heads: number("num_heads")?,
            window_size: number("window_size")?,
            global_attn_indexes: list("global_attn_indexes")?,
            decoder_num_heads: number("decoder_num_heads")?,
            window_spec: list("window_spec")?,
            global_att_blocks: list("global_att_blocks")?,
        })
    }
}

fn parse_list(key: &'static str, text: &str) -> Result<Vec<usize>, ArchitectureProblem> {
    let inner = text
        .trim()
        .trim_start_matches(['[', '('])
        .trim_end_matches([']', ')']);
    let items = inner
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty());
    items.map(|item| parse(key, item, text)).collect()
}

fn parse(key: &'static str, item: &str, text: &str) -> Result<usize, ArchitectureProblem> {
    match item.trim().parse() {
        Ok(number) if number <= MAX => Ok(number),
        _ => Err(ArchitectureProblem::Metadata {
            key,
            value: shown(text),
            reason: format!("whole numbers from 0 to {MAX} are needed"),
        }),
    }
}

/// Takes what the shapes tell, and refuses a hint that says otherwise.
pub(super) fn agreed(
    key: &'static str,
    hint: Option<usize>,
    shapes: usize,
    tensor: &str,
) -> Result<usize, ArchitectureProblem> {
    match hint {
        Some(hint) if hint != shapes => Err(ArchitectureProblem::Metadata {
            key,
            value: hint.to_string(),
            reason: format!("the shape of `{tensor}` tells that it is {shapes}"),
        }),
        _ => Ok(shapes),
    }
}
