//! The parts of TinyViT that are made of convolutions: patch embedding, the blocks of the first stage, and the merging
//! of patches between stages. Maps are `(H, W, C)`.

use tch::Tensor;

use super::conv_bn::{dense, depthwise, pointwise};
use super::depthwise::Depthwise;
use super::rows::{inside, needed, pad, strips, take};
use crate::error::Result;
use crate::nn::{Conv2d, Linear, Weights};

/// Two 3×3 convolutions with stride 2 (`PatchEmbed`).
pub struct PatchEmbed {
    first: Conv2d,
    second: Conv2d,
    channels: i64,
}

impl PatchEmbed {
    /// Loads the convolutions.
    ///
    /// # Errors
    /// When a tensor is missing or misshaped.
    pub fn load(weights: &Weights, inputs: i64, stem: i64, channels: i64) -> Result<Self> {
        let weights = weights.sub("seq");
        Ok(Self {
            first: dense(&weights.sub(0), inputs, stem, 2)?,
            second: dense(&weights.sub(2), stem, channels, 2)?,
            channels,
        })
    }

    /// An image `(H, W, 3)` to `(H/4, W/4, C)`. The image is used up, so that its memory is free for the next stage.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward(&self, image: Tensor) -> Result<Tensor> {
        let (height, width, _) = image.size3()?;
        let out = new_map(&image, height / 4, width / 4, self.channels)?;
        for rows in strips(height / 4, width / 4) {
            let wanted = needed(&rows, 2);
            let halved = inside(&wanted, height / 2);
            let source = needed(&halved, 2);
            let pixels = inside(&source, height);
            let x = pad(take(&image, &pixels)?, &pixels, &source)?;
            let x = self.first.forward_gelu(&x)?;
            let x = self.second.forward(&pad(x, &halved, &wanted)?)?;
            take(&out, &rows)?.f_copy_(&x)?;
        }
        Ok(out)
    }
}

/// An inverted bottleneck with a residual (`MBConv`).
pub struct MbConv {
    conv1: Linear,
    conv2: Depthwise,
    conv3: Linear,
}

impl MbConv {
    /// Loads the convolutions.
    ///
    /// # Errors
    /// When a tensor is missing or misshaped.
    pub fn load(weights: &Weights, channels: i64, hidden: i64) -> Result<Self> {
        Ok(Self {
            conv1: pointwise(&weights.sub("conv1"), channels, hidden)?,
            conv2: depthwise(&weights.sub("conv2"), hidden, 1)?,
            conv3: pointwise(&weights.sub("conv3"), hidden, channels)?,
        })
    }

    /// `(H, W, C)` to the same.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward(&self, map: &Tensor) -> Result<Tensor> {
        let (height, width, channels) = map.size3()?;
        let out = new_map(map, height, width, channels)?;
        for rows in strips(height, width) {
            let source = inside(&needed(&rows, 1), height);
            let x = self.conv1.forward_gelu(&take(map, &source)?)?;
            let x = self.conv2.forward_gelu(x, &source, &rows)?;
            let mut x = self.conv3.forward(&x)?;
            let _ = x.f_add_(&take(map, &rows)?)?;
            take(&out, &rows)?.f_copy_(&x.f_gelu_("none")?)?;
        }
        Ok(out)
    }
}

/// Leads to the next stage (`PatchMerging`).
pub struct PatchMerging {
    conv1: Linear,
    conv2: Depthwise,
    conv3: Linear,
    stride: i64,
    outputs: i64,
}

impl PatchMerging {
    /// Loads the convolutions. `stride` is 2, or 1 where the next stage keeps the resolution.
    ///
    /// # Errors
    /// When a tensor is missing or misshaped.
    pub fn load(weights: &Weights, inputs: i64, outputs: i64, stride: i64) -> Result<Self> {
        Ok(Self {
            conv1: pointwise(&weights.sub("conv1"), inputs, outputs)?,
            conv2: depthwise(&weights.sub("conv2"), outputs, stride)?,
            conv3: pointwise(&weights.sub("conv3"), outputs, outputs)?,
            stride,
            outputs,
        })
    }

    /// `(H, W, C)` to `(⌈H/stride⌉, ⌈W/stride⌉, outputs)`.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward(&self, map: &Tensor) -> Result<Tensor> {
        let (height, width, _) = map.size3()?;
        let merged = |side: i64| (side - 1) / self.stride + 1;
        let out = new_map(map, merged(height), merged(width), self.outputs)?;
        for rows in strips(merged(height), merged(width)) {
            let source = inside(&needed(&rows, self.stride), height);
            let x = self.conv1.forward_gelu(&take(map, &source)?)?;
            let x = self.conv2.forward_gelu(x, &source, &rows)?;
            take(&out, &rows)?.f_copy_(&self.conv3.forward(&x)?)?;
        }
        Ok(out)
    }
}

/// A map that is yet to be filled, of the kind and on the device of another.
pub fn new_map(like: &Tensor, height: i64, width: i64, channels: i64) -> Result<Tensor> {
    let options = (like.f_kind()?, like.device());
    Ok(Tensor::f_empty([height, width, channels], options)?)
}
