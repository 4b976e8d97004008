//! Finds out the ViT image encoder.

use super::config::{SamVitConfig, VitBlockConfig};
use super::hints::{Hints, agreed};
use super::shapes::{Shapes, axis};
use crate::error::ArchitectureProblem;

const PATCHES: &str = "image_encoder.patch_embed.proj.weight";
const POS_EMBED: &str = "image_encoder.pos_embed";
const NECK: &str = "image_encoder.neck.0.weight";
const BLOCKS: &str = "image_encoder.blocks.";
const KEYS: &str = "`num_heads`, `window_size` and `global_attn_indexes`";

pub(super) fn detect(
    shapes: Shapes<'_>,
    hints: &Hints,
) -> Result<SamVitConfig, ArchitectureProblem> {
    let depth = shapes.count("the number of blocks", BLOCKS)?;
    let rel_pos = RelPos::read(shapes, depth)?;
    let embed_dim = shapes.size(
        "the width of a token",
        &[
            axis(PATCHES, 0, 4),
            axis(POS_EMBED, 3, 4),
            axis(NECK, 1, 4),
            axis(block(0, "norm1.weight"), 0, 1),
        ],
    )?;
    let patch_size = agreed("patch_size", hints.patch_size, patch_size(shapes)?, PATCHES)?;
    let grid = grid(shapes, &rel_pos)?;
    let image_size = agreed("image_size", hints.image_size, grid * patch_size, POS_EMBED)?;
    let num_heads = num_heads(shapes, &rel_pos, embed_dim, hints)?;
    let windows = windows(&rel_pos.rows, depth, grid, hints, shapes.found)?;
    let blocks = windows
        .iter()
        .enumerate()
        .map(|(index, &window_size)| VitBlockConfig {
            window_size,
            rel_pos_rows: rel_pos.rows.get(index).copied(),
        });
    Ok(SamVitConfig {
        image_size,
        patch_size,
        in_chans: shapes.size("the channels of the input", &[axis(PATCHES, 1, 4)])?,
        embed_dim,
        num_heads,
        mlp_dim: shapes.size(
            "the width of the MLP",
            &in_all_blocks(depth, "mlp.lin1.weight", 0, 2),
        )?,
        out_chans: shapes.size(
            "the channels of the image embedding",
            &[axis(NECK, 0, 4), axis("image_encoder.neck.1.weight", 0, 1)],
        )?,
        qkv_bias: (0..depth).any(|index| shapes.has(&block(index, "attn.qkv.bias"))),
        blocks: blocks.collect(),
    })
}

fn block(index: usize, part: &str) -> String {
    format!("{BLOCKS}{index}.{part}")
}

fn in_all_blocks(depth: usize, part: &str, on: usize, rank: usize) -> Vec<super::shapes::Axis> {
    (0..depth)
        .map(|index| axis(block(index, part), on, rank))
        .collect()
}

fn patch_size(shapes: Shapes<'_>) -> Result<usize, ArchitectureProblem> {
    let across = shapes.size("the size of a patch", &[axis(PATCHES, 3, 4)])?;
    let down = shapes.size("the size of a patch", &[axis(PATCHES, 2, 4)])?;
    match shapes.shape(PATCHES) {
        Some(shape) if across != down => {
            Err(shapes.misshaped(PATCHES, shape, "patches must be square"))
        }
        _ => Ok(across),
    }
}

/// Patches along a side, from the position embedding, or from the longest relative positions.
fn grid(shapes: Shapes<'_>, rel_pos: &RelPos) -> Result<usize, ArchitectureProblem> {
    match shapes.shape(POS_EMBED) {
        Some(shape) => {
            let across = shapes.size("the size of the input", &[axis(POS_EMBED, 2, 4)])?;
            let down = shapes.size("the size of the input", &[axis(POS_EMBED, 1, 4)])?;
            if across != down {
                return Err(shapes.misshaped(POS_EMBED, shape, "the input must be square"));
            }
            Ok(across)
        }
        None => match rel_pos.rows.iter().max() {
            Some(rows) => Ok(rows.div_ceil(2)),
            None => Err(shapes.incomplete("the size of the input", [POS_EMBED])),
        },
    }
}

/// Heads, from the width of the relative positions, which is that of one head.
fn num_heads(
    shapes: Shapes<'_>,
    rel_pos: &RelPos,
    embed_dim: usize,
    hints: &Hints,
) -> Result<usize, ArchitectureProblem> {
    let (heads, tensor) = match (rel_pos.head_dim, hints.num_heads) {
        (Some(head_dim), _) if embed_dim.is_multiple_of(head_dim) => {
            let tensor = format!("{BLOCKS}*.attn.rel_pos_h");
            (
                agreed("num_heads", hints.num_heads, embed_dim / head_dim, &tensor)?,
                tensor,
            )
        }
        (None, Some(heads)) if heads > 0 => (heads, PATCHES.to_owned()),
        (Some(head_dim), _) => {
            let tensor = block(0, "attn.rel_pos_h");
            let wanted =
                format!("the width of a head must divide {embed_dim}, the width of a token");
            return Err(shapes.misshaped(&tensor, &[head_dim], wanted));
        }
        (None, _) => {
            return Err(ArchitectureProblem::Undetermined {
                found: shapes.found,
                what: "the number of attention heads",
                reason: "it has no relative positions (rel_pos_h), whose width is that of a head"
                    .to_owned(),
                keys: KEYS,
            });
        }
    };
    if embed_dim.is_multiple_of(heads) {
        Ok(heads)
    } else {
        Err(ArchitectureProblem::Metadata {
            key: "num_heads",
            value: heads.to_string(),
            reason: format!("it must divide {embed_dim}, the width of a token by `{tensor}`"),
        })
    }
}

/// Relative positions of all blocks.
struct RelPos {
    /// Rows of each block; empty when no block has any.
    rows: Vec<usize>,
    /// Width, which is that of an attention head.
    head_dim: Option<usize>,
}

impl RelPos {
    fn read(shapes: Shapes<'_>, depth: usize) -> Result<Self, ArchitectureProblem> {
        let places = |index, on| {
            [
                axis(block(index, "attn.rel_pos_h"), on, 2),
                axis(block(index, "attn.rel_pos_w"), on, 2),
            ]
        };
        let what = "the relative positions";
        let has = |index| {
            places(index, 0)
                .iter()
                .any(|place| shapes.has(place.tensor()))
        };
        let Some(first) = (0..depth).find(|&index| has(index)) else {
            return Ok(Self {
                rows: Vec::new(),
                head_dim: None,
            });
        };
        let mut rows = vec![None; depth];
        for index in (0..depth).filter(|&index| has(index)) {
            rows[index] = Some(shapes.size(what, &places(index, 0))?);
        }
        // A block that lost its relative positions is taken for one of the common kind, and reported as incomplete.
        let common = most_common(rows.iter().flatten().copied());
        Ok(Self {
            rows: rows
                .into_iter()
                .map(|rows| rows.unwrap_or(common))
                .collect(),
            head_dim: Some(shapes.size(what, &places(first, 1))?),
        })
    }
}

fn most_common(values: impl Iterator<Item = usize> + Clone) -> usize {
    let count = |value: usize| values.clone().filter(|&other| other == value).count();
    values
        .clone()
        .max_by_key(|&value| count(value))
        .unwrap_or(0)
}

/// The window of each block, 0 for attention over the whole grid of `grid` × `grid` patches.
///
/// `rows` are the rows of each block's relative positions: 2w − 1 for a window of w patches, 2 · grid − 1 for the whole
/// grid. A model brought to another input size may have kept the rows of its old grid.
fn windows(
    rows: &[usize],
    depth: usize,
    grid: usize,
    hints: &Hints,
    found: &'static str,
) -> Result<Vec<usize>, ArchitectureProblem> {
    if let Some(global) = &hints.global_attn_indexes {
        return windows_from_hints(rows, depth, global, hints.window_size, found);
    }
    let undetermined = |reason: String| ArchitectureProblem::Undetermined {
        found,
        what: "which blocks attend within windows",
        reason,
        keys: KEYS,
    };
    if rows.is_empty() {
        return Err(undetermined(
            "it has no relative positions (rel_pos_h)".to_owned(),
        ));
    }
    let global = global_rows(rows, grid).map_err(undetermined)?;
    let windows: Vec<_> = rows
        .iter()
        .map(|&rows| if rows == global { 0 } else { rows.div_ceil(2) })
        .collect();
    if let Some(&even) = rows
        .iter()
        .find(|&&rows| rows != global && rows.is_multiple_of(2))
    {
        return Err(undetermined(format!(
            "a window has an odd number of rows in rel_pos_h, and here it is {even}"
        )));
    }
    if let (Some(hint), Some(&window)) = (
        hints.window_size,
        windows.iter().find(|window| **window != 0),
    ) {
        agreed(
            "window_size",
            Some(hint),
            window,
            &format!("{BLOCKS}*.attn.rel_pos_h"),
        )?;
    }
    Ok(windows)
}

fn windows_from_hints(
    rows: &[usize],
    depth: usize,
    global: &[usize],
    window_size: Option<usize>,
    found: &'static str,
) -> Result<Vec<usize>, ArchitectureProblem> {
    if let Some(beyond) = global.iter().find(|&&index| index >= depth) {
        return Err(ArchitectureProblem::Metadata {
            key: "global_attn_indexes",
            value: beyond.to_string(),
            reason: format!("there are {depth} blocks, counted from 0"),
        });
    }
    let window = |index: usize| match (rows.get(index), window_size) {
        _ if global.contains(&index) => Ok(0),
        (Some(&rows), hint) => agreed(
            "window_size",
            hint,
            rows.div_ceil(2),
            &block(index, "attn.rel_pos_h"),
        ),
        (None, Some(window)) => Ok(window),
        (None, None) => Err(ArchitectureProblem::Undetermined {
            found,
            what: "the size of the attention windows",
            reason: "it has no relative positions (rel_pos_h)".to_owned(),
            keys: KEYS,
        }),
    };
    (0..depth).map(window).collect()
}

/// The number of rows that blocks with attention over the whole grid have, or why it cannot be told.
fn global_rows(rows: &[usize], grid: usize) -> Result<usize, String> {
    let full = 2 * grid - 1;
    let mut kinds = rows.to_vec();
    kinds.sort_unstable();
    kinds.dedup();
    match kinds[..] {
        // Windows as large as the grid are the same as attention over the whole grid.
        [only] if only == full => Ok(only),
        [only] => Err(format!(
            "all blocks have {only} rows in rel_pos_h, and the grid of {grid} patches has {full}"
        )),
        [short, long] if long == full || short != full => Ok(long),
        // The shorter ones fit the grid. Either windows are larger than the grid, or they are as large as the grid and
        // the others kept the rows of a larger one. Official models have fewer global blocks than windowed ones.
        [short, long] => {
            let shorts = rows.iter().filter(|rows| **rows == short).count();
            match shorts.cmp(&(rows.len() - shorts)) {
                std::cmp::Ordering::Less => Ok(short),
                std::cmp::Ordering::Greater => Ok(long),
                std::cmp::Ordering::Equal => Err(format!(
                    "as many blocks have {short} rows in rel_pos_h as have {long}, on a grid of {grid} patches"
                )),
            }
        }
        [.., longest] if longest == full => Ok(full),
        _ => Err(format!(
            "blocks have {} kinds of rel_pos_h, on a grid of {grid} patches",
            kinds.len()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rows: &[usize], grid: usize) -> Result<Vec<usize>, ArchitectureProblem> {
        windows(rows, rows.len(), grid, &Hints::default(), "a model")
    }

    #[test]
    fn windows_and_global_blocks_are_told_apart_by_their_rows() {
        assert_eq!(found(&[27, 27, 127, 27], 64).unwrap(), [14, 14, 0, 14]);
    }

    #[test]
    fn global_rows_kept_from_a_larger_grid_are_still_global() {
        assert_eq!(found(&[27, 27, 127, 27], 32).unwrap(), [14, 14, 0, 14]);
        assert_eq!(found(&[27, 27, 127, 27], 14).unwrap(), [14, 14, 0, 14]);
    }

    #[test]
    fn windows_larger_than_the_grid_are_windows() {
        assert_eq!(found(&[27, 27, 15, 27], 8).unwrap(), [14, 14, 0, 14]);
    }

    #[test]
    fn windows_as_large_as_the_grid_are_global_attention() {
        assert_eq!(found(&[27, 27, 27], 14).unwrap(), [0, 0, 0]);
    }

    #[test]
    fn several_window_sizes_are_kept_apart() {
        assert_eq!(found(&[13, 27, 127], 64).unwrap(), [7, 14, 0]);
    }

    #[test]
    fn rows_that_allow_two_readings_are_refused() {
        let one_kind = found(&[27, 27, 27], 64).unwrap_err().to_string();
        assert!(
            one_kind.contains("27 rows") && one_kind.contains("global_attn_indexes"),
            "{one_kind}"
        );
        let tie = found(&[27, 15], 8).unwrap_err().to_string();
        assert!(tie.contains("as many blocks"), "{tie}");
        assert!(found(&[], 64).is_err());
        assert!(found(&[26, 127, 26], 64).is_err());
    }

    #[test]
    fn metadata_settles_what_rows_leave_open_and_must_not_contradict_them() {
        let hints = |window_size, global: &[usize]| Hints {
            window_size,
            global_attn_indexes: Some(global.to_vec()),
            ..Hints::default()
        };
        let windows = |rows: &[usize], hints: &Hints| windows(rows, 3, 64, hints, "a model");
        assert_eq!(
            windows(&[27, 27, 27], &hints(Some(14), &[])).unwrap(),
            [14, 14, 14]
        );
        assert_eq!(windows(&[], &hints(Some(14), &[1])).unwrap(), [14, 0, 14]);
        assert!(windows(&[27, 27, 127], &hints(Some(7), &[2])).is_err());
        assert!(windows(&[27, 27, 127], &hints(Some(14), &[3])).is_err());
        assert!(windows(&[], &hints(None, &[1])).is_err());
    }
}
