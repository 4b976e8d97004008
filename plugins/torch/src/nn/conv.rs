//! Convolution of a map with the channels last.

use tch::Tensor;

use crate::error::Result;

/// A 2-D convolution with the same stride along both axes.
pub struct Conv2d {
    weight: Tensor,
    bias: Option<Tensor>,
    stride: i64,
    padding: [i64; 2],
    groups: i64,
}

impl Conv2d {
    /// A convolution of a weight `(outputs, inputs / groups, kernel_h, kernel_w)`, a bias `(outputs)`, and zero padding
    /// of rows and columns.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn new(
        weight: Tensor,
        bias: Option<Tensor>,
        stride: i64,
        padding: [i64; 2],
        groups: i64,
    ) -> Result<Self> {
        Ok(Self {
            weight,
            bias,
            stride,
            padding,
            groups,
        })
    }

    /// `(H, W, inputs)` to `(H', W', outputs)`, contiguous.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward(&self, map: &Tensor) -> Result<Tensor> {
        let x = map.f_permute([2, 0, 1])?.f_unsqueeze(0)?;
        let y = x.f_conv2d(
            &self.weight,
            self.bias.as_ref(),
            [self.stride, self.stride],
            self.padding,
            [1, 1],
            self.groups,
        )?;
        Ok(y.f_squeeze_dim(0)?.f_permute([1, 2, 0])?.f_contiguous()?)
    }

    /// [`forward`](Self::forward), then the exact GELU.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward_gelu(&self, map: &Tensor) -> Result<Tensor> {
        Ok(self.forward(map)?.f_gelu_("none")?)
    }
}
