//! Attention with decomposed relative positions of libtorch's operators, for every device.
//!
//! The terms of relative positions are linear in the query, so they ride in the product of queries and keys: each query
//! is extended by its terms with every row and every column, each key by the unit vectors of its own row and column.
//! That is exact, and no tensor of biases is ever made.

use tch::{Kind, Tensor};

use super::rel_pos::{RelPos, by_query_and_key};
use crate::error::Result;

/// Attention of libtorch's operators.
pub struct Composed {
    rel_pos: Option<Extension>,
    /// `(2, heads, head_dim)`: key and value of a token that pads windows beyond the map.
    padding: Tensor,
    /// Side of the windows in tokens; 0: none.
    window: i64,
    /// How much coarser the map of queries is.
    query_pool: i64,
    /// Type in which scores are computed.
    kind: Kind,
}

/// What extends queries and keys.
struct Extension {
    /// `(side, head_dim, side)`: for the queries of a row, the table against the rows of keys.
    by_row: Tensor,
    /// `(side, head_dim, side)`: the same for columns.
    by_column: Tensor,
    /// `(side², 2·side)`: the unit vectors of the row and the column of every key.
    units: Tensor,
}

impl Composed {
    /// Attention in windows of that side, with weights of that type.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn new(
        rel_pos: Option<&RelPos>,
        padding: Tensor,
        window: i64,
        weights: Kind,
    ) -> Result<Self> {
        // The scores of SAM's global attention leave the range of fp16 on some images.
        let kind = match weights {
            Kind::Half => Kind::Float,
            other => other,
        };
        Ok(Self {
            rel_pos: rel_pos.map(|r| Extension::new(r, kind)).transpose()?,
            padding: padding.f_to_kind(kind)?,
            window,
            query_pool: 1,
            kind,
        })
    }

    /// The same with queries on a map that many times as coarse, which must divide the map and the windows; without
    /// relative positions.
    pub fn with_query_pool(self, query_pool: i64) -> Self {
        Self { query_pool, ..self }
    }

    /// Attends with `queries (rows, W / query_pool, heads, head_dim)`, which are those of their map's rows from `first_row`
    /// on, to `keys_values (H, W, 2, heads, head_dim)`, and returns `(rows, W / query_pool, heads · head_dim)` in the type
    /// of the queries. Within windows the rows must be all.
    ///
    /// # Errors
    /// When memory runs out or libtorch fails.
    pub fn attend(&self, queries: &Tensor, first_row: i64, keys_values: &Tensor) -> Result<Tensor> {
        let kind = queries.f_kind()?;
        let queries = queries.f_to_kind(self.kind)?;
        let keys_values = keys_values.f_to_kind(self.kind)?;
        let attended = match self.window {
            0 => self.attend_globally(&queries, first_row, &keys_values)?,
            window => self.attend_in_windows(&queries, &keys_values, window)?,
        };
        Ok(attended.f_to_kind(kind)?)
    }

    fn attend_globally(
        &self,
        queries: &Tensor,
        first_row: i64,
        keys_values: &Tensor,
    ) -> Result<Tensor> {
        let attended = self.attend_windows(
            &queries.f_unsqueeze(0)?,
            first_row,
            &keys_values.f_unsqueeze(0)?,
        )?;
        Ok(attended.f_squeeze_dim(0)?)
    }

    fn attend_in_windows(
        &self,
        queries: &Tensor,
        keys_values: &Tensor,
        window: i64,
    ) -> Result<Tensor> {
        let (h, w) = (queries.size()[0], queries.size()[1]);
        let of_queries = window / self.query_pool;
        let (down, across) = (
            (h + of_queries - 1) / of_queries,
            (w + of_queries - 1) / of_queries,
        );
        // Whatever pads the queries, their results are cut off again.
        let no_query = Tensor::f_zeros([1], (self.kind, queries.device()))?;
        let attended = self.attend_windows(
            &partition(queries, &no_query, down, across, of_queries)?,
            0,
            &partition(keys_values, &self.padding, down, across, window)?,
        )?;
        let map = attended
            .f_view([down, across, of_queries, of_queries, -1])?
            .f_permute([0, 2, 1, 3, 4])?
            .f_reshape([down * of_queries, across * of_queries, -1])?;
        Ok(map.f_narrow(0, 0, h)?.f_narrow(1, 0, w)?.f_contiguous()?)
    }

    /// Queries `(windows, rows, w, heads, head_dim)` to keys and values `(windows, h, w, 2, heads, head_dim)`; the
    /// result is `(windows, rows, w, heads · head_dim)`.
    fn attend_windows(
        &self,
        queries: &Tensor,
        first_row: i64,
        keys_values: &Tensor,
    ) -> Result<Tensor> {
        let shape = queries.size();
        let (windows, rows, w) = (shape[0], shape[1], shape[2]);
        let head_dim = shape[4];
        // (windows, heads, tokens, head_dim)
        let keys = keys_values
            .f_select(3, 0)?
            .f_flatten(1, 2)?
            .f_transpose(1, 2)?;
        let values = keys_values
            .f_select(3, 1)?
            .f_flatten(1, 2)?
            .f_transpose(1, 2)?;
        let scaled = queries.f_mul_scalar(1.0 / (head_dim as f64).sqrt())?;
        let (queries, keys) = match &self.rel_pos {
            Some(extension) => (
                extension.extend_queries(queries, &scaled, first_row)?,
                extension.extend_keys(&keys)?,
            ),
            None => (scaled, keys),
        };
        let queries = queries.f_flatten(1, 2)?.f_transpose(1, 2)?;
        let attended = Tensor::f_scaled_dot_product_attention(
            &queries,
            &keys,
            &values,
            None::<Tensor>,
            0.0,
            false,
            Some(1.0),
            false,
        )?;
        Ok(attended
            .f_transpose(1, 2)?
            .f_reshape([windows, rows, w, -1])?)
    }
}

impl Extension {
    fn new(rel_pos: &RelPos, kind: Kind) -> Result<Self> {
        let against = |table: &Tensor| -> Result<Tensor> {
            Ok(by_query_and_key(table)?
                .f_transpose(1, 2)?
                .f_to_kind(kind)?)
        };
        let (by_row, by_column) = (against(&rel_pos.h)?, against(&rel_pos.w)?);
        let side = by_row.size()[0];
        let unit = Tensor::f_eye(side, (kind, by_row.device()))?;
        let rows = unit.f_unsqueeze(1)?.f_expand([side, side, side], false)?;
        let columns = unit.f_unsqueeze(0)?.f_expand([side, side, side], false)?;
        Ok(Self {
            by_row,
            by_column,
            units: Tensor::f_cat(&[rows, columns], 2)?.f_flatten(0, 1)?,
        })
    }

    /// Appends to `scaled (windows, rows, w, heads, head_dim)` the terms of the unscaled queries.
    fn extend_queries(&self, queries: &Tensor, scaled: &Tensor, first_row: i64) -> Result<Tensor> {
        let rows = queries.size()[1];
        // The query's row, then its column, is the leading axis of the product.
        let by_row = self.by_row.f_narrow(0, first_row, rows)?;
        let of_rows = queries.f_permute([1, 0, 2, 3, 4])?;
        let of_columns = queries.f_permute([2, 0, 1, 3, 4])?;
        let terms = |grouped: &Tensor, table: &Tensor| -> Result<Tensor> {
            let shape = grouped.size();
            let flat = grouped.f_reshape([shape[0], -1, shape[4]])?;
            Ok(flat
                .f_bmm(table)?
                .f_view([shape[0], shape[1], shape[2], shape[3], -1])?)
        };
        let row_terms = terms(&of_rows, &by_row)?.f_permute([1, 0, 2, 3, 4])?;
        let column_terms = terms(&of_columns, &self.by_column)?.f_permute([1, 2, 0, 3, 4])?;
        Ok(Tensor::f_cat(&[scaled, &row_terms, &column_terms], 4)?)
    }

    /// Appends to `keys (windows, heads, tokens, head_dim)` their unit vectors.
    fn extend_keys(&self, keys: &Tensor) -> Result<Tensor> {
        let shape = keys.size();
        let units = self
            .units
            .f_expand([shape[0], shape[1], shape[2], self.units.size()[1]], false)?;
        Ok(Tensor::f_cat(&[keys, &units], 3)?)
    }
}

/// Cuts a map `(H, W, …)` into windows `(down · across, window, window, …)`, with `filler` beyond its edges.
fn partition(map: &Tensor, filler: &Tensor, down: i64, across: i64, window: i64) -> Result<Tensor> {
    let shape = map.size();
    let (h, w) = (shape[0], shape[1]);
    let (padded_h, padded_w) = (down * window, across * window);
    let rest = &shape[2..];
    let padded = if (padded_h, padded_w) == (h, w) {
        map.shallow_clone()
    } else {
        let whole: Vec<i64> = [&[padded_h, padded_w], rest].concat();
        let padded = filler.f_expand(&whole, false)?.f_contiguous()?;
        padded.f_narrow(0, 0, h)?.f_narrow(1, 0, w)?.f_copy_(map)?;
        padded
    };
    let cut: Vec<i64> = [&[down, window, across, window], rest].concat();
    let order: Vec<i64> = [0, 2, 1, 3]
        .into_iter()
        .chain(4..cut.len() as i64)
        .collect();
    let windows: Vec<i64> = [&[down * across, window, window], rest].concat();
    Ok(padded
        .f_view(&*cut)?
        .f_permute(&order)?
        .f_reshape(&*windows)?)
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::shim::{AttentionInput, attend, has_attention_kernel};

    const GRID: i64 = 6;
    const HEADS: i64 = 2;
    const HEAD_DIM: i64 = 16;

    fn random(shape: &[i64]) -> Tensor {
        Tensor::randn(shape, (Kind::Float, Device::Cpu))
    }

    /// GPUs take this way and processors the kernel, which the official code's goldens hold; windows of 4 reach over the
    /// edge of the map.
    #[test]
    fn operators_give_what_the_kernel_gives() {
        tch::manual_seed(7);
        for (window, first_row, rows) in [(0, 0, GRID), (0, 2, 3), (4, 0, GRID), (3, 0, GRID)] {
            let side = if window == 0 { GRID } else { window };
            let rel_pos = RelPos {
                h: random(&[2 * side - 1, HEAD_DIM]),
                w: random(&[2 * side - 1, HEAD_DIM]),
            };
            let queries = random(&[rows, GRID, HEADS, HEAD_DIM]);
            let keys_values = random(&[GRID, GRID, 2, HEADS, HEAD_DIM]);
            let padding = random(&[2, HEADS, HEAD_DIM]);
            let input = AttentionInput {
                queries: &queries,
                query_row: first_row,
                query_pool: 1,
                keys_values: &keys_values,
                padding: &padding,
                rel_pos: Some((&rel_pos.h, &rel_pos.w)),
                window,
            };
            let expected = attend(&input, None).unwrap();
            let composed =
                Composed::new(Some(&rel_pos), padding.shallow_clone(), window, Kind::Float)
                    .unwrap();
            let ours = composed.attend(&queries, first_row, &keys_values).unwrap();
            let apart = (ours - expected).abs().max().double_value(&[]);
            assert!(
                apart < 1e-5,
                "window {window}, from row {first_row}: {apart}"
            );
        }
    }
    /// The attention of SAM 2: windows that do not divide the map, pooled queries, all to all in parts, and more keys than
    /// the kernel takes at a time.
    #[test]
    fn operators_give_what_the_kernel_gives_without_relative_positions_too() {
        tch::manual_seed(8);
        for (grid, window, pool, first_row, rows) in [
            (6, 0, 1, 2, 3),
            (6, 4, 1, 0, 6),
            (6, 4, 2, 0, 3),
            (6, 2, 2, 0, 3),
            (8, 0, 2, 1, 2),
            (30, 14, 2, 0, 15),
            (34, 0, 1, 0, 34),
            (20, 20, 1, 0, 20),
        ] {
            for head_dim in [HEAD_DIM, 40] {
                let queries = random(&[rows, grid / pool, HEADS, head_dim]);
                let keys_values = random(&[grid, grid, 2, HEADS, head_dim]);
                let padding = random(&[2, HEADS, head_dim]);
                let composed = Composed::new(None, padding.shallow_clone(), window, Kind::Float)
                    .unwrap()
                    .with_query_pool(pool);
                let ours = composed.attend(&queries, first_row, &keys_values).unwrap();
                for kernel in [None, Some(c"portable"), Some(c"avx2")] {
                    if !has_attention_kernel(kernel) {
                        continue;
                    }
                    let input = AttentionInput {
                        queries: &queries,
                        query_row: first_row,
                        query_pool: pool,
                        keys_values: &keys_values,
                        padding: &padding,
                        rel_pos: None,
                        window,
                    };
                    let expected = attend(&input, kernel).unwrap();
                    let apart = (&ours - expected).abs().max().double_value(&[]);
                    assert!(
                        apart < 1e-5,
                        "grid {grid}, window {window}, pool {pool}: {apart}"
                    );
                }
            }
        }
    }
}
