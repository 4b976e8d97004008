//! The mask decoder (`modeling/mask_decoder.py`, in SAM 2 `sam2/modeling/sam/mask_decoder.py`): prompt tokens and an image
//! embedding to masks and their quality.

use sam_mm_checkpoint::MaskDecoderConfig;
use tch::{Kind, Tensor};

use crate::cells::PER_CELL;
use crate::embedding::HighResFeatures;
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
    /// `(B)`: positive where there is an object, fp32; none in SAM.
    pub object_scores: Option<Tensor>,
}

/// Official SAM 2 turns to the masks of multimask output when the single one is not stable: when its area above +δ is less
/// than this share of that above −δ (`dynamic_multimask_via_stability`).
const STABILITY_THRESHOLD: f64 = 0.98;
/// δ.
const STABILITY_DELTA: f64 = 0.05;

/// The mask decoder.
pub struct MaskDecoder {
    transformer: TwoWayTransformer,
    /// In SAM 2 the token of the object score; then the token of the IoU, then those of the masks; `(… + 1 + M, C)`.
    output_tokens: Tensor,
    /// M: one mask, and those of multimask output.
    num_mask_tokens: i64,
    output_upscaling: OutputUpscaling,
    output_hypernetworks: StackedMlps,
    iou_prediction_head: Mlp,
    /// SAM 2 has one.
    pred_obj_score_head: Option<Mlp>,
}

impl MaskDecoder {
    /// Loads the decoder.
    ///
    /// # Errors
    /// When a tensor is missing or misshaped.
    pub fn load(weights: &Weights, config: &MaskDecoderConfig) -> Result<Self> {
        let dim = config.transformer_dim as i64;
        let num_mask_tokens = config.num_multimask_outputs as i64 + 1;
        let token = |name: &str, count| weights.sub(name).tensor("weight", &[count, dim]);
        let mut output_tokens = vec![
            token("iou_token", 1)?,
            token("mask_tokens", num_mask_tokens)?,
        ];
        if config.sam2.is_some() {
            output_tokens.insert(0, token("obj_score_token", 1)?);
        }
        let pred_obj_score_head = config.sam2.map(|sam2| {
            Mlp::load(
                &weights.sub("pred_obj_score_head"),
                &widths(dim, dim, 1, sam2.obj_score_head_depth),
            )
        });
        Ok(Self {
            transformer: TwoWayTransformer::load(&weights.sub("transformer"), config)?,
            output_tokens: Tensor::f_cat(&output_tokens, 0)?,
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
            pred_obj_score_head: pred_obj_score_head.transpose()?,
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
    /// `high_res` are the finer features of the image, in SAM 2.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward(
        &self,
        image: ImageSide<'_>,
        pe: &Tensor,
        high_res: Option<&HighResFeatures>,
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
        match &self.pred_obj_score_head {
            None => {
                let (kernels, scores) = self.kernels_and_scores(&tokens, multimask)?;
                Ok(Masks {
                    logits: self.output_upscaling.masks(&cells, high_res, &kernels)?,
                    scores: scores.f_to_kind(Kind::Float)?,
                    object_scores: None,
                })
            }
            Some(head) => {
                let object_scores = head.forward(&tokens.f_select(1, 0)?)?.f_squeeze_dim(1)?;
                let tokens = tokens.f_narrow(1, 1, tokens.size3()?.1 - 1)?;
                let (logits, scores) = self.masks_of_sam2(&tokens, &cells, high_res, multimask)?;
                Ok(Masks {
                    logits,
                    scores,
                    object_scores: Some(object_scores.f_to_kind(Kind::Float)?),
                })
            }
        }
    }

    /// Weights of the masks `(B, n, C/8)` and what their IoU is predicted to be `(B, n)`, from the tokens of the IoU and of
    /// the masks.
    fn kernels_and_scores(&self, tokens: &Tensor, multimask: bool) -> Result<(Tensor, Tensor)> {
        // Token 0 tells the IoU; mask token 0 is the single mask, the others are those of multimask output.
        let (first, count) = if multimask {
            (1, self.num_mask_tokens - 1)
        } else {
            (0, 1)
        };
        self.some_kernels_and_scores(tokens, first, count)
    }

    fn some_kernels_and_scores(
        &self,
        tokens: &Tensor,
        first: i64,
        count: i64,
    ) -> Result<(Tensor, Tensor)> {
        let mask_tokens = tokens.f_narrow(1, 1 + first, count)?;
        let kernels = self.output_hypernetworks.forward(&mask_tokens, first)?;
        let scores = self.iou_prediction_head.forward(&tokens.f_select(1, 0)?)?;
        Ok((kernels, scores.f_narrow(1, first, count)?))
    }

    /// Logits and scores as SAM 2 gives them, whose IoU goes through a sigmoid.
    fn masks_of_sam2(
        &self,
        tokens: &Tensor,
        cells: &Tensor,
        high_res: Option<&HighResFeatures>,
        multimask: bool,
    ) -> Result<(Tensor, Tensor)> {
        let sigmoid =
            |scores: Tensor| -> Result<Tensor> { Ok(scores.f_to_kind(Kind::Float)?.f_sigmoid()?) };
        if multimask {
            let (kernels, scores) = self.kernels_and_scores(tokens, true)?;
            let logits = self.output_upscaling.masks(cells, high_res, &kernels)?;
            return Ok((logits, sigmoid(scores)?));
        }
        // The best of multimask output is known before its logits are: two masks are made instead of all.
        let (kernels, scores) = self.some_kernels_and_scores(tokens, 0, self.num_mask_tokens)?;
        let scores = sigmoid(scores)?;
        let best = best_of_multimask(&scores)?;
        let single = best.f_zeros_like()?;
        let chosen = Tensor::f_cat(&[&single, &best], 1)?;
        let scores = scores.f_gather(1, &chosen, false)?;
        let (batch, _, width) = kernels.size3()?;
        let rows = chosen.f_unsqueeze(2)?.f_expand([batch, 2, width], false)?;
        let kernels = kernels.f_gather(1, &rows, false)?;
        let logits = self.output_upscaling.masks(cells, high_res, &kernels)?;

        let stable = is_stable(&logits.f_narrow(1, 0, 1)?)?;
        let choose = |x: &Tensor, stable: &Tensor| -> Result<Tensor> {
            Ok(x.f_narrow(1, 0, 1)?
                .f_where_self(stable, &x.f_narrow(1, 1, 1)?)?)
        };
        Ok((
            choose(&logits, &stable.f_view([batch, 1, 1, 1])?)?,
            choose(&scores, &stable)?,
        ))
    }
}

/// The number of the best mask of multimask output, 1 and up, by scores of all masks `(B, M)`; `(B, 1)`.
fn best_of_multimask(scores: &Tensor) -> Result<Tensor> {
    let others = scores.f_narrow(1, 1, scores.size2()?.1 - 1)?;
    Ok(others.f_argmax(1, true)?.f_add_scalar(1)?)
}

/// Whether masks `(B, 1, N, 16)` hardly change with the threshold, `(B, 1)`. An empty mask is stable.
fn is_stable(logits: &Tensor) -> Result<Tensor> {
    let area = |threshold: f64| -> Result<Tensor> {
        let above = logits.f_gt(threshold)?.f_flatten(2, 3)?;
        let axis = [2i64];
        Ok(above.f_sum_dim_intlist(&axis[..], false, Kind::Float)?)
    };
    let (inner, outer) = (area(STABILITY_DELTA)?, area(-STABILITY_DELTA)?);
    // 0/0 is no number and so not below the threshold.
    Ok(inner
        .f_div(&outer)?
        .f_lt(STABILITY_THRESHOLD)?
        .f_logical_not()?)
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

    /// The products of the upscaled cells `(B, N, C)` with `kernels (B, n, C/8)`: `(B, n, N, 16)`, fp32. Finer features are
    /// added before the norm and before the last GELU.
    fn masks(
        &self,
        cells: &Tensor,
        high_res: Option<&HighResFeatures>,
        kernels: &Tensor,
    ) -> Result<Tensor> {
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
                let finer = high_res
                    .map(|levels| levels.of_cells(start, length))
                    .transpose()?;
                let [s0, s1] = match &finer {
                    Some([s0, s1]) => [Some(s0), Some(s1)],
                    None => [None, None],
                };
                let block = self.upscale(&cells.f_narrow(1, start, length)?, s1)?;
                multiply(block, s0, &kernels, &logits, start)?;
            }
        }
        Ok(logits)
    }

    /// Cells `(B, n, C)` to `(B, 16·n, C/8)`, but for the last GELU and what is added before it. `finer (1, 4·n, C/4)` is
    /// added before the norm.
    fn upscale(&self, cells: &Tensor, finer: Option<&Tensor>) -> Result<Tensor> {
        let (batch, count, dim) = cells.size3()?;
        let x = self.first.forward(cells)?;
        let x = x.f_view([batch, 4 * count, dim / 4])?;
        let x = match finer {
            Some(finer) => self.norm.forward_sum_gelu(&x, finer)?,
            None => self.norm.forward_gelu(&x)?,
        };
        let x = self.second.forward(&x)?;
        Ok(x.f_view([batch, PER_CELL as i64 * count, dim / 8])?)
    }
}

impl HighResFeatures {
    /// `[s0 (1, 16·n, C/8), s1 (1, 4·n, C/4)]` of n cells.
    fn of_cells(&self, first: i64, count: i64) -> Result<[Tensor; 2]> {
        let some = |level: &Tensor| -> Result<Tensor> {
            let cells = level.f_narrow(0, first, count)?;
            Ok(cells.f_flatten(0, 1)?.f_unsqueeze(0)?)
        };
        Ok([some(&self.s0)?, some(&self.s1)?])
    }
}

/// The GELU of upscaled cells `(B, 16·n, W)`, to which `finer (1, 16·n, W)` is added, times `kernels (B, masks, W)`, to
/// `logits (B, masks, N, 16)` from cell `start` on.
fn multiply(
    upscaled: Tensor,
    finer: Option<&Tensor>,
    kernels: &Tensor,
    logits: &Tensor,
    start: i64,
) -> Result<()> {
    let (batch, masks, count, per_cell) = logits.size4()?;
    if batch == 1 {
        let rows = logits.f_view([masks, count * per_cell])?;
        let (x, kernels) = (
            upscaled.f_select(0, 0)?,
            kernels.f_select(0, 0)?.f_contiguous()?,
        );
        if gelu_products(&x, finer, &kernels, &rows, start * per_cell).is_some() {
            return Ok(());
        }
    }
    let mut x = match finer {
        Some(finer) => upscaled.f_add(finer)?,
        None => upscaled,
    };
    let x = x.f_gelu_("none")?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers<T: tch::kind::Element + Copy>(tensor: &Tensor) -> Vec<T>
    where
        Vec<T>: TryFrom<Tensor, Error = tch::TchError>,
    {
        Vec::try_from(tensor.flatten(0, -1)).unwrap()
    }

    #[test]
    fn the_single_mask_is_replaced_by_none_but_one_of_multimask_output() {
        let scores = Tensor::from_slice(&[0.9f32, 0.1, 0.5, 0.2, 0.3, 0.3, 0.1, 0.3]).view([2, 4]);
        assert_eq!(numbers::<i64>(&best_of_multimask(&scores).unwrap()), [2, 1]);
    }

    #[test]
    fn a_mask_is_stable_when_its_area_hardly_depends_on_the_threshold() {
        let clear = [9f32; 100];
        let (mut two, mut three, empty) = (clear, clear, [-9f32; 100]);
        two[..2].fill(0.01);
        three[..3].fill(0.01);
        let masks: Vec<f32> = [clear, two, three, empty].concat();
        let masks = Tensor::from_slice(&masks).view([4, 1, 10, 10]);
        let stable: Vec<bool> = numbers(&is_stable(&masks).unwrap());
        assert_eq!(stable, [true, true, false, true]);
    }
}
