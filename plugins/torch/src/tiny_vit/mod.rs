//! The TinyViT image encoder of MobileSAM (`modeling/tiny_vit_sam.py`).
//!
//! Feature maps are `(H, W, C)` throughout; batch norms are folded into the convolutions before them.

pub mod block;
mod conv_bn;
pub mod convolutions;
mod depthwise;
pub(crate) mod rows;

use sam_mm_checkpoint::{TinyVitConfig, TinyVitStageConfig};
use tch::Tensor;

use crate::error::{CheckCancelled, Result};
use crate::nn::{Neck, Weights};
use block::TinyVitBlock;
use convolutions::{MbConv, PatchEmbed, PatchMerging};

/// The image encoder.
pub struct TinyVit {
    patch_embed: PatchEmbed,
    stages: Vec<Stage>,
    neck: Neck,
}

/// A stage: blocks, then the way to the next stage.
struct Stage {
    blocks: Vec<Block>,
    downsample: Option<PatchMerging>,
}

/// A block of either sort.
enum Block {
    Convolution(MbConv),
    Attention(TinyVitBlock),
}

impl TinyVit {
    /// Loads the encoder.
    ///
    /// # Errors
    /// When a tensor is missing or misshaped.
    pub fn load(weights: &Weights, config: &TinyVitConfig) -> Result<Self> {
        let width = |stage: Option<&TinyVitStageConfig>| stage.map(|stage| stage.embed_dim as i64);
        let stages = config.stages.iter().enumerate().map(|(index, stage)| {
            let next = width(config.stages.get(index + 1));
            Stage::load(&weights.sub("layers").sub(index), stage, next)
        });
        Ok(Self {
            patch_embed: PatchEmbed::load(
                &weights.sub("patch_embed"),
                config.in_chans as i64,
                config.stem_dim as i64,
                width(config.stages.first()).unwrap_or_default(),
            )?,
            stages: stages.collect::<Result<_>>()?,
            neck: Neck::load(
                &weights.sub("neck"),
                width(config.stages.last()).unwrap_or_default(),
                config.out_chans as i64,
            )?,
        })
    }

    /// A normalised image `(1, 3, S, S)`, channels last in memory, to the cells of its embedding `(N, C)`.
    ///
    /// # Errors
    /// When libtorch fails or the operation is cancelled.
    pub fn forward(&self, image: Tensor, check_cancelled: CheckCancelled<'_>) -> Result<Tensor> {
        let pixels = image.f_select(0, 0)?.f_permute([1, 2, 0])?;
        drop(image);
        let mut map = self.patch_embed.forward(pixels)?;
        for stage in &self.stages {
            for block in &stage.blocks {
                check_cancelled()?;
                map = match block {
                    Block::Convolution(block) => block.forward(&map)?,
                    Block::Attention(block) => block.forward(map)?,
                };
            }
            if let Some(downsample) = &stage.downsample {
                map = downsample.forward(&map)?;
            }
        }
        check_cancelled()?;
        self.neck.forward(&map)
    }
}

impl Stage {
    fn load(weights: &Weights, stage: &TinyVitStageConfig, next: Option<i64>) -> Result<Self> {
        let channels = stage.embed_dim as i64;
        let block = |index: usize| -> Result<Block> {
            let weights = weights.sub("blocks").sub(index);
            Ok(if stage.num_heads == 0 {
                Block::Convolution(MbConv::load(&weights, channels, stage.hidden_dim as i64)?)
            } else {
                Block::Attention(TinyVitBlock::load(&weights, stage)?)
            })
        };
        let downsample = next.map(|next| {
            let stride = stage.downsample_stride as i64;
            PatchMerging::load(&weights.sub("downsample"), channels, next, stride)
        });
        Ok(Self {
            blocks: (0..stage.depth).map(block).collect::<Result<_>>()?,
            downsample: downsample.transpose()?,
        })
    }
}
