//! The positions of the first stage's tokens (`_get_pos_embed`).

use sam_mm_checkpoint::HieraConfig;
use tch::Tensor;

use crate::error::Result;
use crate::nn::Weights;

/// A background that is brought to the size of the map by bicubic interpolation, plus an embedding of every place in a
/// window, repeated over the map: `(H, W, C)`, fp32. It depends on weights alone, and so is computed once.
///
/// # Errors
/// When a tensor is missing or misshaped, or memory runs out.
pub fn pos_embed(weights: &Weights, config: &HieraConfig) -> Result<Tensor> {
    let Some(first) = config.stages.first() else {
        return Ok(Tensor::new());
    };
    let (width, side) = (first.embed_dim as i64, first.resolution as i64);
    let window = config.pos_embed_window_size as i64;
    let [rows, columns] = config.pos_embed_size.map(|size| size as i64);
    let background = weights
        .tensor_fp32("pos_embed", &[1, width, rows, columns])?
        .f_upsample_bicubic2d([side, side], false, None, None)?;
    let times = side / window;
    let windows = weights
        .tensor_fp32("pos_embed_window", &[1, width, window, window])?
        .f_repeat([1, 1, times, times])?;
    Ok(background
        .f_add(&windows)?
        .f_squeeze_dim(0)?
        .f_permute([1, 2, 0])?
        .f_contiguous()?)
}
