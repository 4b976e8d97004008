//! Multi-head attention with decomposed relative positions (`Attention`).

use sam_mm_checkpoint::SamVitConfig;
use tch::{Device, Kind, Tensor};

use super::composed::Composed;
use super::rel_pos::RelPos;
use crate::error::Result;
use crate::nn::{PackedLinear, Weights};
use crate::shim::{AttentionInput, attend, has_attention_kernel};

/// Attention of the tokens of a map within windows, or of all to all.
pub struct Attention {
    q: PackedLinear,
    kv: PackedLinear,
    proj: PackedLinear,
    core: Core,
    heads: i64,
    window: i64,
}

/// How queries, keys and values become attended values.
enum Core {
    /// In one pass on the CPU.
    Fused {
        rel_pos: Option<RelPos>,
        /// `(2, heads, head_dim)`, fp32: key and value of a token of zeros, which pads windows beyond the map.
        padding: Tensor,
    },
    /// Of libtorch's operators, on any device.
    Composed(Composed),
}

impl Attention {
    /// Loads the attention of the block of that index.
    ///
    /// # Errors
    /// When a tensor is missing or misshaped.
    pub fn load(weights: &Weights, config: &SamVitConfig, index: usize) -> Result<Self> {
        let (width, grid) = (config.embed_dim as i64, config.grid_size() as i64);
        let (heads, head_dim) = (config.num_heads as i64, config.head_dim() as i64);
        let block = &config.blocks[index];
        let window = block.window_size as i64;
        let rel_pos = match block.rel_pos_rows {
            Some(rows) => {
                let side = if window == 0 { grid } else { window };
                Some(RelPos::load(weights, rows as i64, side, head_dim)?)
            }
            None => None,
        };
        let qkv = weights.sub("qkv");
        let weight = qkv.tensor("weight", &[3 * width, width])?;
        let bias = match config.qkv_bias {
            true => Some(qkv.tensor("bias", &[3 * width])?),
            false => None,
        };
        let part = |first, count| -> Result<PackedLinear> {
            let bias = bias.as_ref().map(|b| b.f_narrow(0, first, count));
            let weight = weight.f_narrow(0, first, count)?;
            PackedLinear::new(weight, bias.transpose()?, grid * grid)
        };
        // A token of zeros projects to the bias.
        let padding = match &bias {
            Some(bias) => bias.f_narrow(0, width, 2 * width)?.f_to_kind(Kind::Float)?,
            None => Tensor::f_zeros([2 * width], (Kind::Float, weights.device()))?,
        };
        let padding = padding.f_view([2, heads, head_dim])?;
        let core = if weights.device() == Device::Cpu && has_attention_kernel(None) {
            Core::Fused { rel_pos, padding }
        } else {
            Core::Composed(Composed::new(
                rel_pos.as_ref(),
                padding,
                window,
                weights.kind(),
            )?)
        };
        Ok(Self {
            q: part(0, width)?,
            kv: part(width, 2 * width)?,
            proj: PackedLinear::load(&weights.sub("proj"), width, width, grid * grid)?,
            core,
            heads,
            window,
        })
    }

    /// Keys and values `(H, W, 2·C)` of a normed map `(H, W, C)`.
    ///
    /// # Errors
    /// When memory runs out or libtorch fails.
    pub fn keys_values(&self, normed: &Tensor) -> Result<Tensor> {
        self.kv.forward(normed)
    }

    /// Attends with the tokens of `normed (rows, W, C)`, which are the rows of the map from `first_row` on, to
    /// `keys_values (H, W, 2·C)`, and returns `(rows, W, C)`.
    ///
    /// # Errors
    /// When memory runs out or libtorch fails.
    pub fn forward(&self, normed: &Tensor, first_row: i64, keys_values: &Tensor) -> Result<Tensor> {
        let (rows, w, _) = normed.size3()?;
        let h = keys_values.size()[0];
        let queries = self.q.forward(normed)?.f_view([rows, w, self.heads, -1])?;
        let keys_values = keys_values.f_view([h, w, 2, self.heads, -1])?;
        let kind = queries.f_kind()?;
        Ok(match &self.core {
            Core::Fused { rel_pos, padding } => {
                let input = AttentionInput {
                    queries: &queries.f_to_kind(Kind::Float)?,
                    query_row: first_row,
                    query_pool: 1,
                    keys_values: &keys_values.f_to_kind(Kind::Float)?,
                    padding,
                    rel_pos: rel_pos.as_ref().map(|r| (&r.h, &r.w)),
                    window: self.window,
                };
                attend(&input, None)?.f_to_kind(kind)?
            }
            Core::Composed(composed) => composed.attend(&queries, first_row, &keys_values)?,
        })
    }

    /// Projects what was attended to, `(rows, W, C)` to the same.
    ///
    /// # Errors
    /// When memory runs out or libtorch fails.
    pub fn project(&self, attended: &Tensor) -> Result<Tensor> {
        self.proj.forward(attended)
    }
}
