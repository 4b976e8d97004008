//! How the work of a block is cut.

use sam_mm_backend_abi::sdk::Attention as AttentionPlan;
use sam_mm_checkpoint::HieraBlockConfig;

use crate::image_encoder_vit::workspace::{Rows, cut};

/// Tokens of a block within windows that are worked on at a time: what lies between its layers then stays in the caches
/// of a processor.
const WINDOW_TOKENS: i64 = 4096;
/// Numbers of a hidden layer that an MLP makes at a time.
const HIDDEN: i64 = 1 << 20;
/// Parts of the queries of global attention when it is chunked.
const CHUNKED_PARTS: i64 = 8;

/// The parts in which a block works on its input map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    height: i64,
    /// Rows of the input whose queries attend at a time.
    rows: i64,
    /// Rows of the output that the MLP takes at a time.
    mlp: i64,
}

impl Parts {
    /// Parts of a block under a plan; on a GPU, which has no use for small parts, the fewest that the plan allows.
    pub fn new(block: &HieraBlockConfig, plan: AttentionPlan, on_gpu: bool) -> Self {
        let side = block.resolution as i64;
        let window = block.window_size as i64;
        let pool = if block.pools_queries { 2 } else { 1 };
        let up = |rows: i64, unit: i64| (rows.max(1) + unit - 1) / unit * unit;
        let chunk = up((side + CHUNKED_PARTS - 1) / CHUNKED_PARTS, pool);
        let rows = match (window, plan) {
            (0, AttentionPlan::Full) => side,
            (0, AttentionPlan::Chunked) => chunk,
            (window, AttentionPlan::Chunked) => window,
            (window, AttentionPlan::Full) if on_gpu => up(side, window),
            (window, AttentionPlan::Full) => {
                // Whole rows of windows, as many as make the tokens.
                let windows = (WINDOW_TOKENS / (window * side)).max(1);
                window * windows
            }
        };
        let hidden = side / pool * block.mlp_dim as i64;
        let mlp = match plan {
            AttentionPlan::Full if on_gpu => side,
            AttentionPlan::Full => (HIDDEN / hidden.max(1)).max(1),
            AttentionPlan::Chunked => (HIDDEN / 2 / hidden.max(1)).max(1),
        };
        Self {
            height: side,
            rows,
            mlp,
        }
    }

    /// Rows of the input that attend at a time: whole windows, or some queries of all.
    pub fn attention(&self) -> impl ExactSizeIterator<Item = Rows> + use<> {
        cut(self.height, self.rows)
    }

    /// Parts of some rows of the output that the MLP takes one after another.
    pub fn mlp(&self, rows: i64) -> impl ExactSizeIterator<Item = Rows> + use<> {
        cut(rows, self.mlp)
    }

    /// Most rows of [`attention`](Self::attention) at a time.
    pub fn attention_rows(&self) -> usize {
        self.rows.min(self.height) as usize
    }

    /// Most rows of [`mlp`](Self::mlp) at a time.
    pub fn mlp_rows(&self) -> usize {
        self.mlp.min(self.rows).min(self.height) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(window_size: usize, resolution: usize, pools_queries: bool) -> HieraBlockConfig {
        HieraBlockConfig {
            dim: 8,
            dim_out: 8,
            num_heads: 1,
            window_size,
            pools_queries,
            resolution,
            mlp_dim: 32,
        }
    }

    #[test]
    fn parts_cover_every_row_once_and_cut_no_window() {
        for window in [0, 4, 14] {
            for resolution in [6, 32, 64, 256] {
                for pools in [false, true] {
                    for plan in [AttentionPlan::Full, AttentionPlan::Chunked] {
                        let block = block(window, resolution, pools);
                        let parts = Parts::new(&block, plan, false);
                        let unit = if window == 0 { 2 } else { window as i64 };
                        let mut next = 0;
                        for rows in parts.attention() {
                            assert_eq!(rows.first, next);
                            assert!(rows.first % unit == 0 || !pools && window == 0);
                            next += rows.count;
                        }
                        assert_eq!(next, resolution as i64);
                    }
                }
            }
        }
    }

    #[test]
    fn a_chunked_plan_takes_smaller_parts_of_global_attention() {
        let block = block(0, 64, false);
        let rows = |plan| Parts::new(&block, plan, false).attention_rows();
        assert_eq!(rows(AttentionPlan::Full), 64);
        assert_eq!(rows(AttentionPlan::Chunked), 8);
    }
}
