//! Finds out which model a checkpoint holds.

use super::config::{Architecture, ImageEncoderConfig, SamConfig};
use super::decoder::Names;
use super::hints::Hints;
use super::shapes::Shapes;
use super::{decoder, look_alike, sam2, tiny_vit, vit};
use crate::checkpoint::Checkpoint;
use crate::error::{ArchitectureProblem, CheckpointError, Result, listed, shown};

/// Mean of the pixels that official models were trained on, red, green, blue, 0–255.
const PIXEL_MEAN: [f32; 3] = [123.675, 116.28, 103.53];
/// Their standard deviation.
const PIXEL_STD: [f32; 3] = [58.395, 57.12, 57.375];

impl Architecture {
    /// Finds out the model from the names and shapes of the tensors, and from the metadata of a `.safetensors` file
    /// for what shapes do not tell.
    ///
    /// A model of which some tensors are missing or misshaped is still recognised where that is possible;
    /// [`check`](Self::check) lists them.
    ///
    /// # Errors
    /// When the tensors are those of another model, or do not tell what the model is.
    pub fn detect(checkpoint: &Checkpoint<'_>) -> Result<Self> {
        detect(checkpoint)
            .map_err(|problem| CheckpointError::new(checkpoint.source_name(), problem))
    }
}

fn detect(checkpoint: &Checkpoint<'_>) -> Result<Architecture, ArchitectureProblem> {
    let shapes = |found| Shapes::new(checkpoint, found);
    look_alike::refuse(shapes("a model"))?;
    let hints = Hints::read(checkpoint.metadata())?;
    if shapes("").any_starts_with("sam_mask_decoder.") {
        return sam2::detect(checkpoint, &hints).map(Architecture::Sam2);
    }
    let has = |part| shapes("").any_starts_with(part);
    if !["image_encoder.", "prompt_encoder.", "mask_decoder."]
        .into_iter()
        .any(has)
    {
        return Err(ArchitectureProblem::Unknown {
            count: checkpoint.len(),
            first: listed(checkpoint.names().map(|name| format!("`{}`", shown(name)))),
        });
    }
    let (image_encoder, found) = detect_image_encoder(checkpoint, &hints)?;
    let shapes = shapes(found);
    let (image_size, grid, out_chans) = match &image_encoder {
        ImageEncoderConfig::Vit(vit) => (vit.image_size, vit.grid_size(), vit.out_chans),
        ImageEncoderConfig::TinyVit(tiny) => {
            (tiny.image_size, tiny.image_size / 16, tiny.out_chans)
        }
    };
    let prompt_encoder = decoder::detect_prompt_encoder(shapes, &Names::SAM, image_size, grid)?;
    let mask_decoder = decoder::detect_mask_decoder(shapes, &Names::SAM, &hints)?;
    let width = mask_decoder.transformer_dim;
    if out_chans != width || prompt_encoder.embed_dim != width {
        let (tensor, size) = if out_chans != width {
            ("image_encoder.neck.0.weight", out_chans)
        } else {
            (
                "prompt_encoder.no_mask_embed.weight",
                prompt_encoder.embed_dim,
            )
        };
        let wanted = format!("the mask decoder takes {width} channels, and this gives {size}");
        return Err(shapes.misshaped(tensor, shapes.shape(tensor).unwrap_or(&[]), wanted));
    }
    Ok(Architecture::Sam(SamConfig {
        image_encoder,
        prompt_encoder,
        mask_decoder,
        pixel_mean: pixel_values(checkpoint, "pixel_mean").unwrap_or(PIXEL_MEAN),
        pixel_std: pixel_values(checkpoint, "pixel_std").unwrap_or(PIXEL_STD),
    }))
}

fn detect_image_encoder(
    checkpoint: &Checkpoint<'_>,
    hints: &Hints,
) -> Result<(ImageEncoderConfig, &'static str), ArchitectureProblem> {
    let shapes = |found| Shapes::new(checkpoint, found);
    let any = shapes("a part of a Segment Anything model");
    if any.any_starts_with("image_encoder.blocks.") || any.has("image_encoder.pos_embed") {
        let found = "a SAM model with a ViT image encoder";
        return Ok((
            ImageEncoderConfig::Vit(vit::detect(shapes(found), hints)?),
            found,
        ));
    }
    if any.any_starts_with("image_encoder.layers.")
        || any.any_starts_with("image_encoder.patch_embed.seq.")
    {
        let found = "a SAM model with a TinyViT image encoder (MobileSAM)";
        tiny_vit::check_hints(hints)?;
        return Ok((
            ImageEncoderConfig::TinyVit(tiny_vit::detect(shapes(found), hints)?),
            found,
        ));
    }
    if any.any_starts_with("image_encoder.") {
        return Err(ArchitectureProblem::LookAlike {
            model: "a SAM with an image encoder of another kind than ViT and TinyViT",
            advice: "load a SAM or MobileSAM checkpoint",
        });
    }
    Err(any.incomplete("the image encoder", ["image_encoder.*"]))
}

/// What a checkpoint says about the pixels it was trained on; official ones leave it to the code.
pub(super) fn pixel_values(checkpoint: &Checkpoint<'_>, name: &str) -> Option<[f32; 3]> {
    let values = checkpoint
        .tensor(name)
        .filter(|tensor| tensor.len() == 3)?
        .to_f32();
    let values: [f32; 3] = values.try_into().ok()?;
    values
        .iter()
        .all(|value| value.is_finite())
        .then_some(values)
}
