//! Patches to tokens.

use sam_mm_checkpoint::SamVitConfig;
use tch::{Kind, Tensor};

use crate::error::{Error, Result};
use crate::nn::{PackedLinear, Weights};

/// `PatchEmbed`: a convolution whose stride is its kernel, as one matrix product over the pixels of each patch.
pub struct PatchEmbed {
    proj: PackedLinear,
    patch: i64,
    channels: i64,
    grid: i64,
    kind: Kind,
}

impl PatchEmbed {
    /// Loads the projection.
    ///
    /// # Errors
    /// When a tensor is missing or misshaped.
    pub fn load(weights: &Weights, config: &SamVitConfig) -> Result<Self> {
        let (patch, channels) = (config.patch_size as i64, config.in_chans as i64);
        let (grid, width) = (config.grid_size() as i64, config.embed_dim as i64);
        let proj = weights.sub("proj");
        // The pixels of a patch are taken in the order in which an image with the channels last holds them.
        let weight = proj
            .tensor("weight", &[width, channels, patch, patch])?
            .f_permute([0, 2, 3, 1])?
            .f_reshape([width, patch * patch * channels])?;
        let bias = proj.tensor("bias", &[width])?;
        Ok(Self {
            proj: PackedLinear::new(weight, Some(bias), grid * grid)?,
            patch,
            channels,
            grid,
            kind: weights.kind(),
        })
    }

    /// `(1, channels, S, S)` to `(H, W, C)`, fp32.
    ///
    /// # Errors
    /// When the image is of another size, or libtorch fails.
    pub fn forward(&self, image: &Tensor) -> Result<Tensor> {
        let (grid, patch) = (self.grid, self.patch);
        let expected = [1, self.channels, grid * patch, grid * patch];
        if image.size() != expected {
            let found = image.size();
            return Err(Error::Internal(format!(
                "the image encoder takes an image of the shape {expected:?}, not {found:?}"
            )));
        }
        let patches = image
            .f_permute([0, 2, 3, 1])?
            .f_reshape([grid, patch, grid, patch * self.channels])?
            .f_permute([0, 2, 1, 3])?
            .f_reshape([grid, grid, patch * patch * self.channels])?;
        let tokens = self.proj.forward(&patches.f_to_kind(self.kind)?)?;
        Ok(tokens.f_to_kind(Kind::Float)?)
    }
}
