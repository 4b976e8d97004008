//! A block of Hiera (`MultiScaleBlock`).

use sam_mm_backend_abi::sdk::Attention as AttentionPlan;
use sam_mm_checkpoint::HieraBlockConfig;
use tch::{Kind, Tensor};

use super::attention::{MultiScaleAttention, max_pool};
use super::parts::Parts;
use crate::error::Result;
use crate::image_encoder_vit::workspace::Rows;
use crate::nn::{LayerNorm, PackedLinear, Weights};

/// ε of the layer norms.
const EPS: f64 = 1e-6;

/// A block: attention and an MLP with residuals. Where a stage starts, the residual of attention is projected to the new
/// width and pooled as the queries are.
pub struct MultiScaleBlock {
    config: HieraBlockConfig,
    norm1: LayerNorm,
    attn: MultiScaleAttention,
    /// What the residual is projected by where a stage starts.
    proj: Option<PackedLinear>,
    norm2: LayerNorm,
    mlp: Mlp,
    kind: Kind,
}

/// The MLP of a block (`MLP` with two layers and exact GELU).
struct Mlp {
    fc1: PackedLinear,
    fc2: PackedLinear,
}

impl MultiScaleBlock {
    /// Loads a block.
    ///
    /// # Errors
    /// When a tensor is missing or misshaped.
    pub fn load(weights: &Weights, config: &HieraBlockConfig) -> Result<Self> {
        let (dim, width, hidden) = (
            config.dim as i64,
            config.dim_out as i64,
            config.mlp_dim as i64,
        );
        let parts = Parts::new(config, AttentionPlan::Full, weights.device().is_cuda());
        let side = config.resolution as i64;
        let rows = parts.attention_rows() as i64 * side;
        let mlp_rows = parts.mlp_rows() as i64 * side;
        let layers = weights.sub("mlp").sub("layers");
        let proj = match config.pools_queries {
            true => Some(PackedLinear::load(&weights.sub("proj"), dim, width, rows)?),
            false => None,
        };
        Ok(Self {
            config: *config,
            norm1: LayerNorm::load_fp32(&weights.sub("norm1"), dim, EPS)?,
            attn: MultiScaleAttention::load(&weights.sub("attn"), config, rows)?,
            proj,
            norm2: LayerNorm::load_fp32(&weights.sub("norm2"), width, EPS)?,
            mlp: Mlp {
                fc1: PackedLinear::load(&layers.sub(0), width, hidden, mlp_rows)?,
                fc2: PackedLinear::load(&layers.sub(1), hidden, width, mlp_rows)?,
            },
            kind: weights.kind(),
        })
    }

    /// The map `(H, W, dim)`, fp32, after the block: itself, updated in place, or where queries are pooled a new one of
    /// half the resolution.
    ///
    /// # Errors
    /// When memory runs out or libtorch fails.
    pub fn forward(&self, x: Tensor, plan: AttentionPlan) -> Result<Tensor> {
        let parts = Parts::new(&self.config, plan, x.device().is_cuda());
        let pool = if self.config.pools_queries { 2 } else { 1 };
        let (h, w, _) = x.size3()?;
        let out = if pool > 1 {
            let size = [h / pool, w / pool, self.config.dim_out as i64];
            Tensor::f_empty(size, (Kind::Float, x.device()))?
        } else {
            x.shallow_clone()
        };
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
            self.attend(&rows.of(&x)?, of_output.first, of_all.as_ref(), &target)?;
            for rows in parts.mlp(of_output.count) {
                let part = rows.of(&target)?;
                let hidden = self
                    .mlp
                    .fc1
                    .forward_gelu(&self.normed(&self.norm2, &part)?)?;
                add(&part, &self.mlp.fc2.forward(&hidden)?)?;
            }
        }
        Ok(out)
    }

    /// Attention of some rows of the map, whose queries start at `first_row` of theirs: to keys and values of all, or
    /// among themselves. `target` gets the residual and what was attended to.
    fn attend(
        &self,
        part: &Tensor,
        first_row: i64,
        of_all: Option<&Tensor>,
        target: &Tensor,
    ) -> Result<()> {
        let normed = self.normed(&self.norm1, part)?;
        let attended = match of_all {
            Some(keys_values) => self.attn.forward(&normed, first_row, keys_values)?,
            None => self
                .attn
                .forward(&normed, 0, &self.attn.keys_values(&normed)?)?,
        };
        if let Some(proj) = &self.proj {
            // Where a stage starts the residual is of the normed map, not of the map.
            let residual = max_pool(&proj.forward(&normed)?)?;
            target.f_view_as(target)?.f_copy_(&residual)?;
        }
        drop(normed);
        add(target, &self.attn.project(&attended)?)
    }

    /// Keys and values of the whole map.
    fn keys_values_of_all(&self, x: &Tensor, parts: &Parts) -> Result<Tensor> {
        if parts.attention().len() == 1 {
            return self.attn.keys_values(&self.normed(&self.norm1, x)?);
        }
        let (h, w, _) = x.size3()?;
        let size = [h, w, 2 * self.config.dim_out as i64];
        let whole = Tensor::f_empty(size, (self.kind, x.device()))?;
        for rows in parts.attention() {
            let normed = self.normed(&self.norm1, &rows.of(x)?)?;
            rows.of(&whole)?.f_copy_(&self.attn.keys_values(&normed)?)?;
        }
        Ok(whole)
    }

    fn normed(&self, norm: &LayerNorm, x: &Tensor) -> Result<Tensor> {
        Ok(norm.forward(x)?.f_to_kind(self.kind)?)
    }
}

/// Adds to a part of a map.
fn add(part: &Tensor, more: &Tensor) -> Result<()> {
    // The view is another handle on the same elements.
    let mut part = part.f_view_as(part)?;
    let _ = part.f_add_(more)?;
    Ok(())
}
