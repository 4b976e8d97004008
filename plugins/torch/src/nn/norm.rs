//! Layer normalisation over the channels.

use tch::Tensor;

use crate::error::Result;
use crate::nn::Weights;
use crate::shim::kernels::NormOf;
use crate::shim::tiled_linear::TiledNorm;

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

    /// [`forward`](Self::forward), then the exact GELU.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward_gelu(&self, x: &Tensor) -> Result<Tensor> {
        match self.kernel().gelu(x, None)? {
            Some(y) => Ok(y),
            None => Ok(self.forward(x)?.f_gelu_("none")?),
        }
    }

    /// [`forward_gelu`](Self::forward_gelu) of `x + added`, which are of one shape.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward_sum_gelu(&self, x: &Tensor, added: &Tensor) -> Result<Tensor> {
        match self.kernel().gelu(x, Some(added))? {
            Some(y) => Ok(y),
            None => Ok(self.forward(&x.f_add(added)?)?.f_gelu_("none")?),
        }
    }

    /// [`forward`](Self::forward) of `x (B, N, width)`, and the same plus `added (N, width)`.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward_and_sum(&self, x: &Tensor, added: &Tensor) -> Result<(Tensor, Tensor)> {
        if let Some(both) = self.kernel().and_sum(x, added)? {
            return Ok(both);
        }
        let y = self.forward(x)?;
        let sum = y.f_add(added)?;
        Ok((y, sum))
    }

    /// The norm as a tiled layer wants it.
    pub fn tiled(&self) -> TiledNorm<'_> {
        TiledNorm {
            weight: &self.weight,
            bias: &self.bias,
            eps: self.eps,
        }
    }

    fn kernel(&self) -> NormOf<'_> {
        NormOf {
            weight: &self.weight,
            bias: &self.bias,
            eps: self.eps,
        }
    }
}
