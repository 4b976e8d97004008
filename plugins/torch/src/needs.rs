//! How much memory the operations of a model need, in elements of its precision: figures for planning, on the safe
//! side. The largest tensors that live at one time are counted, not every small one.

use sam_mm_backend_abi::sdk::Attention;
use sam_mm_checkpoint::{
    MaskDecoderConfig, PromptEncoderConfig, SamConfig, SamVitConfig, TinyVitConfig,
};

use crate::cells::PER_CELL;
use crate::tiny_vit::rows::STRIP_CELLS;

/// Tokens that are reckoned with in a prompt: those of the output and about ten points.
const TOKENS: usize = 16;

/// Elements of an image embedding.
pub fn embedding(prompts: &PromptEncoderConfig) -> usize {
    prompts.image_embedding_size.pow(2) * prompts.embed_dim
}

/// What decoding takes: for each object that is decoded at a time, and for all of them together.
pub struct DecodeNeeds {
    /// Elements for each object.
    pub per_object: usize,
    /// Elements for the image that the objects share.
    pub shared: usize,
}

/// What decoding takes.
pub fn decode(config: &SamConfig) -> DecodeNeeds {
    let MaskDecoderConfig {
        transformer_dim: channels,
        num_heads,
        attention_downsample_rate,
        num_multimask_outputs,
        ..
    } = config.mask_decoder;
    let cells = config.prompt_encoder.image_embedding_size.pow(2);
    let image = cells * channels;
    // The image with and without its encoding, the one that is made of them, and attention before and after softmax.
    let attention = num_heads * TOKENS * cells;
    let logits = num_multimask_outputs * cells * PER_CELL;
    DecodeNeeds {
        per_object: 4 * image + 3 * attention + logits,
        // Queries, keys and values that are kept, and what they are made of.
        shared: 3 * image / attention_downsample_rate + 2 * image,
    }
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

/// What the ViT encoder takes. With `scores`, those of attention are held, as on a GPU; the kernels of the CPU hold none.
pub fn encode_vit(config: &SamVitConfig, attention: Attention, scores: bool) -> usize {
    let grid = config.grid_size();
    let cells = grid * grid;
    let map = cells * config.embed_dim;
    let input = config.in_chans * config.image_size.pow(2);
    // The residual stream, which is fp32 whatever the precision, its norm, queries, keys, values and what is attended.
    let maps = 8 * map;
    let held = config.blocks.iter().map(|block| match block.window_size {
        0 => cells * cells,
        window => grid.next_multiple_of(window).pow(2) * window * window,
    });
    let largest = held.max().unwrap_or(0) * config.num_heads;
    let scores = match (scores, attention) {
        (false, _) => 0,
        // Before and after softmax.
        (true, Attention::Full) => 2 * largest,
        (true, _) => 2 * largest / 8,
    };
    (input + maps + scores).max(input + maps + config.mlp_dim * cells / 4)
}
