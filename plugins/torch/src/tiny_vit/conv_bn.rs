//! `Conv2d_BN`: a convolution and a batch norm, folded into one convolution when they are loaded.

use tch::Tensor;

use super::depthwise::Depthwise;
use crate::error::Result;
use crate::nn::{Conv2d, Linear, Weights};

/// ε of `nn.BatchNorm2d`.
const EPS: f64 = 1e-5;

/// Weight and bias of the convolution that does both.
fn fold(weights: &Weights, shape: [i64; 4]) -> Result<(Tensor, Tensor)> {
    let outputs = shape[0];
    let norm = weights.sub("bn");
    let of = |name| norm.tensor_fp32(name, &[outputs]);
    let factor = of("weight")?.f_div(&of("running_var")?.f_add_scalar(EPS)?.f_sqrt()?)?;
    let bias = of("bias")?.f_sub(&of("running_mean")?.f_mul(&factor)?)?;
    let weight = weights.sub("c").tensor_fp32("weight", &shape)?;
    let weight = weight.f_mul(&factor.f_view([outputs, 1, 1, 1])?)?;
    Ok((
        weight.f_to_kind(weights.kind())?,
        bias.f_to_kind(weights.kind())?,
    ))
}

/// A 1×1 convolution, as a matrix product on cells.
pub fn pointwise(weights: &Weights, inputs: i64, outputs: i64) -> Result<Linear> {
    let (weight, bias) = fold(weights, [outputs, inputs, 1, 1])?;
    Linear::new(weight.f_view([outputs, inputs])?, Some(bias))
}

/// A 3×3 convolution whose rows are padded by the caller ([`super::rows`]) and columns by itself.
pub fn dense(weights: &Weights, inputs: i64, outputs: i64, stride: i64) -> Result<Conv2d> {
    let (weight, bias) = fold(weights, [outputs, inputs, 3, 3])?;
    Conv2d::new(weight, Some(bias), stride, [0, 1], 1)
}

/// A 3×3 convolution of every channel by itself.
pub fn depthwise(weights: &Weights, channels: i64, stride: i64) -> Result<Depthwise> {
    let (weight, bias) = fold(weights, [channels, 1, 3, 3])?;
    Depthwise::new(&weight, bias, stride)
}
