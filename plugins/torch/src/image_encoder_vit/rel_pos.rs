//! Decomposed relative positions (`get_rel_pos`).

use tch::Tensor;

use crate::error::Result;
use crate::nn::Weights;

/// Tables of relative positions along rows and columns; row i stands for the offset i − (side − 1) of a query from a key.
pub struct RelPos {
    /// `(2·side − 1, head_dim)`, fp32.
    pub h: Tensor,
    /// `(2·side − 1, head_dim)`, fp32.
    pub w: Tensor,
}

impl RelPos {
    /// Loads `rel_pos_h` and `rel_pos_w` of `rows` rows each, for attention over `side` tokens along each axis.
    ///
    /// # Errors
    /// When a tensor is missing or misshaped.
    pub fn load(weights: &Weights, rows: i64, side: i64, head_dim: i64) -> Result<Self> {
        let table = |name| fit(weights.tensor_fp32(name, &[rows, head_dim])?, side);
        Ok(Self {
            h: table("rel_pos_h")?,
            w: table("rel_pos_w")?,
        })
    }
}

/// Interpolates a table linearly to 2·side − 1 rows, as the official code does for a model that is run at another
/// size than it was trained at.
fn fit(table: Tensor, side: i64) -> Result<Tensor> {
    let (rows, head_dim) = table.size2()?;
    let wanted = 2 * side - 1;
    if rows == wanted {
        return Ok(table);
    }
    let channels_first = table.f_transpose(0, 1)?.f_unsqueeze(0)?;
    let resized = channels_first.f_upsample_linear1d([wanted], false, None)?;
    Ok(resized
        .f_view([head_dim, wanted])?
        .f_transpose(0, 1)?
        .f_contiguous()?)
}

/// The terms of each query with each key along one axis: `(side, side, head_dim)`, entry (q, k) being the table's row
/// for the offset of q from k.
///
/// # Errors
/// When libtorch fails.
pub fn by_query_and_key(table: &Tensor) -> Result<Tensor> {
    let (rows, _) = table.size2()?;
    let side = (rows + 1) / 2;
    let along = Tensor::f_arange(side, (tch::Kind::Int64, table.device()))?;
    let offsets = along
        .f_unsqueeze(1)?
        .f_sub(&along)?
        .f_add_scalar(side - 1)?;
    let picked = table.f_index_select(0, &offsets.f_flatten(0, 1)?)?;
    Ok(picked.f_view([side, side, -1])?)
}
