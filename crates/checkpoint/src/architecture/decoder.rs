//! Finds out the prompt encoder and the mask decoder.

use super::config::{MaskDecoderConfig, PromptEncoderConfig};
use super::hints::Hints;
use super::shapes::{Shapes, axis};
use crate::error::ArchitectureProblem;

/// Heads of the mask decoder in every official model. Shapes do not tell them.
const NUM_HEADS: usize = 8;

const MASK_TOKENS: &str = "mask_decoder.mask_tokens.weight";
const LAYERS: &str = "mask_decoder.transformer.layers.";
const IOU_HEAD: &str = "mask_decoder.iou_prediction_head.layers.";

pub(super) fn detect_prompt_encoder(
    shapes: Shapes<'_>,
    image_size: usize,
    image_embedding_size: usize,
) -> Result<PromptEncoderConfig, ArchitectureProblem> {
    let embed_dim = shapes.size(
        "the width of a prompt token",
        &[
            axis("prompt_encoder.point_embeddings.0.weight", 1, 2),
            axis("prompt_encoder.not_a_point_embed.weight", 1, 2),
            axis("prompt_encoder.no_mask_embed.weight", 1, 2),
            axis("prompt_encoder.mask_downscaling.6.weight", 0, 4),
        ],
    )?;
    let mask_in_chans = shapes.size(
        "the channels that encode a mask input",
        &[
            axis("prompt_encoder.mask_downscaling.3.weight", 0, 4),
            axis("prompt_encoder.mask_downscaling.6.weight", 1, 4),
            axis("prompt_encoder.mask_downscaling.4.weight", 0, 1),
        ],
    )?;
    Ok(PromptEncoderConfig {
        embed_dim,
        image_embedding_size,
        input_image_size: image_size,
        mask_in_chans,
    })
}

pub(super) fn detect_mask_decoder(
    shapes: Shapes<'_>,
    hints: &Hints,
) -> Result<MaskDecoderConfig, ArchitectureProblem> {
    let transformer_dim = shapes.size(
        "the width of a decoder token",
        &[
            axis(MASK_TOKENS, 1, 2),
            axis("mask_decoder.iou_token.weight", 1, 2),
            axis("mask_decoder.output_upscaling.0.weight", 0, 4),
        ],
    )?;
    let mask_tokens = shapes.size(
        "the number of masks",
        &[
            axis(MASK_TOKENS, 0, 2),
            axis(format!("{IOU_HEAD}2.weight"), 0, 2),
        ],
    )?;
    if mask_tokens < 2 || !transformer_dim.is_multiple_of(8) {
        let wanted = "at least 2 mask tokens, of a width that 8 divides, are needed";
        return Err(shapes.misshaped(MASK_TOKENS, &[mask_tokens, transformer_dim], wanted));
    }
    let internal_dim = internal_dim(shapes, transformer_dim)?;
    let num_heads = hints.decoder_num_heads.unwrap_or(NUM_HEADS);
    if num_heads == 0 || !internal_dim.is_multiple_of(num_heads) {
        return Err(ArchitectureProblem::Undetermined {
            found: shapes.found,
            what: "the number of heads of the mask decoder",
            reason: format!(
                "{num_heads} does not divide {internal_dim}, the width of its cross attention"
            ),
            keys: "`decoder_num_heads`",
        });
    }
    let transformer_depth = shapes.count("the layers of the mask decoder", LAYERS)?;
    Ok(MaskDecoderConfig {
        transformer_dim,
        transformer_depth,
        num_heads,
        mlp_dim: shapes.size(
            "the MLP of the mask decoder",
            &[
                axis(format!("{LAYERS}0.mlp.lin1.weight"), 0, 2),
                axis(format!("{LAYERS}0.mlp.lin2.weight"), 1, 2),
                axis(format!("{LAYERS}1.mlp.lin1.weight"), 0, 2),
            ],
        )?,
        attention_downsample_rate: transformer_dim / internal_dim,
        num_multimask_outputs: mask_tokens - 1,
        iou_head_depth: shapes.count("the layers of the IoU head", IOU_HEAD)?,
        iou_head_hidden_dim: shapes.size(
            "the width of the IoU head",
            &[
                axis(format!("{IOU_HEAD}0.weight"), 0, 2),
                axis(format!("{IOU_HEAD}0.bias"), 0, 1),
            ],
        )?,
    })
}

/// Width of the queries of cross attention, which divides that of a token.
fn internal_dim(shapes: Shapes<'_>, transformer_dim: usize) -> Result<usize, ArchitectureProblem> {
    let attentions = [
        format!("{LAYERS}0.cross_attn_token_to_image"),
        format!("{LAYERS}0.cross_attn_image_to_token"),
        "mask_decoder.transformer.final_attn_token_to_image".to_owned(),
    ];
    let places: Vec<_> = attentions
        .iter()
        .map(|name| axis(format!("{name}.q_proj.weight"), 0, 2))
        .collect();
    let internal_dim = shapes.size("the width of cross attention", &places)?;
    if transformer_dim.is_multiple_of(internal_dim) {
        return Ok(internal_dim);
    }
    let tensor = format!("{}.q_proj.weight", attentions[0]);
    let wanted = format!("its first size must divide {transformer_dim}, the width of a token");
    Err(shapes.misshaped(&tensor, &[internal_dim, transformer_dim], wanted))
}
