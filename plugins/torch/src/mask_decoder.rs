//! The mask decoder (`modeling/mask_decoder.py`): prompt tokens and an image embedding to masks and their quality.

use sam_mm_checkpoint::MaskDecoderConfig;
use tch::{Kind, Tensor};

use crate::cells::PER_CELL;
use crate::error::Result;
use crate::nn::{LayerNorm, Linear, PackedLinear, Weights};
use crate::shim::kernels::gelu_products;
use crate::two_way_transformer::{ImageSide, SharedImage, TwoWayTransformer};

/// ε of the layer norm in the upscaling (`LayerNorm2d`).
const EPS: f64 = 1e-6;
/// Layers of the MLP that makes a mask's weights from its token.
const HYPERNETWORK_DEPTH: usize = 3;
/// Cells that are upscaled at a time: what they become stays in the caches of a processor.
pub const UPSCALING_CELLS: i64 = 1024;

/// Masks of some objects.
pub struct Masks {
    /// `(B, n, N, 16)` logits, fp32, as [`crate::cells`] orders them.
    pub logits: Tensor,
    /// `(B, n)` predicted IoU, fp32.
    pub scores: Tensor,
}

/// The mask decoder.
pub struct MaskDecoder {
    transformer: TwoWayTransformer,
    /// The token of the IoU, then those of the masks; `(1 + M, C)`.
    output_tokens: Tensor,
    /// M: one mask, and those of multimask output.
    num_mask_tokens: i64,
    output_upscaling: OutputUpscaling,
    output_hypernetworks: StackedMlps,
    iou_prediction_head: Mlp,
}

impl MaskDecoder {
    /// Loads the decoder.
    ///
    /// # Errors
    /// When a tensor is missing or misshaped.
    pub fn load(weights: &Weights, config: &MaskDecoderConfig) -> Result<Self> {
        let dim = config.transformer_dim as i64;
        let num_mask_tokens = config.num_multimask_outputs as i64 + 1;
        Ok(Self {
            transformer: TwoWayTransformer::load(&weights.sub("transformer"), config)?,
            output_tokens: Tensor::f_cat(
                &[
                    weights.sub("iou_token").tensor("weight", &[1, dim])?,
                    weights
                        .sub("mask_tokens")
                        .tensor("weight", &[num_mask_tokens, dim])?,
                ],
                0,
            )?,
            num_mask_tokens,
            output_upscaling: OutputUpscaling::load(&weights.sub("output_upscaling"), dim)?,
            output_hypernetworks: StackedMlps::load(
                &weights.sub("output_hypernetworks_mlps"),
                num_mask_tokens,
                &widths(dim, dim, dim / 8, HYPERNETWORK_DEPTH),
            )?,
            iou_prediction_head: Mlp::load(
                &weights.sub("iou_prediction_head"),
                &widths(
                    dim,
                    config.iou_head_hidden_dim as i64,
                    num_mask_tokens,
                    config.iou_head_depth,
                ),
            )?,
        })
    }

    /// Projects an image once for all prompts without a mask input; see [`TwoWayTransformer::share`].
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn share(&self, cells: &Tensor, pe: &Tensor) -> Result<SharedImage> {
        self.transformer.share(cells, pe)
    }

    /// Predicts the masks of B objects from their prompt tokens `(B, T, C)`: the three of multimask output, or one.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward(
        &self,
        image: ImageSide<'_>,
        pe: &Tensor,
        prompt_tokens: &Tensor,
        multimask: bool,
    ) -> Result<Masks> {
        let (batch, _, dim) = prompt_tokens.size3()?;
        let output_tokens = self
            .output_tokens
            .f_unsqueeze(0)?
            .f_expand([batch, -1, dim], false)?;
        let tokens = Tensor::f_cat(&[output_tokens, prompt_tokens.shallow_clone()], 1)?;
        let (tokens, cells) = self.transformer.forward(image, pe, &tokens)?;

        // Token 0 tells the IoU; mask token 0 is the single mask, the others are those of multimask output.
        let (first, count) = if multimask {
            (1, self.num_mask_tokens - 1)
        } else {
            (0, 1)
        };
        let mask_tokens = tokens.f_narrow(1, 1 + first, count)?;
        let kernels = self.output_hypernetworks.forward(&mask_tokens, first)?;
        let scores = self
            .iou_prediction_head
            .forward(&tokens.f_select(1, 0)?)?
            .f_narrow(1, first, count)?;
        Ok(Masks {
            logits: self.output_upscaling.masks(&cells, &kernels)?,
            scores: scores.f_to_kind(Kind::Float)?,
        })
    }
}

/// Widths before, between and after the layers of an MLP.
fn widths(input: i64, hidden: i64, output: i64, depth: usize) -> Vec<i64> {
    let mut widths = vec![hidden; depth + 1];
    widths[0] = input;
    widths[depth] = output;
    widths
}

/// Two transposed convolutions with kernel 2×2 and stride 2: matrix products per cell, because their outputs do not
/// overlap. Every cell becomes a 2×2 block of 2×2 blocks.
struct OutputUpscaling {
    first: PackedLinear,
    norm: LayerNorm,
    second: PackedLinear,
}

impl OutputUpscaling {
    fn load(weights: &Weights, dim: i64) -> Result<Self> {
        Ok(Self {
            first: doubling(&weights.sub(0), dim, dim / 4, UPSCALING_CELLS)?,
            norm: LayerNorm::load(&weights.sub(1), dim / 4, EPS)?,
            second: doubling(&weights.sub(3), dim / 4, dim / 8, 4 * UPSCALING_CELLS)?,
        })
    }

    /// The products of the upscaled cells `(B, N, C)` with `kernels (B, n, C/8)`: `(B, n, N, 16)`, fp32.
    fn masks(&self, cells: &Tensor, kernels: &Tensor) -> Result<Tensor> {
        let (batch, count, _) = cells.size3()?;
        let masks = kernels.size3()?.1;
        let shape = [batch, masks, count, PER_CELL as i64];
        let logits = Tensor::f_empty(shape, (Kind::Float, cells.device()))?;
        let (objects_at_once, cells_at_once) = if cells.device().is_cuda() {
            (batch, count)
        } else {
            (1, UPSCALING_CELLS)
        };
        for object in (0..batch).step_by(objects_at_once as usize) {
            let some = |x: &Tensor| x.f_narrow(0, object, objects_at_once);
            let (cells, kernels, logits) = (some(cells)?, some(kernels)?, some(&logits)?);
            for start in (0..count).step_by(cells_at_once as usize) {
                let length = cells_at_once.min(count - start);
                let block = self.upscale(&cells.f_narrow(1, start, length)?)?;
                multiply(block, &kernels, &logits, start)?;
            }
        }
        Ok(logits)
    }

    /// Cells `(B, n, C)` to `(B, 16·n, C/8)`, but for the last GELU.
    fn upscale(&self, cells: &Tensor) -> Result<Tensor> {
        let (batch, count, dim) = cells.size3()?;
        let x = self.first.forward(cells)?;
        let x = x.f_view([batch, 4 * count, dim / 4])?;
        let x = self.second.forward(&self.norm.forward_gelu(&x)?)?;
        Ok(x.f_view([batch, PER_CELL as i64 * count, dim / 8])?)
    }
}

/// The GELU of upscaled cells `(B, 16·n, W)` times `kernels (B, masks, W)`, to `logits (B, masks, N, 16)` from cell
/// `start` on.
fn multiply(mut upscaled: Tensor, kernels: &Tensor, logits: &Tensor, start: i64) -> Result<()> {
    let (batch, masks, count, per_cell) = logits.size4()?;
    if batch == 1 {
        let rows = logits.f_view([masks, count * per_cell])?;
        let (x, kernels) = (
            upscaled.f_select(0, 0)?,
            kernels.f_select(0, 0)?.f_contiguous()?,
        );
        if gelu_products(&x, &kernels, &rows, start * per_cell).is_some() {
            return Ok(());
        }
    }
    let x = upscaled.f_gelu_("none")?;
    let products = kernels.f_bmm(&x.f_transpose(1, 2)?)?;
    let length = products.size3()?.2 / per_cell;
    let products = products.f_view([batch, masks, length, per_cell])?;
    Ok(logits.f_narrow(2, start, length)?.f_copy_(&products)?)
}

/// A transposed convolution with kernel 2×2 and stride 2 as a matrix product to `(row, column, channel)` blocks, for
/// about `rows` cells at a time.
fn doubling(weights: &Weights, inputs: i64, outputs: i64, rows: i64) -> Result<PackedLinear> {
    let weight = weights
        .tensor("weight", &[inputs, outputs, 2, 2])?
        .f_permute([2, 3, 1, 0])?
        .f_reshape([4 * outputs, inputs])?;
    let bias = weights.tensor("bias", &[outputs])?.f_repeat([4])?;
    PackedLinear::new(weight, Some(bias), rows)
}

/// An MLP with ReLU between its layers (`MLP` of `mask_decoder.py`).
struct Mlp {
    layers: Vec<Linear>,
}

impl Mlp {
    fn load(weights: &Weights, widths: &[i64]) -> Result<Self> {
        let layers = widths
            .windows(2)
            .enumerate()
            .map(|(index, pair)| Linear::load(&weights.sub("layers").sub(index), pair[0], pair[1]));
        Ok(Self {
            layers: layers.collect::<Result<_>>()?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (last, hidden) = self
            .layers
            .split_last()
            .expect("depth is checked on loading");
        let mut x = x.shallow_clone();
        for layer in hidden {
            x = layer.forward(&x)?.f_relu()?;
        }
        last.forward(&x)
    }
}

/// MLPs of one shape, each on a token of its own, as one batch of products.
struct StackedMlps {
    /// Of each layer: weights `(M, in, out)` and biases `(M, 1, out)`.
    layers: Vec<(Tensor, Tensor)>,
}

impl StackedMlps {
    fn load(weights: &Weights, count: i64, widths: &[i64]) -> Result<Self> {
        let layer = |index: usize, input: i64, output: i64| -> Result<(Tensor, Tensor)> {
            let of = |mlp: i64| weights.sub(mlp as usize).sub("layers").sub(index);
            let matrices = (0..count)
                .map(|mlp| {
                    Ok(of(mlp)
                        .tensor("weight", &[output, input])?
                        .f_transpose(0, 1)?)
                })
                .collect::<Result<Vec<_>>>()?;
            let biases = (0..count)
                .map(|mlp| Ok(of(mlp).tensor("bias", &[output])?.f_unsqueeze(0)?))
                .collect::<Result<Vec<_>>>()?;
            Ok((Tensor::f_stack(&matrices, 0)?, Tensor::f_stack(&biases, 0)?))
        };
        let layers = widths
            .windows(2)
            .enumerate()
            .map(|(index, pair)| layer(index, pair[0], pair[1]));
        Ok(Self {
            layers: layers.collect::<Result<_>>()?,
        })
    }

    /// Tokens `(B, n, in)` through the MLPs `first..first + n`, `(B, n, out)`.
    fn forward(&self, tokens: &Tensor, first: i64) -> Result<Tensor> {
        let count = tokens.size3()?.1;
        let mut x = tokens.f_transpose(0, 1)?;
        for (index, (weight, bias)) in self.layers.iter().enumerate() {
            let weight = weight.f_narrow(0, first, count)?;
            x = bias
                .f_narrow(0, first, count)?
                .f_baddbmm(&x, &weight, 1, 1)?;
            if index + 1 < self.layers.len() {
                x = x.f_relu()?;
            }
        }
        Ok(x.f_transpose(0, 1)?)
    }
}
