//! Attention within windows or of all to all, whose queries may be pooled (`MultiScaleAttention`).

use sam_mm_checkpoint::HieraBlockConfig;
use tch::{Device, Kind, Tensor};

use crate::error::Result;
use crate::image_encoder_vit::composed::Composed;
use crate::nn::{PackedLinear, Weights};
use crate::shim::{AttentionInput, attend, has_attention_kernel};

/// Attention of a block.
pub struct MultiScaleAttention {
    q: PackedLinear,
    kv: PackedLinear,
    proj: PackedLinear,
    core: Core,
    heads: i64,
    window: i64,
    /// How much coarser the map of queries is: 2 where a stage starts, else 1.
    pool: i64,
}

/// How queries, keys and values become attended values.
enum Core {
    /// In one pass on the CPU.
    Fused {
        /// `(2, heads, head_dim)`, fp32: key and value of a token of zeros, which pads windows beyond the map.
        padding: Tensor,
    },
    /// Of libtorch's operators, on any device.
    Composed(Composed),
}

impl MultiScaleAttention {
    /// Loads the attention of a block.
    ///
    /// # Errors
    /// When a tensor is missing or misshaped.
    pub fn load(weights: &Weights, block: &HieraBlockConfig, rows: i64) -> Result<Self> {
        let (dim, width) = (block.dim as i64, block.dim_out as i64);
        let (heads, window) = (block.num_heads as i64, block.window_size as i64);
        let pool = if block.pools_queries { 2 } else { 1 };
        let qkv = weights.sub("qkv");
        let weight = qkv.tensor("weight", &[3 * width, dim])?;
        let bias = qkv.tensor("bias", &[3 * width])?;
        let part = |first, count| -> Result<PackedLinear> {
            let bias = bias.f_narrow(0, first, count)?;
            PackedLinear::new(weight.f_narrow(0, first, count)?, Some(bias), rows)
        };
        // Windows are padded after the norm, and a token of zeros projects to the bias.
        let padding = bias
            .f_narrow(0, width, 2 * width)?
            .f_to_kind(Kind::Float)?
            .f_view([2, heads, width / heads])?;
        let core = if weights.device() == Device::Cpu && has_attention_kernel(None) {
            Core::Fused { padding }
        } else {
            let composed = Composed::new(None, padding, window, weights.kind())?;
            Core::Composed(composed.with_query_pool(pool))
        };
        Ok(Self {
            q: part(0, width)?,
            kv: part(width, 2 * width)?,
            proj: PackedLinear::load(&weights.sub("proj"), width, width, rows)?,
            core,
            heads,
            window,
            pool,
        })
    }

    /// Keys and values `(H, W, 2·C)` of a normed map `(H, W, dim)`.
    ///
    /// # Errors
    /// When memory runs out or libtorch fails.
    pub fn keys_values(&self, normed: &Tensor) -> Result<Tensor> {
        self.kv.forward(normed)
    }

    /// Attends with the tokens of `normed (rows, W, dim)`, whose pooled queries are the rows of their map from `first_row`
    /// on, to `keys_values (H, W, 2·C)`, and returns `(rows / pool, W / pool, C)`.
    ///
    /// # Errors
    /// When memory runs out or libtorch fails.
    pub fn forward(&self, normed: &Tensor, first_row: i64, keys_values: &Tensor) -> Result<Tensor> {
        let mut queries = self.q.forward(normed)?;
        if self.pool > 1 {
            queries = max_pool(&queries)?;
        }
        let (rows, width, _) = queries.size3()?;
        let queries = queries.f_view([rows, width, self.heads, -1])?;
        let (h, w, _) = keys_values.size3()?;
        let keys_values = keys_values.f_view([h, w, 2, self.heads, -1])?;
        let kind = queries.f_kind()?;
        Ok(match &self.core {
            Core::Fused { padding } => {
                let input = AttentionInput {
                    queries: &queries.f_to_kind(Kind::Float)?,
                    query_row: first_row,
                    query_pool: self.pool,
                    keys_values: &keys_values.f_to_kind(Kind::Float)?,
                    padding,
                    rel_pos: None,
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

/// The greatest of every 2×2 cells of a map `(H, W, C)` with even sides, `(H/2, W/2, C)`.
///
/// # Errors
/// When a side is odd or memory runs out.
pub fn max_pool(map: &Tensor) -> Result<Tensor> {
    let (h, w, c) = map.size3()?;
    let rows = map.f_view([h / 2, 2, w * c])?;
    let rows = rows.f_select(1, 0)?.f_maximum(&rows.f_select(1, 1)?)?;
    let columns = rows.f_view([h / 2, w / 2, 2, c])?;
    Ok(columns
        .f_select(2, 0)?
        .f_maximum(&columns.f_select(2, 1)?)?)
}
