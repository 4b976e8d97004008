//! The Hiera image encoder of SAM 2 (`sam2/modeling/backbones/hieradet.py`).
//!
//! Tokens are a map `(H, W, C)` throughout, fp32 whatever the precision of the weights. A block updates it in place; the
//! first block of a later stage makes a map of half the resolution. On a CPU with kernels for it, in fp32, a block is run in one
//! go: each thread takes some windows, or some queries of global attention, from the first norm to the end of the MLP.
//! Elsewhere it is run layer after layer, on some rows of windows at a time, so that what lies between stays in the caches of a
//! processor.

mod attention;
mod block;
mod parts;
mod patch_embed;
mod pos_embed;

use sam_mm_backend_abi::sdk::Attention as AttentionPlan;
use sam_mm_checkpoint::HieraConfig;
use tch::Tensor;

use crate::error::{CheckCancelled, Result};
use crate::nn::Weights;
pub use block::{MultiScaleBlock, runs_whole};
pub use parts::Parts;
pub use patch_embed::PatchEmbed;
pub use pos_embed::pos_embed;

/// The image encoder's trunk.
pub struct Hiera {
    config: HieraConfig,
    patch_embed: PatchEmbed,
    /// `(H, W, C)`, fp32.
    pos_embed: Tensor,
    blocks: Vec<MultiScaleBlock>,
}

impl Hiera {
    /// Loads the trunk from the tensors below `image_encoder.trunk.`.
    ///
    /// # Errors
    /// When a tensor is missing or misshaped, memory runs out, or the operation is cancelled.
    pub fn load(
        weights: &Weights,
        config: &HieraConfig,
        check_cancelled: CheckCancelled<'_>,
    ) -> Result<Self> {
        let blocks = config.blocks();
        let block = |(index, block)| {
            check_cancelled()?;
            MultiScaleBlock::load(&weights.sub("blocks").sub(index), block)
        };
        Ok(Self {
            patch_embed: PatchEmbed::load(&weights.sub("patch_embed"), config)?,
            pos_embed: pos_embed(weights, config)?,
            blocks: blocks
                .iter()
                .enumerate()
                .map(block)
                .collect::<Result<_>>()?,
            config: config.clone(),
        })
    }

    /// Takes the weights again, of another type: block after block, so that never two sets of them are there. After an
    /// error some are of one type and some of the other, which can be run all the same.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn reload(&mut self, weights: &Weights, check_cancelled: CheckCancelled<'_>) -> Result<()> {
        for (index, (block, config)) in self.blocks.iter_mut().zip(self.config.blocks()).enumerate()
        {
            check_cancelled()?;
            *block = MultiScaleBlock::load(&weights.sub("blocks").sub(index), &config)?;
        }
        self.patch_embed = PatchEmbed::load(&weights.sub("patch_embed"), &self.config)?;
        Ok(())
    }

    /// A normalised image `(1, channels, S, S)`, fp32, best with the channels last in memory, through all stages. `level`
    /// is given each stage's number and its last map, `(H, W, C)` fp32, as soon as that is there. `check_cancelled` is
    /// asked before every block and ends the work with its error. The image is used up.
    ///
    /// # Errors
    /// When the image is not of the size that the model takes, memory runs out, libtorch fails, or the operation is
    /// cancelled; or what `level` gives.
    pub fn forward(
        &self,
        image: Tensor,
        plan: AttentionPlan,
        check_cancelled: CheckCancelled<'_>,
        level: &mut dyn FnMut(usize, &Tensor) -> Result<()>,
    ) -> Result<()> {
        let mut x = self.patch_embed.forward(image, &self.pos_embed)?;
        let mut blocks = self.blocks.iter();
        for (index, stage) in self.config.stages.iter().enumerate() {
            for block in blocks.by_ref().take(stage.depth) {
                check_cancelled()?;
                x = block.forward(x, plan)?;
            }
            level(index, &x)?;
        }
        Ok(())
    }
}
