//! Attention between a few tokens and the many cells of an image.
//!
//! The official code projects the whole image to queries, keys and values in every layer. With T tokens, heads of
//! width d and T ≤ d it is cheaper to carry the projections over to the side of the tokens, because products associate:
//!
//! - scores `q (x Wᵏ)ᵀ = (q Wᵏᵀ) xᵀ` take 2·H·T·C·N instead of 2·H·d·C·N operations for N cells of C channels. The
//!   bias of the keys adds the same to every score of a query, so softmax does not see it;
//! - outputs `A (x Wᵛ + bᵛ) = (A x) Wᵛ + bᵛ`, because the rows of A sum to 1;
//! - from the image to tokens, `(A v) Wᵒ = A (v Wᵒ)`.
//!
//! All of it is exact but for rounding. Scores are kept with the cells last, `(…, T, N)`: softmax over either side and
//! every product then run over long rows.

use tch::Tensor;

use crate::error::Result;
use crate::nn::{Linear, Weights};
use crate::shim::row_products;

/// Widths of an attention of the mask decoder.
#[derive(Clone, Copy, Debug)]
pub struct AttentionShape {
    /// Channels of the tokens and of the image (C).
    pub embedding_dim: i64,
    /// Heads (H).
    pub num_heads: i64,
    /// Width of all heads together (H·d).
    pub internal_dim: i64,
}

impl AttentionShape {
    fn head_dim(&self) -> i64 {
        self.internal_dim / self.num_heads
    }

    /// What scores are multiplied by: 1/√d.
    fn scale(&self) -> f64 {
        1.0 / (self.head_dim() as f64).sqrt()
    }

    /// Whether carrying projections of the image over to the tokens costs less than making them.
    fn absorbs(&self, tokens: i64) -> bool {
        tokens <= self.head_dim()
    }

    /// `(B, T, H·d)` as `(B, H, T, d)`.
    fn heads(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, tokens, _) = x.size3()?;
        let split = x.f_view([batch, tokens, self.num_heads, self.head_dim()])?;
        Ok(split.f_transpose(1, 2)?)
    }

    /// `(B, H, T, d)` to `(B, T, H·d)`.
    fn recombine(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, _, tokens, _) = x.size4()?;
        let split = x.f_transpose(1, 2)?;
        Ok(split.f_reshape([batch, tokens, self.internal_dim])?)
    }

    /// `(B, T, H·d)` as `(H, B·T, d)`: all objects together, head by head.
    fn heads_of_all(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, tokens, _) = x.size3()?;
        let split = x.f_reshape([batch * tokens, self.num_heads, self.head_dim()])?;
        Ok(split.f_transpose(0, 1)?)
    }

    /// `(H, B·T, K)` to `(B, H·T, K)`.
    fn by_object(&self, x: &Tensor, batch: i64) -> Result<Tensor> {
        let (heads, rows, width) = x.size3()?;
        let split = x.f_reshape([heads, batch, rows / batch, width])?;
        Ok(split
            .f_transpose(0, 1)?
            .f_reshape([batch, heads * rows / batch, width])?)
    }

    /// `(B, H·T, K)` to `(H, B·T, K)`.
    fn by_head(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, rows, width) = x.size3()?;
        let heads = self.num_heads;
        let split = x.f_view([batch, heads, rows / heads, width])?;
        Ok(split
            .f_transpose(0, 1)?
            .f_reshape([heads, batch * rows / heads, width])?)
    }
}

/// The four projections of an attention and their weights, under the official names.
struct Projections {
    q: Linear,
    k: Linear,
    v: Linear,
    out: Linear,
}

impl Projections {
    fn load(weights: &Weights, shape: AttentionShape) -> Result<Self> {
        let (wide, inner) = (shape.embedding_dim, shape.internal_dim);
        Ok(Self {
            q: Linear::load(&weights.sub("q_proj"), wide, inner)?,
            k: Linear::load(&weights.sub("k_proj"), wide, inner)?,
            v: Linear::load(&weights.sub("v_proj"), wide, inner)?,
            out: Linear::load(&weights.sub("out_proj"), inner, wide)?,
        })
    }
}

/// Attention of tokens among themselves.
pub struct SelfAttention {
    shape: AttentionShape,
    projections: Projections,
}

impl SelfAttention {
    /// Loads the projections.
    ///
    /// # Errors
    /// When a tensor is missing or misshaped.
    pub fn load(weights: &Weights, shape: AttentionShape) -> Result<Self> {
        Ok(Self {
            shape,
            projections: Projections::load(weights, shape)?,
        })
    }

    /// Queries and keys are made of `positioned`, values of `tokens`; all `(B, T, C)`.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward(&self, positioned: &Tensor, tokens: &Tensor) -> Result<Tensor> {
        let shape = &self.shape;
        let q = shape.heads(&self.projections.q.forward(positioned)?)?;
        let k = shape.heads(&self.projections.k.forward(positioned)?)?;
        let v = shape.heads(&self.projections.v.forward(tokens)?)?;
        let scores = q
            .f_matmul(&k.f_transpose(2, 3)?)?
            .f_mul_scalar(shape.scale())?;
        let attended = scores.f_softmax(-1, None)?.f_matmul(&v)?;
        self.projections.out.forward(&shape.recombine(&attended)?)
    }
}

/// Cross attention: tokens ask, the image answers.
pub struct TokenToImageAttention {
    shape: AttentionShape,
    projections: Projections,
    /// Wᵏ of each head times the scale, `(H, d, C)`.
    key_weight: Tensor,
    /// Wᵛ of each head, `(H, C, d)`.
    value_weight: Tensor,
    /// bᵛ of each head, `(H, 1, d)`.
    value_bias: Tensor,
}

/// Keys and values of an image, for objects that share it.
pub struct SharedKeyValues {
    /// Times the scale, `(H, d, N)`.
    keys: Tensor,
    /// `(H, N, d)`.
    values: Tensor,
}

impl TokenToImageAttention {
    /// Loads the projections.
    ///
    /// # Errors
    /// When a tensor is missing or misshaped.
    pub fn load(weights: &Weights, shape: AttentionShape) -> Result<Self> {
        let projections = Projections::load(weights, shape)?;
        let (heads, width) = (shape.num_heads, shape.head_dim());
        let by_head = [heads, width, shape.embedding_dim];
        Ok(Self {
            shape,
            key_weight: projections
                .k
                .weight()
                .f_view(by_head)?
                .f_mul_scalar(shape.scale())?,
            value_weight: projections
                .v
                .weight()
                .f_view(by_head)?
                .f_transpose(1, 2)?
                .f_contiguous()?,
            value_bias: projections.v.bias()?.f_view([heads, 1, width])?,
            projections,
        })
    }

    /// Projects an image, `(N, C)` each, once for all prompts to come.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn share(&self, positioned: &Tensor, cells: &Tensor) -> Result<SharedKeyValues> {
        let one = |x: Tensor| -> Result<Tensor> { Ok(x.f_unsqueeze(0)?) };
        let keys = one(self.projections.k.forward(positioned)?)?;
        let values = one(self.projections.v.forward(cells)?)?;
        Ok(SharedKeyValues {
            keys: self
                .shape
                .heads_of_all(&keys)?
                .f_transpose(1, 2)?
                .f_mul_scalar(self.shape.scale())?
                .f_contiguous()?,
            values: self.shape.heads_of_all(&values)?.f_contiguous()?,
        })
    }

    /// Tokens `(B, T, C)` of objects that share an image.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward_shared(&self, tokens: &Tensor, image: &SharedKeyValues) -> Result<Tensor> {
        let batch = tokens.size3()?.0;
        let q = self
            .shape
            .heads_of_all(&self.projections.q.forward(tokens)?)?;
        let attended = q
            .f_bmm(&image.keys)?
            .f_softmax(-1, None)?
            .f_bmm(&image.values)?;
        self.project_out(&attended, batch)
    }

    /// Tokens `(B, T, C)` of objects that each have an image of their own: keys are made of `positioned`, values of
    /// `cells`, both `(B, N, C)`.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward(&self, tokens: &Tensor, positioned: &Tensor, cells: &Tensor) -> Result<Tensor> {
        let (batch, count, _) = tokens.size3()?;
        let q = self.projections.q.forward(tokens)?;
        if !self.shape.absorbs(count) {
            return self.forward_projected(&q, positioned, cells);
        }
        let q = self.shape.heads_of_all(&q)?.f_bmm(&self.key_weight)?;
        let scores = row_products(&self.shape.by_object(&q, batch)?, positioned)?;
        let attended = row_products(&scores.f_softmax(-1, None)?, &cells.f_transpose(1, 2)?)?;
        let values =
            self.value_bias
                .f_baddbmm(&self.shape.by_head(&attended)?, &self.value_weight, 1, 1)?;
        self.project_out(&values, batch)
    }

    fn forward_projected(&self, q: &Tensor, positioned: &Tensor, cells: &Tensor) -> Result<Tensor> {
        let shape = &self.shape;
        let q = shape.heads(&q.f_mul_scalar(shape.scale())?)?;
        let k = shape.heads(&self.projections.k.forward(positioned)?)?;
        let v = shape.heads(&self.projections.v.forward(cells)?)?;
        let scores = q.f_matmul(&k.f_transpose(2, 3)?)?;
        let attended = scores.f_softmax(-1, None)?.f_matmul(&v)?;
        self.projections.out.forward(&shape.recombine(&attended)?)
    }

    /// `(H, B·T, d)` through the output projection to `(B, T, C)`.
    fn project_out(&self, attended: &Tensor, batch: i64) -> Result<Tensor> {
        let (_, rows, _) = attended.size3()?;
        let merged = attended.f_transpose(0, 1)?.f_reshape([
            batch,
            rows / batch,
            self.shape.internal_dim,
        ])?;
        self.projections.out.forward(&merged)
    }
}

/// Cross attention: the image asks, tokens answer, and the answer is added to the image.
pub struct ImageToTokenAttention {
    shape: AttentionShape,
    projections: Projections,
    /// Wᵠ of each head times the scale, `(H, d, C)`.
    query_weight: Tensor,
    /// bᵠ of each head times the scale, `(H, d, 1)`.
    query_bias: Tensor,
    /// Wᵒ of each head, `(H, d, C)`.
    out_weight: Tensor,
    /// bᵒ/H, `(C)`: every cell's attention sums to 1 in each head, so each head brings its part of the bias.
    out_bias_per_head: Tensor,
}

/// Queries of an image times the scale, `(H, d, N)`, for objects that share it.
pub struct SharedQueries(Tensor);

impl ImageToTokenAttention {
    /// Loads the projections.
    ///
    /// # Errors
    /// When a tensor is missing or misshaped.
    pub fn load(weights: &Weights, shape: AttentionShape) -> Result<Self> {
        let projections = Projections::load(weights, shape)?;
        let (heads, width, wide) = (shape.num_heads, shape.head_dim(), shape.embedding_dim);
        Ok(Self {
            shape,
            query_weight: projections
                .q
                .weight()
                .f_view([heads, width, wide])?
                .f_mul_scalar(shape.scale())?,
            query_bias: projections
                .q
                .bias()?
                .f_view([heads, width, 1])?
                .f_mul_scalar(shape.scale())?,
            out_weight: projections
                .out
                .weight()
                .f_transpose(0, 1)?
                .f_contiguous()?
                .f_view([heads, width, wide])?,
            out_bias_per_head: projections.out.bias()?.f_div_scalar(heads as f64)?,
            projections,
        })
    }

    /// Projects an image, `(N, C)`, once for all prompts to come.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn share(&self, positioned: &Tensor) -> Result<SharedQueries> {
        let q = self.projections.q.forward(positioned)?.f_unsqueeze(0)?;
        let q = self.shape.heads_of_all(&q)?.f_transpose(1, 2)?;
        Ok(SharedQueries(
            q.f_mul_scalar(self.shape.scale())?.f_contiguous()?,
        ))
    }

    /// For objects that share an image: `image (N, C) + offset (C) + attention`, `(B, N, C)`. Keys are made of
    /// `positioned`, values of `tokens`, both `(B, T, C)`.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn add_to_shared(
        &self,
        image: &Tensor,
        offset: &Tensor,
        queries: &SharedQueries,
        positioned: &Tensor,
        tokens: &Tensor,
    ) -> Result<Tensor> {
        let batch = tokens.size3()?.0;
        let k = self
            .shape
            .heads_of_all(&self.projections.k.forward(positioned)?)?;
        let scores = self.shape.by_object(&k.f_bmm(&queries.0)?, batch)?;
        let bias = offset
            .f_div_scalar(self.shape.num_heads as f64)?
            .f_add(&self.out_bias_per_head)?;
        let (cells, channels) = image.size2()?;
        let image = image
            .f_unsqueeze(0)?
            .f_expand([batch, cells, channels], false)?;
        self.add_absorbed(&image, scores, tokens, &bias)
    }

    /// For objects that each have an image of their own: `cells + attention`, `(B, N, C)`. Queries are made of
    /// `positioned_cells`.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn add_to(
        &self,
        cells: &Tensor,
        positioned_cells: &Tensor,
        positioned: &Tensor,
        tokens: &Tensor,
    ) -> Result<Tensor> {
        let (batch, count, _) = tokens.size3()?;
        let k = self.projections.k.forward(positioned)?;
        if !self.shape.absorbs(count) {
            return self.add_projected(cells, positioned_cells, &k, tokens);
        }
        let k = self.shape.heads_of_all(&k)?;
        let bias = self.shape.by_object(&k.f_bmm(&self.query_bias)?, batch)?;
        let k = self.shape.by_object(&k.f_bmm(&self.query_weight)?, batch)?;
        let scores = row_products(&k, positioned_cells)?.f_add_(&bias)?;
        self.add_absorbed(cells, scores, tokens, &self.out_bias_per_head)
    }

    /// Softmax of `scores (B, H·T, N)` over the tokens of each head, then `cells + A (v Wᵒ + bias)`.
    fn add_absorbed(
        &self,
        cells: &Tensor,
        scores: Tensor,
        tokens: &Tensor,
        bias_per_head: &Tensor,
    ) -> Result<Tensor> {
        let (batch, rows, width) = scores.size3()?;
        let heads = self.shape.num_heads;
        let attention = scores
            .f_view([batch, heads, rows / heads, width])?
            .f_softmax(2, None)?
            .f_view([batch, rows, width])?;
        let v = self
            .shape
            .heads_of_all(&self.projections.v.forward(tokens)?)?;
        let values = self
            .shape
            .by_object(&v.f_bmm(&self.out_weight)?, batch)?
            .f_add(bias_per_head)?;
        Ok(cells.f_baddbmm(&attention.f_transpose(1, 2)?, &values, 1, 1)?)
    }

    fn add_projected(
        &self,
        cells: &Tensor,
        positioned_cells: &Tensor,
        k: &Tensor,
        tokens: &Tensor,
    ) -> Result<Tensor> {
        let shape = &self.shape;
        let k = shape.heads(&k.f_mul_scalar(shape.scale())?)?;
        let q = shape.heads(&self.projections.q.forward(positioned_cells)?)?;
        let v = shape.heads(&self.projections.v.forward(tokens)?)?;
        let attention = k.f_matmul(&q.f_transpose(2, 3)?)?.f_softmax(2, None)?;
        let attended = attention.f_transpose(2, 3)?.f_matmul(&v)?;
        let added = self.projections.out.forward(&shape.recombine(&attended)?)?;
        Ok(added.f_add(cells)?)
    }
}
