//! Finds out the Hiera image encoder of SAM 2.

use super::config::{HieraConfig, HieraStageConfig};
use super::hints::Hints;
use super::shapes::{Shapes, axis};
use crate::error::ArchitectureProblem;

const TRUNK: &str = "image_encoder.trunk.";
const BLOCKS: &str = "image_encoder.trunk.blocks.";
/// Input side of every official model, which shapes do not tell.
const IMAGE_SIZE: usize = 1024;
/// Stages: the coarsest gives its features to the one before, and the other three go to the mask decoder.
const STAGES: usize = 4;
const KEYS: &str = "`num_heads` (of the first stage), `window_spec` and `global_att_blocks`";

/// A trunk that has a name, and what its shapes do not tell (`sam2/configs`).
pub(super) struct OfficialHiera {
    /// As in `sam2.1_hiera_tiny.pt`.
    pub name: &'static str,
    embed_dim: usize,
    depths: [usize; 4],
    num_heads: usize,
    window_spec: [usize; 4],
    global_att_blocks: [usize; 3],
}

const OFFICIAL: [OfficialHiera; 4] = [
    OfficialHiera {
        name: "tiny",
        embed_dim: 96,
        depths: [1, 2, 7, 2],
        num_heads: 1,
        window_spec: [8, 4, 14, 7],
        global_att_blocks: [5, 7, 9],
    },
    OfficialHiera {
        name: "small",
        embed_dim: 96,
        depths: [1, 2, 11, 2],
        num_heads: 1,
        window_spec: [8, 4, 14, 7],
        global_att_blocks: [7, 10, 13],
    },
    OfficialHiera {
        name: "base_plus",
        embed_dim: 112,
        depths: [2, 3, 16, 3],
        num_heads: 2,
        window_spec: [8, 4, 14, 7],
        global_att_blocks: [12, 16, 20],
    },
    OfficialHiera {
        name: "large",
        embed_dim: 144,
        depths: [2, 6, 36, 4],
        num_heads: 2,
        window_spec: [8, 4, 16, 8],
        global_att_blocks: [23, 33, 43],
    },
];

impl OfficialHiera {
    /// The one of these sizes; they are told apart by the width and the blocks of each stage.
    fn find(stages: &[Stage]) -> Option<&'static Self> {
        OFFICIAL.iter().find(|official| {
            stages
                .first()
                .is_some_and(|s| s.embed_dim == official.embed_dim)
                && stages.iter().map(|stage| stage.depth).eq(official.depths)
        })
    }

    /// The official trunk that a configuration is in every respect but the size of its input.
    pub fn of(config: &HieraConfig) -> Option<&'static Self> {
        OFFICIAL.iter().find(|official| {
            let stages = &config.stages;
            let first = stages
                .first()
                .map(|stage| (stage.embed_dim, stage.num_heads));
            first == Some((official.embed_dim, official.num_heads))
                && stages.iter().map(|stage| stage.depth).eq(official.depths)
                && stages
                    .iter()
                    .map(|s| s.window_size)
                    .eq(official.window_spec)
                && config.global_att_blocks == official.global_att_blocks
        })
    }
}

/// A stage as far as shapes tell it.
struct Stage {
    embed_dim: usize,
    depth: usize,
    mlp_dim: usize,
}

/// What shapes do not tell.
struct Told {
    num_heads: usize,
    window_spec: Vec<usize>,
    global_att_blocks: Vec<usize>,
}

pub(super) fn detect(
    shapes: Shapes<'_>,
    hints: &Hints,
) -> Result<HieraConfig, ArchitectureProblem> {
    let patches = format!("{TRUNK}patch_embed.proj.weight");
    let pos_embed = format!("{TRUNK}pos_embed");
    let window = format!("{TRUNK}pos_embed_window");
    let stages = stages(shapes)?;
    let pos_embed_window_size = shapes.size(
        "the window of the first stage",
        &[axis(window.as_str(), 3, 4), axis(window.as_str(), 2, 4)],
    )?;
    let told = told(shapes, hints, &stages, pos_embed_window_size)?;
    let image_size = hints.image_size.unwrap_or(IMAGE_SIZE);
    let background = "the size of the position embedding";
    let config = HieraConfig {
        image_size,
        in_chans: shapes.size("the channels of the input", &[axis(patches.as_str(), 1, 4)])?,
        patch_kernel: shapes.size("the size of a patch", &[axis(patches.as_str(), 3, 4)])?,
        pos_embed_size: [
            shapes.size(background, &[axis(pos_embed.as_str(), 2, 4)])?,
            shapes.size(background, &[axis(pos_embed.as_str(), 3, 4)])?,
        ],
        pos_embed_window_size,
        stages: stages
            .iter()
            .enumerate()
            .map(|(index, stage)| HieraStageConfig {
                embed_dim: stage.embed_dim,
                depth: stage.depth,
                num_heads: told.num_heads << index,
                window_size: told.window_spec[index],
                resolution: (image_size / HieraConfig::PATCH_STRIDE) >> index,
                mlp_dim: stage.mlp_dim,
            })
            .collect(),
        global_att_blocks: told.global_att_blocks,
    };
    check(shapes, &config)?;
    Ok(config)
}

/// A stage starts where a block changes the width: there the resolution is halved, too.
fn stages(shapes: Shapes<'_>) -> Result<Vec<Stage>, ArchitectureProblem> {
    let depth = shapes.count("the blocks of the image encoder", BLOCKS)?;
    let mut stages: Vec<Stage> = Vec::new();
    for index in 0..depth {
        let part = |name: &str, on, rank| axis(format!("{BLOCKS}{index}.{name}"), on, rank);
        let embed_dim = shapes.size(
            "the width of a block",
            &[
                part("attn.proj.weight", 0, 2),
                part("norm2.weight", 0, 1),
                part("mlp.layers.1.weight", 0, 2),
            ],
        )?;
        let mlp_dim = shapes.size(
            "the width of the MLP of a block",
            &[
                part("mlp.layers.0.weight", 0, 2),
                part("mlp.layers.1.weight", 1, 2),
            ],
        )?;
        match stages.last_mut().filter(|last| last.embed_dim == embed_dim) {
            Some(last) => last.depth += 1,
            None => stages.push(Stage {
                embed_dim,
                depth: 1,
                mlp_dim,
            }),
        }
    }
    if stages.len() == STAGES {
        return Ok(stages);
    }
    let widths: Vec<_> = stages.iter().map(|stage| stage.embed_dim).collect();
    let wanted = format!("the blocks must make {STAGES} stages, each of another width");
    Err(shapes.misshaped(&format!("{BLOCKS}*.attn.proj.weight"), &widths, wanted))
}

/// Metadata first, then what is known of official models.
fn told(
    shapes: Shapes<'_>,
    hints: &Hints,
    stages: &[Stage],
    first_window: usize,
) -> Result<Told, ArchitectureProblem> {
    let official = OfficialHiera::find(stages);
    let sizes = || {
        let list = |of: fn(&Stage) -> usize| {
            let texts: Vec<_> = stages.iter().map(|stage| of(stage).to_string()).collect();
            texts.join(", ")
        };
        format!(
            "its stages are {} channels wide and {} blocks deep, which is no official size",
            list(|stage| stage.embed_dim),
            list(|stage| stage.depth)
        )
    };
    let undetermined = |what| ArchitectureProblem::Undetermined {
        found: shapes.found,
        what,
        reason: sizes(),
        keys: KEYS,
    };
    let window_spec = hints
        .window_spec
        .clone()
        .or_else(|| official.map(|official| official.window_spec.to_vec()))
        .ok_or_else(|| undetermined("the size of the attention windows"))?;
    let metadata = |key, value: &[usize], reason| ArchitectureProblem::Metadata {
        key,
        value: format!("{value:?}"),
        reason,
    };
    if window_spec.len() != stages.len() {
        let reason = format!("there are {} stages", stages.len());
        return Err(metadata("window_spec", &window_spec, reason));
    }
    if window_spec[0] != first_window {
        let reason = format!(
            "the shape of `{TRUNK}pos_embed_window` tells that the first is {first_window}"
        );
        return Err(metadata("window_spec", &window_spec, reason));
    }
    Ok(Told {
        num_heads: hints
            .num_heads
            .or_else(|| official.map(|official| official.num_heads))
            .ok_or_else(|| undetermined("the number of attention heads"))?,
        window_spec,
        global_att_blocks: hints
            .global_att_blocks
            .clone()
            .or_else(|| official.map(|official| official.global_att_blocks.to_vec()))
            .ok_or_else(|| undetermined("which blocks attend to the whole map"))?,
    })
}

/// What the computation needs of the sizes.
fn check(shapes: Shapes<'_>, config: &HieraConfig) -> Result<(), ArchitectureProblem> {
    let refuse =
        |key, value: String, reason| Err(ArchitectureProblem::Metadata { key, value, reason });
    let (size, last) = (config.image_size, config.stages.len().saturating_sub(1));
    let stride = HieraConfig::PATCH_STRIDE << last;
    let unit = config.pos_embed_window_size * HieraConfig::PATCH_STRIDE;
    for multiple in [stride, unit] {
        if size == 0 || !size.is_multiple_of(multiple) {
            let reason = format!("a multiple of {multiple} is needed");
            return refuse("image_size", size.to_string(), reason);
        }
    }
    if let Some(beyond) = config
        .global_att_blocks
        .iter()
        .find(|&&index| index >= config.depth())
    {
        let reason = format!("there are {} blocks, counted from 0", config.depth());
        return refuse("global_att_blocks", beyond.to_string(), reason);
    }
    for (index, block) in config.blocks().iter().enumerate() {
        if block.num_heads == 0 || !block.dim_out.is_multiple_of(block.num_heads) {
            let reason = format!(
                "block {index} then has {} heads, which do not divide its {} channels",
                block.num_heads, block.dim_out
            );
            return refuse("num_heads", config.stages[0].num_heads.to_string(), reason);
        }
        if block.pools_queries && !block.window_size.is_multiple_of(2) {
            let reason = format!(
                "block {index} halves the resolution inside of windows, and cannot halve {}",
                block.window_size
            );
            return refuse("window_spec", block.window_size.to_string(), reason);
        }
    }
    let kernel = config.patch_kernel;
    if kernel.is_multiple_of(2) {
        let tensor = format!("{TRUNK}patch_embed.proj.weight");
        let shape = shapes.shape(&tensor).unwrap_or(&[]);
        return Err(shapes.misshaped(&tensor, shape, "the side of its kernel must be odd"));
    }
    Ok(())
}
