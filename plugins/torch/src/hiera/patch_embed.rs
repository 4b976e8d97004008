//! Patches to tokens (`PatchEmbed`): a convolution whose kernels overlap, as a matrix product.

use sam_mm_checkpoint::HieraConfig;
use tch::{Kind, Tensor};

use crate::error::{Error, Result};
use crate::image_encoder_vit::workspace::cut;
use crate::nn::{PackedLinear, Weights};

/// Tokens that are made at a time.
const TOKENS: i64 = 4096;
const STRIDE: i64 = HieraConfig::PATCH_STRIDE as i64;

/// The convolution. oneDNN's own, with three channels of input, takes twice the memory of both maps.
pub struct PatchEmbed {
    proj: PackedLinear,
    kernel: i64,
    channels: i64,
    width: i64,
    /// Side of the image, in pixels.
    side: i64,
    kind: Kind,
}

impl PatchEmbed {
    /// Loads the convolution.
    ///
    /// # Errors
    /// When a tensor is missing or misshaped.
    pub fn load(weights: &Weights, config: &HieraConfig) -> Result<Self> {
        let proj = weights.sub("proj");
        let first = config.stages.first();
        let width = first.map_or(0, |stage| stage.embed_dim as i64);
        let (kernel, channels) = (config.patch_kernel as i64, config.in_chans as i64);
        // The pixels of a patch are taken in the order in which an image with the channels last holds them.
        let weight = proj
            .tensor("weight", &[width, channels, kernel, kernel])?
            .f_permute([0, 2, 3, 1])?
            .f_reshape([width, kernel * kernel * channels])?;
        Ok(Self {
            proj: PackedLinear::new(weight, Some(proj.tensor("bias", &[width])?), TOKENS)?,
            kernel,
            channels,
            width,
            side: config.image_size as i64,
            kind: weights.kind(),
        })
    }

    /// Rows of tokens that are made at a time, of `side` rows as wide.
    pub fn rows_at_once(side: usize) -> usize {
        ((TOKENS as usize) / side.max(1)).clamp(1, side.max(1))
    }

    /// An image `(1, channels, S, S)` to tokens with `positions (S/4, S/4, C)` added to them, fp32. The image is used up.
    ///
    /// # Errors
    /// When the image is of another size, memory runs out, or libtorch fails.
    pub fn forward(&self, image: Tensor, positions: &Tensor) -> Result<Tensor> {
        let Self {
            kernel,
            channels,
            side,
            ..
        } = *self;
        if image.size() != [1, channels, side, side] {
            let found = image.size();
            return Err(Error::Internal(format!(
                "the image encoder takes an image of {channels} channels and {side}x{side} pixels, not {found:?}"
            )));
        }
        let around = kernel / 2;
        let pixels = image.f_select(0, 0)?.f_permute([1, 2, 0])?;
        drop(image);
        let padded = pixels
            .f_constant_pad_nd([0, 0, around, around, around, around])?
            .f_contiguous()?;
        drop(pixels);
        let padded = padded.f_to_kind(self.kind)?;
        let tokens = side / STRIDE;
        let out = Tensor::f_empty([tokens, tokens, self.width], (Kind::Float, padded.device()))?;
        let row = (side + 2 * around) * channels;
        for rows in cut(tokens, Self::rows_at_once(tokens as usize) as i64) {
            // Each token's patch, as `kernel` rows of pixels that lie one after another.
            let patches = padded.f_as_strided(
                [rows.count, tokens, kernel, kernel * channels],
                [STRIDE * row, STRIDE * channels, row, 1],
                rows.first * STRIDE * row,
            )?;
            let patches = patches.f_reshape([rows.count, tokens, kernel * kernel * channels])?;
            let made = self.proj.forward(&patches)?;
            let _ = made.f_add_out(&rows.of(&out)?, &rows.of(positions)?)?;
        }
        Ok(out)
    }
}
