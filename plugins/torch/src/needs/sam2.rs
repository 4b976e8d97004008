//! What SAM 2 needs.

use sam_mm_backend_abi::sdk::Attention;
use sam_mm_checkpoint::{HieraBlockConfig, Sam2Config};

use super::kernel::{BLOCK, LANES, PANEL, TILE};
use super::{AttentionBy, derived_weights_of_decoder, layer_by_layer};
use crate::hiera::{Parts, PatchEmbed, runs_whole};
use crate::shim::tiled_linear::TiledLayer;

/// Bytes that a change of precision takes in passing: a block of the trunk, or the decoder, is there twice, and a tensor of
/// it once more while it is read.
pub fn precision_change_of_sam2(config: &Sam2Config) -> u64 {
    let weights = |block: &HieraBlockConfig| {
        let (dim, width) = (block.dim, block.dim_out);
        4 * dim * width + width * width + 2 * width * block.mlp_dim
    };
    let blocks = config.image_encoder.blocks();
    let largest = blocks.iter().map(weights).max().unwrap_or(0);
    layer_by_layer(largest, &config.mask_decoder)
}

/// Elements that there are more than the parameters, of which `wide` are as large as one of fp32. There may be fewer,
/// because layers of the neck are made one with those of the decoder.
pub fn derived_weights_of_sam2(config: &Sam2Config, wide: usize) -> i64 {
    let stages = &config.image_encoder.stages;
    let positions = wide * stages[0].resolution.pow(2) * stages[0].embed_dim;
    let dim = config.mask_decoder.transformer_dim;
    let fused = [(0, dim / 8), (1, dim / 4)].map(|(stage, outputs)| {
        let inputs = stages[stage].embed_dim as i64;
        let (dim, outputs) = (dim as i64, outputs as i64);
        inputs * outputs - inputs * dim - dim * outputs
    });
    let decoder = derived_weights_of_decoder(&config.prompt_encoder, &config.mask_decoder);
    (positions + decoder) as i64 + fused.iter().sum::<i64>()
}

/// What encoding takes besides the embedding, in elements of which `wide` are as large as one of fp32. Maps between blocks,
/// norms and the kernel's input and output are fp32 in any case.
pub fn encode_sam2(
    config: &Sam2Config,
    attention: Attention,
    by: AttentionBy,
    wide: usize,
    on_gpu: bool,
) -> usize {
    let hiera = &config.image_encoder;
    let converted = |elements: usize| if wide > 1 { elements } else { 0 };
    let input = hiera.in_chans * hiera.image_size.pow(2);
    let map = |resolution: usize, width: usize| resolution.pow(2) * width;
    let first = map(hiera.stages[0].resolution, hiera.stages[0].embed_dim);
    // The image and the padded one; then that and the tokens, with the patches of some of them.
    let padded = hiera.in_chans * (hiera.image_size + hiera.patch_kernel - 1).pow(2);
    let side = hiera.stages[0].resolution;
    let patch = hiera.in_chans * hiera.patch_kernel.pow(2) + hiera.stages[0].embed_dim;
    let some = PatchEmbed::rows_at_once(side) * side * patch;
    let padding = wide * (input + padded) + converted(padded);
    let patch_embed = padding.max(padded + wide * first + some);
    let blocks = hiera.blocks();
    let blocks = blocks.iter().map(|block| {
        let parts = Parts::new(block, attention, on_gpu);
        let pool = if block.pools_queries { 2 } else { 1 };
        let source = wide * map(block.resolution, block.dim);
        let target = match pool {
            1 => 0,
            _ => wide * map(block.resolution / pool, block.dim_out),
        };
        if let Some(threads) = tiles(block, by, wide).filter(|_| runs_whole(block)) {
            let within = match block.window_size {
                0 => of_all_keys(block, threads),
                _ => of_windows(block, threads),
            };
            return source + target + within;
        }
        let tokens = parts.mlp_rows() * block.resolution / pool;
        let mlp = match tiles(block, by, wide) {
            Some(threads) => threads * widest_tile(block),
            None => {
                let widths = 2 * block.dim_out + block.mlp_dim;
                tokens * widths + converted(wide * tokens * block.dim_out)
            }
        };
        source + target + attend(block, &parts, by, wide).max(mlp)
    });
    // A level before and after it is brought into the order of cells.
    let dim = config.mask_decoder.transformer_dim;
    let levels = hiera.stages.iter().zip([dim / 8, dim / 4, dim, dim]);
    let levels = levels.map(|(stage, channels)| {
        let source = map(stage.resolution, stage.embed_dim);
        wide * source + converted(source) + map(stage.resolution, channels)
    });
    let most = |elements: &mut dyn Iterator<Item = usize>| elements.max().unwrap_or(0);
    patch_embed
        .max(most(&mut blocks.into_iter()))
        .max(most(&mut levels.into_iter()))
}

/// What attention takes besides its map.
fn attend(block: &HieraBlockConfig, parts: &Parts, by: AttentionBy, wide: usize) -> usize {
    let (side, width) = (block.resolution, block.dim_out);
    let area = if block.pools_queries { 4 } else { 1 };
    let rows = parts.attention_rows();
    let tokens = rows * side;
    let of_keys = if block.window_size == 0 {
        side * side
    } else {
        tokens
    };
    // Keys and values, queries and what is attended to.
    let mut elements = 2 * of_keys * width + tokens * width + tokens * width / area;
    // Normed tokens.
    elements += match tiles(block, by, wide) {
        Some(threads) => threads * tile(block.dim.max(width)),
        None => tokens * block.dim,
    };
    if area > 1 {
        // The residual, or later the queries before they are pooled.
        elements += tokens * width;
    }
    let fp32 = 2 * of_keys * width + 2 * tokens * width / area;
    if wide > 1 {
        elements += wide * (fp32 + tokens * block.dim);
    }
    match by {
        AttentionBy::Kernel { threads } => elements + wide * threads * kernel_workspace(block),
        AttentionBy::Operators => {
            let window = if block.window_size == 0 {
                side
            } else {
                block.window_size
            };
            let padded = rows.next_multiple_of(window) * side.next_multiple_of(window);
            let queries = if block.window_size == 0 {
                tokens
            } else {
                padded
            };
            // Scores before and after softmax, and the parts cut into windows.
            let scores = 2 * block.num_heads * queries / area * window * window;
            elements + scores + 4 * padded * width
        }
    }
}

/// How many threads work on a block's linear layers in tiles (`shim/tiled_linear/`); `None`: oneDNN and libtorch make them.
fn tiles(block: &HieraBlockConfig, by: AttentionBy, wide: usize) -> Option<usize> {
    let fit =
        [block.dim, block.dim_out, block.mlp_dim].map(|width| TiledLayer::takes(width as i64));
    match by {
        AttentionBy::Kernel { threads } if wide == 1 && fit == [true; 3] => Some(threads),
        _ => None,
    }
}

/// Most hidden values of a row that an MLP in tiles makes at a time (`shim/tiled_linear/kernel.inc`), for every instruction
/// set.
const DEPTH: usize = 256;

/// What threads hold of the windows that each takes through a block at a time (`groups_of` and `OfWindows` of
/// `shim/hiera_block/hiera_block.cpp`).
fn of_windows(block: &HieraBlockConfig, threads: usize) -> usize {
    let (most, area) = match block.pools_queries {
        true => (384, 4),
        false => (192, 1),
    };
    let most = most.min(block.resolution.pow(2).div_ceil(threads));
    let sides = || {
        let starts = (0..block.resolution).step_by(block.window_size);
        starts.map(|start| block.window_size.min(block.resolution - start))
    };
    let windows = sides().flat_map(|h| sides().map(move |w| h * w));
    let (mut groups, mut tokens, mut open) = (0, 0, most);
    for window in windows {
        if open + window > most {
            groups += 1;
            open = 0;
        }
        open += window;
        tokens = tokens.max(open);
    }
    threads.min(groups) * of_a_group(block, tokens, area)
}

fn of_a_group(block: &HieraBlockConfig, tokens: usize, area: usize) -> usize {
    // The map's values, queries, keys and values; of pooled queries the residual, and both pooled.
    let mut rows = tokens * (block.dim + 3 * block.dim_out);
    if area > 1 {
        rows += tokens * block.dim_out + 2 * tokens / area * block.dim_out;
    }
    rows + widest_tile(block) + kernel_workspace(block)
}

/// What global attention takes within a block: all keys and values, and what a thread holds of a tile of queries (`OfTile` of
/// `shim/hiera_block/hiera_block.cpp`).
fn of_all_keys(block: &HieraBlockConfig, threads: usize) -> usize {
    let keys = block.num_heads * packed_keys(block);
    let of_keys = BLOCK * 2 * block.dim_out;
    let of_queries = TILE * block.dim_out + queries_of_a_tile(block);
    keys + threads * (widest_tile(block) + of_keys.max(of_queries))
}

/// A tile of the rows of a block's MLP, which is the widest of its layers.
fn widest_tile(block: &HieraBlockConfig) -> usize {
    tile(
        block
            .dim
            .max(block.dim_out + block.mlp_dim.next_multiple_of(PANEL).min(DEPTH)),
    )
}

/// A tile of rows, each with a gap after every layer.
fn tile(widths: usize) -> usize {
    const GAP: usize = 16;
    TILE * (widths + 2 * GAP)
}

/// What a thread of the kernel holds: a head's keys and values, and a tile of queries with their scores
/// (`shim/attention/kernel.inc`).
fn kernel_workspace(block: &HieraBlockConfig) -> usize {
    packed_keys(block) + queries_of_a_tile(block)
}

/// Keys and values of a head of a window (`Keys` there).
fn packed_keys(block: &HieraBlockConfig) -> usize {
    let (keys, row, head_dim, width) = slots(block);
    keys.div_ceil(BLOCK) * row * (head_dim + width)
}

/// A tile of queries with their scores and sums (`Scratch` there).
fn queries_of_a_tile(block: &HieraBlockConfig) -> usize {
    let (_, row, head_dim, width) = slots(block);
    // The greatest score and the sum of weights of a query.
    let per_query = 2;
    TILE * (head_dim + width + row + per_query) + row
}

/// Keys of a window, those that are a block with what pads it, the width of a head, and that of its values padded.
fn slots(block: &HieraBlockConfig) -> (usize, usize, usize, usize) {
    let side = match block.window_size {
        0 => block.resolution,
        window => window,
    };
    let keys = side * side;
    let head_dim = block.dim_out / block.num_heads;
    let row = keys.min(BLOCK).next_multiple_of(LANES);
    let width = head_dim.next_multiple_of(PANEL);
    (keys, row.next_multiple_of(PANEL), head_dim, width)
}
