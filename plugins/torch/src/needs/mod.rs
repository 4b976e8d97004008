//! How much memory the operations of a model need, in elements of its precision: figures for planning, on the safe
//! side. The largest tensors that live at one time are counted, not every small one.

mod sam2;

pub use sam2::{derived_weights_of_sam2, encode_sam2, precision_change_of_sam2};

use sam_mm_backend_abi::sdk::Attention;
use sam_mm_checkpoint::{
    ImageEncoderConfig, MaskDecoderConfig, PromptEncoderConfig, SamConfig, SamVitConfig,
    TinyVitConfig,
};
use tch::Device;

use crate::cells::PER_CELL;
use crate::image_encoder_vit::Chunks;
use crate::mask_decoder::UPSCALING_CELLS;
use crate::shim::{has_attention_kernel, num_threads};
use crate::tiny_vit::rows::STRIP_CELLS;

/// Tokens that are reckoned with in a prompt: those of the output and about ten points.
const TOKENS: usize = 16;

/// Bytes that a change of precision takes in passing: a layer of the ViT encoder, or the decoder, is there twice, and a
/// tensor of it once more while it is read. `None` for a TinyViT, which is small and is changed as a whole.
pub fn precision_change(config: &SamConfig) -> Option<u64> {
    let ImageEncoderConfig::Vit(vit) = &config.image_encoder else {
        return None;
    };
    let width = vit.embed_dim;
    let block = 4 * width * width + 2 * width * vit.mlp_dim;
    Some(layer_by_layer(block, &config.mask_decoder))
}

/// What a change of precision takes when the largest block of the image encoder has so many weights.
fn layer_by_layer(block: usize, decoder: &MaskDecoderConfig) -> u64 {
    let &MaskDecoderConfig {
        transformer_dim: channels,
        transformer_depth,
        mlp_dim,
        num_multimask_outputs,
        ..
    } = decoder;
    let layers = transformer_depth * (8 * channels * channels + 2 * channels * mlp_dim);
    let heads = (num_multimask_outputs + 5) * 2 * channels * channels;
    let elements = block.max(layers + heads);
    (elements + elements / 2) as u64 * 4
}

/// Elements of the cells of an image embedding.
pub fn embedding(prompts: &PromptEncoderConfig) -> usize {
    prompts.image_embedding_size.pow(2) * prompts.embed_dim
}

/// What decoding takes of so many objects at a time, in elements of which `wide` are as large as one of fp32.
pub fn decode(
    prompts: &PromptEncoderConfig,
    decoder: &MaskDecoderConfig,
    objects: usize,
    wide: usize,
) -> usize {
    let &MaskDecoderConfig {
        transformer_dim: channels,
        num_heads,
        attention_downsample_rate,
        num_multimask_outputs,
        mlp_dim,
        ..
    } = decoder;
    let cells = prompts.image_embedding_size.pow(2);
    let image = cells * channels;
    // Queries, keys and values that are kept. Making them takes less than the first object after it.
    let shared = 3 * image / attention_downsample_rate;
    // The image with and without its encoding, the one that is made of them, and half of one in projections; attention
    // before and after softmax.
    let transformer = objects * (7 * image / 2 + 3 * num_heads * TOKENS * cells);
    // The images, and of one of them at a time what becomes of some cells before and after the norm and at full size.
    let upscaling = objects * image + 4 * cells.min(UPSCALING_CELLS as usize) * channels;
    let logits = objects * num_multimask_outputs * cells * PER_CELL;
    let tokens = objects * TOKENS * (4 * channels + mlp_dim);
    shared + transformer.max(upscaling) + wide * logits + tokens
}

/// What the TinyViT encoder takes.
pub fn encode_tiny_vit(config: &TinyVitConfig) -> usize {
    let strip_cells = STRIP_CELLS as usize;
    let input = config.in_chans * config.image_size.pow(2);
    let stages = config.stages.iter().map(|stage| {
        let map = stage.resolution.pow(2) * stage.embed_dim;
        // Hidden values of a strip with a row around it, before and after an activation; or of a band of windows.
        let strip = (strip_cells + 2 * stage.resolution) * stage.hidden_dim;
        let band = stage.window_size * (stage.resolution + stage.window_size) * 5 * stage.embed_dim;
        2 * map + (2 * strip).max(band)
    });
    let grid = config.stages.last().map_or(0, |stage| stage.resolution);
    let neck = grid.pow(2) * (4 * config.out_chans);
    let first = config
        .stages
        .first()
        .map_or(0, |stage| stage.resolution.pow(2) * stage.embed_dim);
    let stem = 4 * (strip_cells * 4 + 4 * config.image_size) * config.stem_dim;
    stages
        .max()
        .unwrap_or(0)
        .max(input + first + stem)
        .max(neck)
}

/// How attention of the ViT encoder is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttentionBy {
    /// By the kernel of the CPU, which holds no scores, on that many threads.
    Kernel {
        /// Each has a workspace.
        threads: usize,
    },
    /// Of libtorch's operators, which may hold all scores.
    Operators,
}

impl AttentionBy {
    /// As it is computed on a device.
    pub fn on(device: Device) -> Self {
        if device == Device::Cpu && has_attention_kernel(None) {
            let threads = num_threads() as usize;
            Self::Kernel { threads }
        } else {
            Self::Operators
        }
    }
}

/// What the ViT encoder takes, in elements of which `wide` are as large as one of fp32: 1, or 2 in half precision, where
/// the residual stream, norms and the kernel's input and output are fp32 all the same.
pub fn encode_vit(
    config: &SamVitConfig,
    attention: Attention,
    by: AttentionBy,
    wide: usize,
) -> usize {
    let grid = config.grid_size();
    let map = grid * grid * config.embed_dim;
    let input = config.in_chans * config.image_size.pow(2);
    let converted = |elements: usize| if wide > 1 { elements } else { 0 };
    // The pixels, the same patch by patch, and the tokens.
    let patch_embed = 2 * wide * input + wide * map + converted(input + map);
    let blocks = config.blocks.iter().map(|block| {
        let cuts = Chunks::new(grid as i64, block.window_size as i64, attention);
        let attention = attend(config, block.window_size, &cuts, by, wide);
        // Normed tokens, hidden values, and what is added.
        let widths = 2 * config.embed_dim + config.mlp_dim + converted(wide * config.embed_dim);
        let mlp = cuts.rows_of_mlp() * grid * widths;
        wide * map + attention.max(mlp)
    });
    // The last map, and what the convolutions make of it, in and out of their own layouts.
    let neck = wide * map + converted(map) + 6 * grid * grid * config.out_chans;
    patch_embed.max(blocks.max().unwrap_or(0)).max(neck)
}

/// What attention takes besides the residual stream.
fn attend(
    config: &SamVitConfig,
    window: usize,
    cuts: &Chunks,
    by: AttentionBy,
    wide: usize,
) -> usize {
    let grid = config.grid_size();
    let row = grid * config.embed_dim;
    // Normed tokens, queries and what is attended to, of some rows; keys and values, of those rows or of all.
    let parts = cuts.queries().len();
    let rows = match parts {
        1 => cuts.rows_of_attention(),
        _ => cuts.rows_of_queries(),
    };
    let of_keys = if parts == 1 { rows } else { grid };
    let tokens = (3 * rows + 2 * of_keys) * row;
    match by {
        AttentionBy::Kernel { threads } => {
            let converted = match wide {
                1 => 0,
                _ => wide * 2 * (rows + of_keys) * row,
            };
            tokens + converted + wide * threads * kernel_workspace(config, window)
        }
        AttentionBy::Operators => {
            let side = if window == 0 { grid } else { window };
            let padded = rows.next_multiple_of(window.max(1)) * grid.next_multiple_of(side);
            // Scores before and after softmax; queries and keys as they are extended, and their copies.
            let scores = 2 * config.num_heads * padded * side * side;
            let extended = config.embed_dim + config.num_heads * 2 * side;
            tokens + scores + 4 * (padded + of_keys * grid) * extended
        }
    }
}

/// What a thread of the kernel holds: a head's keys and values, and a tile of queries with their scores
/// (`shim/attention/kernel.inc`).
fn kernel_workspace(config: &SamVitConfig, window: usize) -> usize {
    use kernel::{BLOCK, LANES, PANEL, TILE};
    let side = if window == 0 {
        config.grid_size()
    } else {
        window
    };
    let width = config.head_dim().next_multiple_of(PANEL);
    let pitch = side.next_multiple_of(LANES);
    let slots = side * pitch + (side * pitch / BLOCK + 1) * PANEL;
    let block = pitch.max(BLOCK) + PANEL;
    let rel_pos = 2 * (2 * side).next_multiple_of(PANEL);
    slots * (config.head_dim() + width) + TILE * (config.head_dim() + width + block + rel_pos)
}

/// What bounds the sizes of the attention kernel (`shim/attention/kernel.inc`), for every instruction set.
pub(crate) mod kernel {
    /// Floats of a vector.
    pub const LANES: usize = 16;
    /// Columns of a panel.
    pub const PANEL: usize = 64;
    /// Queries of a tile.
    pub const TILE: usize = 96;
    /// Keys of a block.
    pub const BLOCK: usize = 256;
}

/// Elements that are made of the weights when a model is loaded, and kept beside or instead of them: what there is more
/// than the parameters.
pub fn derived_weights(config: &SamConfig, by: AttentionBy) -> usize {
    derived_weights_of_decoder(&config.prompt_encoder, &config.mask_decoder)
        + encoder_weights(&config.image_encoder, by)
}

fn derived_weights_of_decoder(prompts: &PromptEncoderConfig, decoder: &MaskDecoderConfig) -> usize {
    let (channels, depth) = (decoder.transformer_dim, decoder.transformer_depth);
    let projection = channels * channels / decoder.attention_downsample_rate;
    // Two projections of every cross attention, by head.
    let carried = 2 * (2 * depth + 1) * projection;
    // The positional encoding of every cell.
    embedding(prompts) + carried
}

fn encoder_weights(config: &ImageEncoderConfig, by: AttentionBy) -> usize {
    match (config, by) {
        // The bias of every pair of cells of a window, instead of that of every offset.
        (ImageEncoderConfig::TinyVit(config), _) => config
            .stages
            .iter()
            .map(|stage| {
                let cells = stage.window_size.pow(2);
                stage.depth * stage.num_heads * cells * (cells - cells.min(1))
            })
            .sum(),
        (ImageEncoderConfig::Vit(_), AttentionBy::Kernel { .. }) => 0,
        // Relative positions by query and key, and the unit vectors of keys.
        (ImageEncoderConfig::Vit(config), AttentionBy::Operators) => config
            .blocks
            .iter()
            .map(|block| match block.window_size {
                0 => config.grid_size(),
                window => window,
            })
            .map(|side| 2 * side * side * (config.head_dim() + side))
            .sum(),
    }
}
