//! Pixels to the encoder's input: in SAM (`modeling/sam.py: preprocess`) normalised first, then padded with zeros, so that
//! the padding has the value of the mean colour; in SAM 2 (`sam2/utils/transforms.py`) normalised alone.

use sam_mm_backend_abi::sdk::{BackendError, Pixels};
use tch::{Device, Tensor};

use crate::error::Result;

/// What every value of a channel becomes.
pub struct Normalisation {
    tables: [[f32; 256]; 3],
}

impl Normalisation {
    /// `(value − mean) / std`, in fp32 as the official code computes it.
    pub fn new(mean: [f32; 3], std: [f32; 3]) -> Self {
        let table = |channel: usize| {
            std::array::from_fn(|value| (value as f32 - mean[channel]) / std[channel])
        };
        Self {
            tables: std::array::from_fn(table),
        }
    }

    /// The encoder's input `(1, 3, side, side)` on `device`, fp32, channels last in memory.
    ///
    /// # Errors
    /// When the pixels are not 8-bit, or libtorch fails.
    pub fn apply(&self, pixels: &Pixels<'_>, side: usize, device: Device) -> Result<Tensor> {
        let rows = pixels.rows_u8().ok_or_else(|| {
            BackendError::invalid_argument("the pixels are f32; this model takes u8")
        })?;
        let mut input = vec![0f32; side * side * 3];
        for (row, out) in rows.zip(input.chunks_exact_mut(side * 3)) {
            for (pixel, out) in row
                .as_chunks::<3>()
                .0
                .iter()
                .zip(out.as_chunks_mut::<3>().0)
            {
                for channel in 0..3 {
                    out[channel] = self.tables[channel][usize::from(pixel[channel])];
                }
            }
        }
        let side = side as i64;
        Ok(Tensor::f_from_slice(&input)?
            .f_view([1, side, side, 3])?
            .f_permute([0, 3, 1, 2])?
            .f_to(device)?)
    }
}

/// Normalises pixels of 0–1 that fill the input: `(value − mean) / std`, to `(1, 3, side, side)` on `device`, fp32,
/// channels last in memory.
///
/// # Errors
/// When the pixels are 8-bit or do not fill the input, or libtorch fails.
pub fn normalise_filling(
    pixels: &Pixels<'_>,
    [mean, std]: [[f32; 3]; 2],
    side: usize,
    device: Device,
) -> Result<Tensor> {
    let rows = pixels
        .rows_f32()
        .ok_or_else(|| BackendError::invalid_argument("the pixels are u8; this model takes f32"))?;
    if (pixels.width as usize, pixels.height as usize) != (side, side) {
        return Err(BackendError::invalid_argument(format!(
            "the pixels are {}x{}; this model takes images that are stretched to {side}x{side}",
            pixels.width, pixels.height
        ))
        .into());
    }
    let mut input = Vec::with_capacity(side * side * 3);
    for row in rows {
        for pixel in row.as_chunks::<3>().0 {
            input.extend([0, 1, 2].map(|channel| (pixel[channel] - mean[channel]) / std[channel]));
        }
    }
    let side = side as i64;
    Ok(Tensor::f_from_slice(&input)?
        .f_view([1, side, side, 3])?
        .f_permute([0, 3, 1, 2])?
        .f_to(device)?)
}
