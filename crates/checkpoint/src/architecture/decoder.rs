//! Finds out the prompt encoder and the mask decoder.

use super::config::{MaskDecoderConfig, PromptEncoderConfig};
use super::hints::Hints;
use super::shapes::{Shapes, axis};
use crate::error::ArchitectureProblem;

/// Heads of the mask decoder in every official model. Shapes do not tell them.
const NUM_HEADS: usize = 8;

/// What a family calls the parts.
pub(super) struct Names {
    pub prompt_encoder: &'static str,
    pub mask_decoder: &'static str,
    /// Layers of the MLP of the transformer.
    pub mlp: [&'static str; 2],
}

impl Names {
    pub const SAM: Self = Self {
        prompt_encoder: "prompt_encoder",
        mask_decoder: "mask_decoder",
        mlp: ["lin1", "lin2"],
    };
    pub const SAM_2: Self = Self {
        prompt_encoder: "sam_prompt_encoder",
        mask_decoder: "sam_mask_decoder",
        mlp: ["layers.0", "layers.1"],
    };

    fn prompts(&self, name: &str) -> String {
        format!("{}.{name}", self.prompt_encoder)
    }

    fn decoder(&self, name: &str) -> String {
        format!("{}.{name}", self.mask_decoder)
    }

    fn layers(&self) -> String {
        self.decoder("transformer.layers.")
    }

    fn iou_head(&self) -> String {
        self.decoder("iou_prediction_head.layers.")
    }
}

pub(super) fn detect_prompt_encoder(
    shapes: Shapes<'_>,
    names: &Names,
    image_size: usize,
    image_embedding_size: usize,
) -> Result<PromptEncoderConfig, ArchitectureProblem> {
    let embed_dim = shapes.size(
        "the width of a prompt token",
        &[
            axis(names.prompts("point_embeddings.0.weight"), 1, 2),
            axis(names.prompts("not_a_point_embed.weight"), 1, 2),
            axis(names.prompts("no_mask_embed.weight"), 1, 2),
            axis(names.prompts("mask_downscaling.6.weight"), 0, 4),
        ],
    )?;
    let mask_in_chans = shapes.size(
        "the channels that encode a mask input",
        &[
            axis(names.prompts("mask_downscaling.3.weight"), 0, 4),
            axis(names.prompts("mask_downscaling.6.weight"), 1, 4),
            axis(names.prompts("mask_downscaling.4.weight"), 0, 1),
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
    names: &Names,
    hints: &Hints,
) -> Result<MaskDecoderConfig, ArchitectureProblem> {
    let (tokens, layers, iou_head) = (
        names.decoder("mask_tokens.weight"),
        names.layers(),
        names.iou_head(),
    );
    let transformer_dim = shapes.size(
        "the width of a decoder token",
        &[
            axis(tokens.as_str(), 1, 2),
            axis(names.decoder("iou_token.weight"), 1, 2),
            axis(names.decoder("output_upscaling.0.weight"), 0, 4),
        ],
    )?;
    let mask_tokens = shapes.size(
        "the number of masks",
        &[
            axis(tokens.as_str(), 0, 2),
            axis(format!("{iou_head}2.weight"), 0, 2),
        ],
    )?;
    if mask_tokens < 2 || !transformer_dim.is_multiple_of(8) {
        let wanted = "at least 2 mask tokens, of a width that 8 divides, are needed";
        return Err(shapes.misshaped(&tokens, &[mask_tokens, transformer_dim], wanted));
    }
    let internal_dim = internal_dim(shapes, names, transformer_dim)?;
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
    let transformer_depth = shapes.count("the layers of the mask decoder", &layers)?;
    let [first, second] = names.mlp;
    Ok(MaskDecoderConfig {
        transformer_dim,
        transformer_depth,
        num_heads,
        mlp_dim: shapes.size(
            "the MLP of the mask decoder",
            &[
                axis(format!("{layers}0.mlp.{first}.weight"), 0, 2),
                axis(format!("{layers}0.mlp.{second}.weight"), 1, 2),
                axis(format!("{layers}1.mlp.{first}.weight"), 0, 2),
            ],
        )?,
        attention_downsample_rate: transformer_dim / internal_dim,
        num_multimask_outputs: mask_tokens - 1,
        iou_head_depth: shapes.count("the layers of the IoU head", &iou_head)?,
        iou_head_hidden_dim: shapes.size(
            "the width of the IoU head",
            &[
                axis(format!("{iou_head}0.weight"), 0, 2),
                axis(format!("{iou_head}0.bias"), 0, 1),
            ],
        )?,
        sam2: None,
    })
}

/// Width of the queries of cross attention, which divides that of a token.
fn internal_dim(
    shapes: Shapes<'_>,
    names: &Names,
    transformer_dim: usize,
) -> Result<usize, ArchitectureProblem> {
    let layers = names.layers();
    let attentions = [
        format!("{layers}0.cross_attn_token_to_image"),
        format!("{layers}0.cross_attn_image_to_token"),
        names.decoder("transformer.final_attn_token_to_image"),
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
