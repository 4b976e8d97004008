//! The neck of an image encoder: conv 1×1, `LayerNorm2d`, conv 3×3, `LayerNorm2d`, without biases.

use tch::Tensor;

use crate::error::Result;
use crate::nn::{Conv2d, LayerNorm, Linear, Weights};

/// ε of `LayerNorm2d`.
const EPS: f64 = 1e-6;

/// Brings the encoder's last map to the channels of the embedding.
pub struct Neck {
    conv1: Linear,
    norm1: LayerNorm,
    conv2: Conv2d,
    norm2: LayerNorm,
}

impl Neck {
    /// Loads the neck.
    ///
    /// # Errors
    /// When a tensor is missing or misshaped.
    pub fn load(weights: &Weights, inputs: i64, outputs: i64) -> Result<Self> {
        let conv1 = weights.sub(0).tensor("weight", &[outputs, inputs, 1, 1])?;
        let conv2 = weights.sub(2).tensor("weight", &[outputs, outputs, 3, 3])?;
        Ok(Self {
            conv1: Linear::new(conv1.f_view([outputs, inputs])?, None)?,
            norm1: LayerNorm::load(&weights.sub(1), outputs, EPS)?,
            conv2: Conv2d::new(conv2, None, 1, [1, 1], 1)?,
            norm2: LayerNorm::load(&weights.sub(3), outputs, EPS)?,
        })
    }

    /// A map `(H, W, inputs)` to the embedding's cells, `(H·W, outputs)`, row by row.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward(&self, map: &Tensor) -> Result<Tensor> {
        let x = self.norm1.forward(&self.conv1.forward(map)?)?;
        let x = self.norm2.forward(&self.conv2.forward(&x)?)?;
        Ok(x.f_flatten(0, 1)?)
    }
}
