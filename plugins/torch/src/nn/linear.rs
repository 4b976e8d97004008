//! `y = x Wᵀ + b`.

use tch::Tensor;

use crate::error::{Error, Result};
use crate::nn::Weights;

/// A linear layer.
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// A layer of a weight `(outputs, inputs)` and a bias `(outputs)`.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn new(weight: Tensor, bias: Option<Tensor>) -> Result<Self> {
        Ok(Self { weight, bias })
    }

    /// Loads `weight` and `bias`.
    ///
    /// # Errors
    /// When a tensor is missing or misshaped.
    pub fn load(weights: &Weights, inputs: i64, outputs: i64) -> Result<Self> {
        Self::new(
            weights.tensor("weight", &[outputs, inputs])?,
            Some(weights.tensor("bias", &[outputs])?),
        )
    }

    /// `(outputs, inputs)`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// `(outputs)`.
    ///
    /// # Errors
    /// When the layer has none.
    pub fn bias(&self) -> Result<&Tensor> {
        self.bias
            .as_ref()
            .ok_or_else(|| Error::Internal("a linear layer has no bias".into()))
    }

    /// `(…, inputs)` to `(…, outputs)`.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_linear(&self.weight, self.bias.as_ref())?)
    }

    /// [`forward`](Self::forward), then the exact GELU, x·Φ(x).
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward_gelu(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.forward(x)?.f_gelu_("none")?)
    }
}
