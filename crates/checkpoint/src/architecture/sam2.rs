//! Finds out SAM 2 and 2.1, as far as images go.

use super::config::{Sam2Config, Sam2DecoderConfig};
use super::decoder::{self, Names};
use super::detect::pixel_values;
use super::hiera;
use super::hints::Hints;
use super::shapes::{Shapes, axis};
use crate::checkpoint::Checkpoint;
use crate::error::ArchitectureProblem;

/// Mean of the pixels that official models were trained on, red, green, blue, 0–1 (`sam2/utils/transforms.py`).
const PIXEL_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// Their standard deviation.
const PIXEL_STD: [f32; 3] = [0.229, 0.224, 0.225];

pub(super) fn detect(
    checkpoint: &Checkpoint<'_>,
    hints: &Hints,
) -> Result<Sam2Config, ArchitectureProblem> {
    let shapes = Shapes::new(checkpoint, "a SAM 2 model");
    let image_encoder = hiera::detect(shapes, hints)?;
    let names = &Names::SAM_2;
    let image_size = image_encoder.image_size;
    let prompt_encoder = decoder::detect_prompt_encoder(
        shapes,
        names,
        image_size,
        image_encoder.stages[2].resolution,
    )?;
    let mut mask_decoder = decoder::detect_mask_decoder(shapes, names, hints)?;
    mask_decoder.sam2 = Some(Sam2DecoderConfig {
        obj_score_head_depth: shapes.count(
            "the layers of the object score",
            "sam_mask_decoder.pred_obj_score_head.layers.",
        )?,
    });
    let width = mask_decoder.transformer_dim;
    let neck = "image_encoder.neck.convs.0.conv.weight";
    let given = shapes.size("the channels of the image embedding", &[axis(neck, 0, 4)])?;
    for (tensor, given) in [
        (neck, given),
        (
            "sam_prompt_encoder.no_mask_embed.weight",
            prompt_encoder.embed_dim,
        ),
    ] {
        if given != width {
            let wanted = format!("the mask decoder takes {width} channels, and this gives {given}");
            return Err(shapes.misshaped(tensor, shapes.shape(tensor).unwrap_or(&[]), wanted));
        }
    }
    Ok(Sam2Config {
        image_encoder,
        prompt_encoder,
        mask_decoder,
        is_2_1: shapes.has("no_obj_embed_spatial") || shapes.has("obj_ptr_tpos_proj.weight"),
        pixel_mean: pixel_values(checkpoint, "pixel_mean").unwrap_or(PIXEL_MEAN),
        pixel_std: pixel_values(checkpoint, "pixel_std").unwrap_or(PIXEL_STD),
    })
}
