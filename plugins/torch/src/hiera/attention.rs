//! Attention within windows or of all to all, whose queries may be pooled (`MultiScaleAttention`).

use sam_mm_checkpoint::HieraBlockConfig;
use tch::{Device, Kind, Tensor};

use crate::error::Result;
use crate::image_encoder_vit::composed::Composed;
use crate::nn::{LayerNorm, NormedMlp, PackedLinear, Weights, normed_layers};
use crate::shim::hiera_block::HieraBlock;
use crate::shim::kernels::max_pool_2x2;
use crate::shim::{AttentionInput, attend, has_attention_kernel};

/// ε of the layer norms.
pub const EPS: f64 = 1e-6;

/// Attention of a block, with the norm before it.
pub struct MultiScaleAttention {
    norm: LayerNorm,
    q: PackedLinear,
    kv: PackedLinear,
    proj: PackedLinear,
    /// What the residual is projected by where a stage starts: it is of the normed map there.
    residual: Option<PackedLinear>,
    kind: Kind,
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
    /// Loads the attention of the block whose weights these are.
    ///
    /// # Errors
    /// When a tensor is missing or misshaped.
    pub fn load(of_block: &Weights, block: &HieraBlockConfig, rows: i64) -> Result<Self> {
        let weights = &of_block.sub("attn");
        let (dim, width) = (block.dim as i64, block.dim_out as i64);
        let (heads, window) = (block.num_heads as i64, block.window_size as i64);
        let pool = if block.pools_queries { 2 } else { 1 };
        let qkv = weights.sub("qkv");
        let weight = qkv.tensor("weight", &[3 * width, dim])?;
        let bias = qkv.tensor("bias", &[3 * width])?;
        let part = |first, count| -> Result<PackedLinear> {
            let bias = bias.f_narrow(0, first, count)?;
            PackedLinear::tiled(weight.f_narrow(0, first, count)?, bias, rows)
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
        let residual = match block.pools_queries {
            true => Some(PackedLinear::load_tiled(
                &of_block.sub("proj"),
                dim,
                width,
                rows,
            )?),
            false => None,
        };
        Ok(Self {
            norm: LayerNorm::load_fp32(&of_block.sub("norm1"), dim, EPS)?,
            q: part(0, width)?,
            kv: part(width, 2 * width)?,
            proj: PackedLinear::load_tiled(&weights.sub("proj"), width, width, rows)?,
            residual,
            kind: weights.kind(),
            core,
            heads,
            window,
            pool,
        })
    }

    /// The block that this is the attention of, with its MLP, where all of it can be run in one go.
    pub fn whole_block<'a>(&'a self, mlp: &'a NormedMlp) -> Option<HieraBlock<'a>> {
        let Core::Fused { padding } = &self.core else {
            return None;
        };
        let residual = self.residual.as_ref().map(PackedLinear::as_tiled);
        let (norm2, fc1, fc2) = mlp.as_tiled()?;
        Some(HieraBlock {
            window: self.window,
            heads: self.heads,
            norm1: self.norm.tiled(),
            q: self.q.as_tiled()?,
            kv: self.kv.as_tiled()?,
            residual: match residual {
                Some(residual) => Some(residual?),
                None => None,
            },
            padding,
            proj: self.proj.as_tiled()?,
            norm2,
            fc1,
            fc2,
        })
    }

    /// Keys and values `(H, W, 2·C)` of a map `(H, W, dim)`.
    ///
    /// # Errors
    /// When memory runs out or libtorch fails.
    pub fn keys_values(&self, map: &Tensor) -> Result<Tensor> {
        let mut made = normed_layers(&self.norm, &[&self.kv], map, self.kind)?;
        Ok(made.swap_remove(0))
    }

    /// Attends with the tokens of `part (rows, W, dim)` among themselves, or to the keys and values of a whole map
    /// `(H, W, 2·C)`; the pooled queries are rows of their map from `first_row` on. What comes of it is added to
    /// `target (rows / pool, W / pool, C)`, which is the part itself or, where queries are pooled, first gets its residual.
    ///
    /// # Errors
    /// When memory runs out or libtorch fails.
    pub fn forward(
        &self,
        part: &Tensor,
        first_row: i64,
        of_all: Option<&Tensor>,
        target: &Tensor,
    ) -> Result<()> {
        let own = of_all.is_none().then_some(&self.kv);
        let layers = [Some(&self.q), own, self.residual.as_ref()];
        let layers: Vec<_> = layers.into_iter().flatten().collect();
        let mut made = normed_layers(&self.norm, &layers, part, self.kind)?;
        if self.residual.is_some()
            && let Some(residual) = made.pop()
        {
            pool_to(&residual, target)?;
        }
        let own = own.and_then(|_| made.pop());
        let mut queries = made.swap_remove(0);
        if self.pool > 1 {
            queries = max_pool(&queries)?;
        }
        // The part's own keys start where its queries do.
        let first_row = if own.is_some() { 0 } else { first_row };
        let keys_values = own.as_ref().or(of_all);
        let keys_values = keys_values.expect("those of the part, or of all");
        let attended = self.attend(&queries, first_row, keys_values)?;
        drop(queries);
        self.proj.add_to(target, &attended)
    }

    /// `queries (rows, W / pool, C)` to what they attend to, of the same shape.
    fn attend(&self, queries: &Tensor, first_row: i64, keys_values: &Tensor) -> Result<Tensor> {
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
}

/// The greatest of every 2×2 cells of a map `(H, W, C)` with even sides, `(H/2, W/2, C)`.
fn max_pool(map: &Tensor) -> Result<Tensor> {
    let (h, w, c) = map.size3()?;
    let out = Tensor::f_empty([h / 2, w / 2, c], (map.f_kind()?, map.device()))?;
    pool_to(map, &out)?;
    Ok(out)
}

/// As [`max_pool`], to an output that is there.
fn pool_to(map: &Tensor, out: &Tensor) -> Result<()> {
    let (h, w, c) = map.size3()?;
    if max_pool_2x2(map, out).is_some() {
        return Ok(());
    }
    let rows = map.f_view([h / 2, 2, w * c])?;
    let rows = rows.f_select(1, 0)?.f_maximum(&rows.f_select(1, 1)?)?;
    let columns = rows.f_view([h / 2, w / 2, 2, c])?;
    let greatest = columns
        .f_select(2, 0)?
        .f_maximum(&columns.f_select(2, 1)?)?;
    out.f_view_as(out)?.f_copy_(&greatest)?;
    Ok(())
}
