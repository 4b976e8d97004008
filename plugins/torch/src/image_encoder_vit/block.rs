//! A transformer block with window attention and residuals (`Block`).

use sam_mm_backend_abi::sdk::Attention as AttentionPlan;
use sam_mm_checkpoint::SamVitConfig;
use tch::{Kind, Tensor};

use super::EPS;
use super::attention::Attention;
use super::workspace::Chunks;
use crate::error::Result;
use crate::nn::{LayerNorm, PackedLinear, Weights};

/// A block.
pub struct Block {
    norm1: LayerNorm,
    attn: Attention,
    norm2: LayerNorm,
    mlp: Mlp,
    window: i64,
    kind: Kind,
}

/// The MLP of a block (`MLPBlock`), with exact GELU.
struct Mlp {
    lin1: PackedLinear,
    lin2: PackedLinear,
}

impl Block {
    /// Loads the block of that index.
    ///
    /// # Errors
    /// When a tensor is missing or misshaped.
    pub fn load(weights: &Weights, config: &SamVitConfig, index: usize) -> Result<Self> {
        let (width, hidden) = (config.embed_dim as i64, config.mlp_dim as i64);
        let tokens = (config.grid_size() * config.grid_size()) as i64;
        let mlp = weights.sub("mlp");
        Ok(Self {
            norm1: LayerNorm::load_fp32(&weights.sub("norm1"), width, EPS)?,
            attn: Attention::load(&weights.sub("attn"), config, index)?,
            norm2: LayerNorm::load_fp32(&weights.sub("norm2"), width, EPS)?,
            mlp: Mlp {
                lin1: PackedLinear::load(&mlp.sub("lin1"), width, hidden, tokens)?,
                lin2: PackedLinear::load(&mlp.sub("lin2"), hidden, width, tokens)?,
            },
            window: config.blocks[index].window_size as i64,
            kind: weights.kind(),
        })
    }

    /// Updates the residual stream `x (H, W, C)`, fp32, in place.
    ///
    /// # Errors
    /// When memory runs out or libtorch fails.
    pub fn forward(&self, x: &Tensor, plan: AttentionPlan) -> Result<()> {
        let chunks = Chunks::new(x.size3()?.0, self.window, plan);
        if chunks.queries().len() > 1 {
            self.attend_by_queries(x, &chunks)?;
        } else {
            for rows in chunks.attention() {
                self.attend_within(&rows.of(x)?)?;
            }
        }
        for rows in chunks.mlp() {
            let part = rows.of(x)?;
            let hidden = self
                .mlp
                .lin1
                .forward_gelu(&self.normed(&self.norm2, &part)?)?;
            add(&part, &self.mlp.lin2.forward(&hidden)?)?;
        }
        Ok(())
    }

    /// Tokens attend to those of their window, or all to all: the rows are whole windows.
    fn attend_within(&self, rows: &Tensor) -> Result<()> {
        let normed = self.normed(&self.norm1, rows)?;
        let keys_values = self.attn.keys_values(&normed)?;
        let attended = self.attn.forward(&normed, 0, &keys_values)?;
        drop((normed, keys_values));
        add(rows, &self.attn.project(&attended)?)
    }

    /// All tokens attend to all, chunk by chunk of the queries. A chunk is normed again for its queries, which saves
    /// keeping all of the normed map; the chunks before it have not changed it.
    fn attend_by_queries(&self, x: &Tensor, chunks: &Chunks) -> Result<()> {
        let keys_values = self.keys_values_by_chunks(x, chunks)?;
        for rows in chunks.queries() {
            let part = rows.of(x)?;
            let normed = self.normed(&self.norm1, &part)?;
            let attended = self.attn.forward(&normed, rows.first, &keys_values)?;
            add(&part, &self.attn.project(&attended)?)?;
        }
        Ok(())
    }

    /// Keys and values of the whole map, complete before the first query changes the map.
    fn keys_values_by_chunks(&self, x: &Tensor, chunks: &Chunks) -> Result<Tensor> {
        let (h, w, c) = x.size3()?;
        let whole = Tensor::f_empty([h, w, 2 * c], (self.kind, x.device()))?;
        for rows in chunks.queries() {
            let normed = self.normed(&self.norm1, &rows.of(x)?)?;
            rows.of(&whole)?.f_copy_(&self.attn.keys_values(&normed)?)?;
        }
        Ok(whole)
    }

    fn normed(&self, norm: &LayerNorm, x: &Tensor) -> Result<Tensor> {
        Ok(norm.forward(x)?.f_to_kind(self.kind)?)
    }
}

/// Adds to a part of the residual stream.
fn add(part: &Tensor, more: &Tensor) -> Result<()> {
    // The view is another handle on the same elements.
    let mut part = part.f_view_as(part)?;
    let _ = part.f_add_(more)?;
    Ok(())
}
