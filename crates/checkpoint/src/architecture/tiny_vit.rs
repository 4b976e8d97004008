//! Finds out the TinyViT image encoder of MobileSAM.

use super::config::{TinyVitConfig, TinyVitStageConfig};
use super::hints::{Hints, agreed};
use super::shapes::{Shapes, axis};
use crate::error::ArchitectureProblem;

const LAYERS: &str = "image_encoder.layers.";
/// Input side of MobileSAM, which its shapes do not tell.
const IMAGE_SIZE: usize = 1024;
/// Pixels of the input per cell of the image embedding, as `build_sam_vit_t` has it.
const EMBEDDING_STRIDE: usize = 16;
/// Pixels of the input per cell of the first stage: the patch embedding halves the side twice.
const STEM_STRIDE: usize = 4;
/// Widths of a stage before which the feature map keeps its size (`PatchMerging`).
const KEPT_RESOLUTION: [usize; 3] = [320, 448, 576];

pub(super) fn detect(
    shapes: Shapes<'_>,
    hints: &Hints,
) -> Result<TinyVitConfig, ArchitectureProblem> {
    let image_size = hints.image_size.unwrap_or(IMAGE_SIZE);
    let count = shapes.count("the number of stages", LAYERS)?;
    let mut stages = Vec::with_capacity(count);
    let mut resolution = image_size / STEM_STRIDE;
    for index in 0..count {
        let mut stage = if index == 0 {
            conv_stage(shapes)?
        } else {
            attention_stage(shapes, index)?
        };
        stage.resolution = resolution;
        if index + 1 < count {
            stage.downsample_stride = downsample_stride(shapes, index)?;
            resolution = resolution.div_ceil(stage.downsample_stride);
        }
        stages.push(stage);
    }
    if !image_size.is_multiple_of(EMBEDDING_STRIDE) || resolution != image_size / EMBEDDING_STRIDE {
        return Err(ArchitectureProblem::Undetermined {
            found: shapes.found,
            what: "the size of the input",
            reason: format!(
                "with {image_size} pixels its last stage has {resolution} cells along a side, and one for every \
                 {EMBEDDING_STRIDE} pixels is needed"
            ),
            keys: "`image_size`",
        });
    }
    Ok(TinyVitConfig {
        image_size,
        in_chans: shapes.size(
            "the channels of the input",
            &[axis("image_encoder.patch_embed.seq.0.c.weight", 1, 4)],
        )?,
        stem_dim: shapes.size(
            "the channels of the stem",
            &[
                axis("image_encoder.patch_embed.seq.0.c.weight", 0, 4),
                axis("image_encoder.patch_embed.seq.2.c.weight", 1, 4),
            ],
        )?,
        stages,
        out_chans: shapes.size(
            "the channels of the image embedding",
            &[
                axis("image_encoder.neck.0.weight", 0, 4),
                axis("image_encoder.neck.1.weight", 0, 1),
            ],
        )?,
    })
}

fn conv_stage(shapes: Shapes<'_>) -> Result<TinyVitStageConfig, ArchitectureProblem> {
    let first = format!("{LAYERS}0.blocks.0.conv1.c.weight");
    Ok(TinyVitStageConfig {
        embed_dim: shapes.size(
            "the channels of the first stage",
            &[
                axis("image_encoder.patch_embed.seq.2.c.weight", 0, 4),
                axis(first.clone(), 1, 4),
            ],
        )?,
        depth: shapes.count(
            "the blocks of the first stage",
            &format!("{LAYERS}0.blocks."),
        )?,
        resolution: 0,
        num_heads: 0,
        window_size: 0,
        hidden_dim: shapes.size(
            "the hidden channels of the first stage",
            &[axis(first, 0, 4)],
        )?,
        local_conv_size: 0,
        downsample_stride: 0,
    })
}

fn attention_stage(
    shapes: Shapes<'_>,
    stage: usize,
) -> Result<TinyVitStageConfig, ArchitectureProblem> {
    let blocks = format!("{LAYERS}{stage}.blocks.");
    let depth = shapes.count("the blocks of a stage", &blocks)?;
    let size = |what, part: &str, on, rank| {
        let places: Vec<_> = (0..depth)
            .map(|block| axis(format!("{blocks}{block}.{part}"), on, rank))
            .collect();
        shapes.size(what, &places)
    };
    let embed_dim = size("the channels of a stage", "attn.norm.weight", 0, 1)?;
    let num_heads = size("the heads of a stage", "attn.attention_biases", 0, 2)?;
    let offsets = size("the window of a stage", "attn.attention_biases", 1, 2)?;
    // A bias for every pair of absolute offsets (|dy|, |dx|) within the window.
    let window_size = offsets.isqrt();
    let biases = format!("{blocks}0.attn.attention_biases");
    if window_size * window_size != offsets {
        let wanted = "the second size must be a square, that of the window";
        return Err(shapes.misshaped(&biases, &[num_heads, offsets], wanted));
    }
    if !embed_dim.is_multiple_of(num_heads) {
        let wanted =
            format!("the number of heads, its first size, must divide {embed_dim} channels");
        return Err(shapes.misshaped(&biases, &[num_heads, offsets], wanted));
    }
    Ok(TinyVitStageConfig {
        embed_dim,
        depth,
        resolution: 0,
        num_heads,
        window_size,
        hidden_dim: size("the MLP of a stage", "mlp.fc1.weight", 0, 2)?,
        local_conv_size: size(
            "the local convolution of a stage",
            "local_conv.c.weight",
            3,
            4,
        )?,
        downsample_stride: 0,
    })
}

fn downsample_stride(shapes: Shapes<'_>, stage: usize) -> Result<usize, ArchitectureProblem> {
    let downsample = format!("{LAYERS}{stage}.downsample.");
    let places = [
        axis(format!("{downsample}conv1.c.weight"), 0, 4),
        axis(format!("{downsample}conv3.c.weight"), 0, 4),
        axis(
            format!("{LAYERS}{}.blocks.0.attn.norm.weight", stage + 1),
            0,
            1,
        ),
    ];
    let channels = shapes.size("the channels after a stage", &places)?;
    Ok(if KEPT_RESOLUTION.contains(&channels) {
        1
    } else {
        2
    })
}

/// A hint about the patch size must be that of the image embedding.
pub(super) fn check_hints(hints: &Hints) -> Result<(), ArchitectureProblem> {
    agreed(
        "patch_size",
        hints.patch_size,
        EMBEDDING_STRIDE,
        "image_encoder.patch_embed.seq",
    )
    .map(|_| ())
}
