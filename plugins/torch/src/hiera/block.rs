//! A block of Hiera (`MultiScaleBlock`).

use sam_mm_backend_abi::sdk::Attention as AttentionPlan;
use sam_mm_checkpoint::HieraBlockConfig;
use tch::{Kind, Tensor};

use super::attention::{EPS, MultiScaleAttention};
use super::parts::Parts;
use crate::error::Result;
use crate::image_encoder_vit::workspace::Rows;
use crate::nn::{LayerNorm, NormedMlp, PackedLinear, Weights};

/// Whether a block can be run in one go (`shim/hiera_block/`) where the processor has kernels for its layers and its attention.
/// Official models pool no queries of global attention.
pub fn runs_whole(block: &HieraBlockConfig) -> bool {
    block.window_size > 0 || !block.pools_queries
}

/// A block: attention and an MLP with residuals. Where a stage starts, the residual of attention is projected to the new
/// width and pooled as the queries are.
pub struct MultiScaleBlock {
    config: HieraBlockConfig,
    attn: MultiScaleAttention,
    /// `MLP` with two layers and exact GELU.
    mlp: NormedMlp,
    kind: Kind,
}

impl MultiScaleBlock {
    /// Loads a block.
    ///
    /// # Errors
    /// When a tensor is missing or misshaped.
    pub fn load(weights: &Weights, config: &HieraBlockConfig) -> Result<Self> {
        let (width, hidden) = (config.dim_out as i64, config.mlp_dim as i64);
        let parts = Parts::new(config, AttentionPlan::Full, weights.device().is_cuda());
        let side = config.resolution as i64;
        let rows = parts.attention_rows() as i64 * side;
        let mlp_rows = parts.mlp_rows() as i64 * side;
        let layers = weights.sub("mlp").sub("layers");
        Ok(Self {
            config: *config,
            attn: MultiScaleAttention::load(weights, config, rows)?,
            mlp: NormedMlp::new(
                LayerNorm::load_fp32(&weights.sub("norm2"), width, EPS)?,
                PackedLinear::load_tiled(&layers.sub(0), width, hidden, mlp_rows)?,
                PackedLinear::load_tiled(&layers.sub(1), hidden, width, mlp_rows)?,
                weights.kind(),
            ),
            kind: weights.kind(),
        })
    }

    /// The map `(H, W, dim)`, fp32, after the block: itself, updated in place, or where queries are pooled a new one of
    /// half the resolution.
    ///
    /// # Errors
    /// When memory runs out or libtorch fails.
    pub fn forward(&self, x: Tensor, plan: AttentionPlan) -> Result<Tensor> {
        let whole = self.attn.whole_block(&self.mlp);
        match whole.filter(|_| runs_whole(&self.config)) {
            Some(block) => {
                let out = self.output_of(&x)?;
                block.run(&x, &out)?;
                Ok(out)
            }
            None => self.forward_in_parts(x, plan),
        }
    }

    /// [`forward`](Self::forward), layer after layer on parts of the map: on any device, in any precision.
    ///
    /// # Errors
    /// When memory runs out or libtorch fails.
    pub fn forward_in_parts(&self, x: Tensor, plan: AttentionPlan) -> Result<Tensor> {
        let parts = Parts::new(&self.config, plan, x.device().is_cuda());
        let pool = if self.config.pools_queries { 2 } else { 1 };
        let out = self.output_of(&x)?;
        // Complete before the first query changes the map.
        let of_all = match self.config.window_size {
            0 => Some(self.keys_values_of_all(&x, &parts)?),
            _ => None,
        };
        for rows in parts.attention() {
            let of_output = Rows {
                first: rows.first / pool,
                count: rows.count / pool,
            };
            let target = of_output.of(&out)?;
            self.attn
                .forward(&rows.of(&x)?, of_output.first, of_all.as_ref(), &target)?;
            if self.mlp.is_tiled() {
                self.mlp.add_to(&target)?;
                continue;
            }
            for rows in parts.mlp(of_output.count) {
                self.mlp.add_to(&rows.of(&target)?)?;
            }
        }
        Ok(out)
    }

    /// Where the block of a map goes: the map itself, or where queries are pooled a new one of half the resolution.
    fn output_of(&self, x: &Tensor) -> Result<Tensor> {
        if !self.config.pools_queries {
            return Ok(x.shallow_clone());
        }
        let (h, w, _) = x.size3()?;
        let size = [h / 2, w / 2, self.config.dim_out as i64];
        Ok(Tensor::f_empty(size, (Kind::Float, x.device()))?)
    }

    /// Keys and values of the whole map.
    fn keys_values_of_all(&self, x: &Tensor, parts: &Parts) -> Result<Tensor> {
        if parts.attention().len() == 1 {
            return self.attn.keys_values(x);
        }
        let (h, w, _) = x.size3()?;
        let size = [h, w, 2 * self.config.dim_out as i64];
        let whole = Tensor::f_empty(size, (self.kind, x.device()))?;
        for rows in parts.attention() {
            rows.of(&whole)?
                .f_copy_(&self.attn.keys_values(&rows.of(x)?)?)?;
        }
        Ok(whole)
    }
}
