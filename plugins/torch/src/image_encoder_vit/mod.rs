//! The ViT image encoder of SAM (`segment_anything/modeling/image_encoder.py`).
//!
//! Tokens are a map `(H, W, C)` throughout. What stays the same from block to block, the residual stream, is fp32
//! whatever the precision of the weights, and is updated in place; layer norms and softmax are computed in fp32.

mod attention;
mod block;
pub(crate) mod composed;
mod patch_embed;
mod rel_pos;
pub(crate) mod workspace;

use sam_mm_backend_abi::sdk::Attention as AttentionPlan;
use sam_mm_checkpoint::SamVitConfig;
use tch::{Kind, Tensor};

use crate::error::{CheckCancelled, Result};
use crate::nn::{Neck, Weights};
use block::Block;
use patch_embed::PatchEmbed;
pub use workspace::Chunks;

/// ε of the layer norms in the blocks.
const EPS: f64 = 1e-6;

/// The image encoder.
pub struct ImageEncoderVit {
    patch_embed: PatchEmbed,
    /// `(H, W, C)`, fp32.
    pos_embed: Tensor,
    blocks: Vec<Block>,
    neck: Neck,
    /// Type of the weights.
    kind: Kind,
}

impl ImageEncoderVit {
    /// Loads the encoder from the tensors below `image_encoder.`.
    ///
    /// # Errors
    /// When a tensor is missing or misshaped, memory runs out, or the operation is cancelled.
    pub fn load(
        weights: &Weights,
        config: &SamVitConfig,
        check_cancelled: CheckCancelled<'_>,
    ) -> Result<Self> {
        let (grid, width) = (config.grid_size() as i64, config.embed_dim as i64);
        let patch_embed = PatchEmbed::load(&weights.sub("patch_embed"), config)?;
        let pos_embed = weights.tensor_fp32("pos_embed", &[1, grid, grid, width])?;
        let mut blocks = Vec::with_capacity(config.depth());
        for index in 0..config.depth() {
            check_cancelled()?;
            blocks.push(Block::load(
                &weights.sub("blocks").sub(index),
                config,
                index,
            )?);
        }
        Ok(Self {
            patch_embed,
            pos_embed: pos_embed.f_squeeze_dim(0)?,
            blocks,
            neck: Neck::load(&weights.sub("neck"), width, config.out_chans as i64)?,
            kind: weights.kind(),
        })
    }

    /// Takes the weights again, of another type: layer after layer, so that never two sets of them are there. After an
    /// error some are of one type and some of the other, which can be run all the same.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn reload(
        &mut self,
        weights: &Weights,
        config: &SamVitConfig,
        check_cancelled: CheckCancelled<'_>,
    ) -> Result<()> {
        for (index, block) in self.blocks.iter_mut().enumerate() {
            check_cancelled()?;
            *block = Block::load(&weights.sub("blocks").sub(index), config, index)?;
        }
        self.patch_embed = PatchEmbed::load(&weights.sub("patch_embed"), config)?;
        let (width, channels) = (config.embed_dim as i64, config.out_chans as i64);
        self.neck = Neck::load(&weights.sub("neck"), width, channels)?;
        self.kind = weights.kind();
        Ok(())
    }

    /// A normalised image `(1, channels, S, S)`, fp32, best with the channels last in memory, to the cells of its
    /// embedding `(N, C)`, row by row, in the type of the weights. `check_cancelled` is asked before every block and
    /// ends the work with its error. The image is used up: its memory is free for the blocks.
    ///
    /// # Errors
    /// When the image is not of the size that the model takes, memory runs out, libtorch fails, or the operation is
    /// cancelled.
    pub fn forward(
        &self,
        image: Tensor,
        plan: AttentionPlan,
        check_cancelled: CheckCancelled<'_>,
    ) -> Result<Tensor> {
        let x = self.patch_embed.forward(&image)?.f_add_(&self.pos_embed)?;
        drop(image);
        for block in &self.blocks {
            check_cancelled()?;
            block.forward(&x, plan)?;
        }
        check_cancelled()?;
        self.neck.forward(&x.f_to_kind(self.kind)?)
    }
}
