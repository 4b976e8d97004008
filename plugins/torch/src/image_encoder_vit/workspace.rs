//! How the work of a block is cut, and the memory that it takes.

use sam_mm_backend_abi::sdk::Attention as AttentionPlan;
use tch::Tensor;

use crate::error::Result;

/// Parts that the MLP works on one after another. Its hidden layer, four times as wide as the map, then is as large as
/// the map itself, and takes the memory that attention left.
const MLP_PARTS: i64 = 4;
/// Parts of the queries, and of the MLP's tokens, when attention is chunked.
const CHUNKED_PARTS: i64 = 8;
const CHUNKED_MLP_PARTS: i64 = 16;

/// Some rows of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    /// The first one.
    pub first: i64,
    /// How many.
    pub count: i64,
}

impl Rows {
    /// These rows of a map, as a view.
    ///
    /// # Errors
    /// When the map has no such rows.
    pub fn of(self, map: &Tensor) -> Result<Tensor> {
        Ok(map.f_narrow(0, self.first, self.count)?)
    }
}

/// The parts in which a block works on a map.
pub struct Chunks {
    height: i64,
    queries: i64,
    attention: i64,
    mlp: i64,
}

impl Chunks {
    /// Parts of a map of `height` rows for windows of that side (0: none) under a plan.
    pub fn new(height: i64, window: i64, plan: AttentionPlan) -> Self {
        let part = |parts: i64| (height + parts - 1) / parts;
        match plan {
            AttentionPlan::Full => Self {
                height,
                queries: height,
                attention: height,
                mlp: part(MLP_PARTS),
            },
            AttentionPlan::Chunked if window == 0 => Self {
                height,
                queries: part(CHUNKED_PARTS),
                attention: height,
                mlp: part(CHUNKED_MLP_PARTS),
            },
            AttentionPlan::Chunked => Self {
                height,
                queries: height,
                attention: window,
                mlp: part(CHUNKED_MLP_PARTS),
            },
        }
    }

    /// Rows whose queries attend at a time to keys of all rows.
    pub fn queries(&self) -> impl ExactSizeIterator<Item = Rows> + use<> {
        cut(self.height, self.queries)
    }

    /// Rows that attend at a time among themselves: whole windows, or the whole map.
    pub fn attention(&self) -> impl ExactSizeIterator<Item = Rows> + use<> {
        cut(self.height, self.attention)
    }

    /// Most rows of [`queries`](Self::queries) at a time.
    pub fn rows_of_queries(&self) -> usize {
        self.queries as usize
    }

    /// Most rows of [`attention`](Self::attention) at a time.
    pub fn rows_of_attention(&self) -> usize {
        self.attention.min(self.height) as usize
    }

    /// Most rows of [`mlp`](Self::mlp) at a time.
    pub fn rows_of_mlp(&self) -> usize {
        self.mlp as usize
    }

    /// Rows that the MLP works on at a time.
    pub fn mlp(&self) -> impl ExactSizeIterator<Item = Rows> + use<> {
        cut(self.height, self.mlp)
    }
}

/// The rows of a map in parts of `step`, first to last.
pub fn cut(height: i64, step: i64) -> impl ExactSizeIterator<Item = Rows> {
    let parts = (height + step - 1) / step;
    (0..parts as usize).map(move |index| {
        let first = index as i64 * step;
        Rows {
            first,
            count: step.min(height - first),
        }
    })
}
