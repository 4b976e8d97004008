//! The prompt encoder (`modeling/prompt_encoder.py`): points, boxes and masks to embeddings.

use std::f64::consts::PI;

use sam_mm_checkpoint::PromptEncoderConfig;
use tch::{Device, Kind, Tensor};

use crate::error::Result;
use crate::nn::{LayerNorm, Linear, Weights};

/// ε of the layer norms between the convolutions (`LayerNorm2d`).
const EPS: f64 = 1e-6;

/// What a coordinate stands for. The numbers are rows of [`PromptEncoder::label_embeddings`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointKind {
    /// Padding, or a point with the label −1: its position counts for nothing.
    NotAPoint = 0,
    /// A background point (label 0).
    Background = 1,
    /// A foreground point (label 1).
    Foreground = 2,
    /// The first corner of a box.
    BoxFirst = 3,
    /// The second corner of a box.
    BoxSecond = 4,
}

/// One token of a prompt: a point or a corner of a box, in pixels of the model's input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PromptPoint {
    /// Column, right of the left edge.
    pub x: f32,
    /// Row, below the upper edge.
    pub y: f32,
    /// What it stands for.
    pub kind: PointKind,
}

/// The prompt encoder.
pub struct PromptEncoder {
    config: PromptEncoderConfig,
    pe_layer: PositionEmbeddingRandom,
    /// Added to the encoding of a position, by [`PointKind`]; `(5, C)`.
    label_embeddings: Tensor,
    /// 0 for [`PointKind::NotAPoint`], whose embedding replaces the encoding; 1 for the others; `(5, 1)`.
    keeps_position: Tensor,
    no_mask_embed: Tensor,
    mask_downscaling: MaskDownscaling,
    dense_pe: Tensor,
}

impl PromptEncoder {
    /// Loads the encoder.
    ///
    /// # Errors
    /// When a tensor is missing or misshaped.
    pub fn load(weights: &Weights, config: &PromptEncoderConfig) -> Result<Self> {
        let dim = config.embed_dim as i64;
        let row = |name: &str| weights.sub(name).tensor("weight", &[1, dim]);
        let label_embeddings = Tensor::f_cat(
            &[
                row("not_a_point_embed")?,
                row("point_embeddings.0")?,
                row("point_embeddings.1")?,
                row("point_embeddings.2")?,
                row("point_embeddings.3")?,
            ],
            0,
        )?;
        let keeps_position = Tensor::f_from_slice(&[0f32, 1.0, 1.0, 1.0, 1.0])?
            .f_view([5, 1])?
            .f_to(label_embeddings.device())?;
        let pe_layer = PositionEmbeddingRandom::load(&weights.sub("pe_layer"), dim)?;
        Ok(Self {
            config: *config,
            dense_pe: pe_layer
                .grid(config.image_embedding_size as i64)?
                .f_to_kind(weights.kind())?,
            pe_layer,
            label_embeddings,
            keeps_position,
            no_mask_embed: row("no_mask_embed")?.f_view([dim])?,
            mask_downscaling: MaskDownscaling::load(&weights.sub("mask_downscaling"), config)?,
        })
    }

    /// The positional encoding of the cells of the image embedding, `(N, C)`, row by row.
    pub fn dense_pe(&self) -> &Tensor {
        &self.dense_pe
    }

    /// What every cell gets added when there is no mask input, `(C)`.
    pub fn no_mask_embed(&self) -> &Tensor {
        &self.no_mask_embed
    }

    /// Embeds the points of some objects that have equally many, `(B, T, C)`.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn embed_points(&self, objects: &[Vec<PromptPoint>]) -> Result<Tensor> {
        let tokens = objects.first().map_or(0, Vec::len);
        let shape = [objects.len() as i64, tokens as i64];
        let device = self.label_embeddings.device();
        let kind = self.label_embeddings.f_kind()?;
        if tokens == 0 {
            let empty = [shape[0], 0, self.config.embed_dim as i64];
            return Ok(Tensor::f_empty(empty, (kind, device))?);
        }
        let points = || objects.iter().flatten();
        let side = self.config.input_image_size as f32;
        let unit = |pixel: f32| (pixel + 0.5) / side; // to the middle of the pixel, then 0–1
        let positions: Vec<f32> = points().flat_map(|p| [unit(p.x), unit(p.y)]).collect();
        let rows: Vec<i64> = points().map(|p| p.kind as i64).collect();

        let rows = Tensor::f_from_slice(&rows)?.f_to(device)?;
        let positions = Tensor::f_from_slice(&positions)?
            .f_view([-1, 2])?
            .f_to(device)?;
        let encoded = self
            .pe_layer
            .encode(&positions)?
            .f_mul(&self.keeps_position.f_index_select(0, &rows)?)?
            .f_to_kind(kind)?;
        let embedded = encoded.f_add(&self.label_embeddings.f_index_select(0, &rows)?)?;
        Ok(embedded.f_view([shape[0], shape[1], -1])?)
    }

    /// Embeds mask inputs, `(B, N, 16)` logits as [`crate::cells`] orders them, to `(B, N, C)`.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn embed_masks(&self, masks: &Tensor) -> Result<Tensor> {
        self.mask_downscaling.forward(masks)
    }
}

/// Positional encoding by random spatial frequencies: sine and cosine of 2π·(2p − 1)·G for p in [0, 1]².
struct PositionEmbeddingRandom {
    /// G, `(2, C/2)`; always fp32, because 2π·p·G is lost in half precision.
    gaussian: Tensor,
}

impl PositionEmbeddingRandom {
    fn load(weights: &Weights, dim: i64) -> Result<Self> {
        let name = "positional_encoding_gaussian_matrix";
        Ok(Self {
            gaussian: weights
                .tensor(name, &[2, dim / 2])?
                .f_to_kind(Kind::Float)?,
        })
    }

    /// Positions in [0, 1]², `(P, 2)` as x and y, to `(P, C)`.
    fn encode(&self, positions: &Tensor) -> Result<Tensor> {
        let angles = positions
            .f_mul_scalar(2.0)?
            .f_sub_scalar(1.0)?
            .f_matmul(&self.gaussian)?
            .f_mul_scalar(2.0 * PI)?;
        Ok(Tensor::f_cat(&[angles.f_sin()?, angles.f_cos()?], -1)?)
    }

    /// The middles of the cells of a square grid, row by row, `(side², C)`.
    fn grid(&self, side: i64) -> Result<Tensor> {
        let middles = Tensor::f_arange(side, (Kind::Float, Device::Cpu))?
            .f_add_scalar(0.5)?
            .f_div_scalar(side as f64)?;
        let x = middles.f_view([1, side])?.f_expand([side, side], false)?;
        let y = middles.f_view([side, 1])?.f_expand([side, side], false)?;
        let positions = Tensor::f_stack(&[x, y], -1)?.f_view([-1, 2])?;
        self.encode(&positions.f_to(self.gaussian.device())?)
    }
}

/// Convolutions from a mask input to the cells of the image: 2×2 with stride 2, twice, then 1×1. Kernels that do not
/// overlap are matrix products on rows of four values, given that the values lie so.
struct MaskDownscaling {
    first: Linear,
    first_norm: LayerNorm,
    second: Linear,
    second_norm: LayerNorm,
    last: Linear,
}

impl MaskDownscaling {
    fn load(weights: &Weights, config: &PromptEncoderConfig) -> Result<Self> {
        let (dim, wide) = (config.embed_dim as i64, config.mask_in_chans as i64);
        let narrow = wide / 4;
        let norm = |index: usize, width| LayerNorm::load(&weights.sub(index), width, EPS);
        Ok(Self {
            first: halving(&weights.sub(0), 1, narrow)?,
            first_norm: norm(1, narrow)?,
            second: halving(&weights.sub(3), narrow, wide)?,
            second_norm: norm(4, wide)?,
            last: Linear::new(
                weights
                    .sub(6)
                    .tensor("weight", &[dim, wide, 1, 1])?
                    .f_view([dim, wide])?,
                Some(weights.sub(6).tensor("bias", &[dim])?),
            )?,
        })
    }

    fn forward(&self, masks: &Tensor) -> Result<Tensor> {
        let (batch, cells, _) = masks.size3()?;
        let x = self.first.forward(&masks.f_view([-1, 4])?)?;
        let x = self.first_norm.forward(&x)?.f_gelu("none")?;
        let x = self.second.forward(&x.f_view([batch * cells, -1])?)?;
        let x = self.second_norm.forward(&x)?.f_gelu("none")?;
        Ok(self.last.forward(&x)?.f_view([batch, cells, -1])?)
    }
}

/// A convolution with kernel 2×2 and stride 2 as a matrix product on `(row, column, channel)` patches.
fn halving(weights: &Weights, inputs: i64, outputs: i64) -> Result<Linear> {
    let weight = weights
        .tensor("weight", &[outputs, inputs, 2, 2])?
        .f_permute([0, 2, 3, 1])?
        .f_reshape([outputs, 4 * inputs])?;
    Linear::new(weight, Some(weights.tensor("bias", &[outputs])?))
}
