//! Layer normalisation over the channels.

use tch::Tensor;

use crate::error::Result;
use crate::nn::Weights;

/// `LayerNorm` over the last axis; with the channels last, `LayerNorm2d` too. Statistics are in fp32 whatever the
/// type of the input.
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    /// Loads `weight` and `bias`.
    ///
    /// # Errors
    /// When a tensor is missing or misshaped.
    pub fn load(weights: &Weights, width: i64, eps: f64) -> Result<Self> {
        Ok(Self {
            weight: weights.tensor("weight", &[width])?,
            bias: weights.tensor("bias", &[width])?,
            eps,
        })
    }

    /// As [`load`](Self::load), in fp32 whatever the kind of the weights: for inputs that are fp32 in any case.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_fp32(weights: &Weights, width: i64, eps: f64) -> Result<Self> {
        Ok(Self {
            weight: weights.tensor_fp32("weight", &[width])?,
            bias: weights.tensor_fp32("bias", &[width])?,
            eps,
        })
    }

    /// `(…, width)` to the same.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let shape = self.weight.size();
        Ok(x.f_layer_norm(shape, Some(&self.weight), Some(&self.bias), self.eps, false)?)
    }
}
