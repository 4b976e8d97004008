//! 3×3 convolutions of every channel by itself, on strips of rows.

use std::ops::Range;

use tch::Tensor;

use super::rows::{needed, pad};
use crate::error::Result;
use crate::nn::Conv2d;
use crate::shim::kernels::DepthwiseOf;

/// A depthwise 3×3 convolution with padding 1.
pub struct Depthwise {
    /// `(3, 3, C)`.
    taps: Tensor,
    bias: Tensor,
    stride: i64,
    /// The same for tensors that the kernel is not made for; rows are padded by [`pad`].
    conv: Conv2d,
}

impl Depthwise {
    /// A convolution of a weight `(C, 1, 3, 3)` and a bias `(C)`.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn new(weight: &Tensor, bias: Tensor, stride: i64) -> Result<Self> {
        let channels = bias.size1()?;
        Ok(Self {
            taps: weight
                .f_permute([2, 3, 1, 0])?
                .f_reshape([3, 3, channels])?
                .f_contiguous()?,
            conv: Conv2d::new(
                weight.shallow_clone(),
                Some(bias.shallow_clone()),
                stride,
                [0, 1],
                channels,
            )?,
            bias,
            stride,
        })
    }

    /// The rows `wanted` of the output, from a strip `(rows, W, C)` that holds the rows `source` of the input.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward(
        &self,
        strip: Tensor,
        source: &Range<i64>,
        wanted: &Range<i64>,
    ) -> Result<Tensor> {
        match self.kernel(false).rows(&strip, source.start, wanted)? {
            Some(out) => Ok(out),
            None => self
                .conv
                .forward(&pad(strip, source, &needed(wanted, self.stride))?),
        }
    }

    /// [`forward`](Self::forward), then the exact GELU.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward_gelu(
        &self,
        strip: Tensor,
        source: &Range<i64>,
        wanted: &Range<i64>,
    ) -> Result<Tensor> {
        match self.kernel(true).rows(&strip, source.start, wanted)? {
            Some(out) => Ok(out),
            None => self
                .conv
                .forward_gelu(&pad(strip, source, &needed(wanted, self.stride))?),
        }
    }

    fn kernel(&self, gelu: bool) -> DepthwiseOf<'_> {
        DepthwiseOf {
            weight: &self.taps,
            bias: &self.bias,
            stride: self.stride,
            gelu,
        }
    }
}
