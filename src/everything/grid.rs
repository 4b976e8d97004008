//! Grids of points, as fractions of an image (`segment_anything/utils/amg.py: build_point_grid`).

use super::options::refused;
use crate::error::Error;

/// x and y of each point, 0 to 1, in the order they are asked in.
pub type Grid = Vec<[f64; 2]>;

/// A grid for the whole image and one for each layer of crops; that of layer n has `per_side / factor^n` points a side,
/// rounded down.
///
/// # Errors
/// [`Error::InvalidArgument`] when a layer would have none.
pub(super) fn grids_of_layers(per_side: u32, layers: u32, factor: u32) -> Result<Vec<Grid>, Error> {
    let mut in_layer = per_side;
    (0..=layers)
        .map(|layer| {
            if in_layer == 0 {
                let reason = format!(
                    "is {factor}, which leaves no point of {per_side} a side in layer {layer} of the crops"
                );
                return refused("crop_n_points_downscale_factor", reason);
            }
            let made = grid(in_layer);
            in_layer /= factor;
            Ok(made)
        })
        .collect()
}

/// `per_side²` points in the middle of as many equal cells, row after row.
pub(super) fn grid(per_side: u32) -> Grid {
    let axis = axis(per_side);
    let row = |&y: &f64| axis.iter().map(move |&x| [x, y]);
    axis.iter().flat_map(row).collect()
}

/// As `numpy.linspace` rounds: multiples of one step, and the end itself.
fn axis(count: u32) -> Vec<f64> {
    let offset = 1.0 / f64::from(2 * count);
    let end = 1.0 - offset;
    let step = (end - offset) / f64::from(count.max(2) - 1);
    let mut axis: Vec<f64> = (0..count)
        .map(|index| f64::from(index) * step + offset)
        .collect();
    if let [_, .., last] = &mut axis[..] {
        *last = end;
    }
    axis
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_of_one_point_is_the_middle_and_one_of_four_goes_row_by_row() {
        assert_eq!(grid(1), [[0.5, 0.5]]);
        assert_eq!(
            grid(2),
            [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
        );
    }

    #[test]
    fn layers_have_fewer_points_by_the_factor_and_one_without_points_is_refused() {
        let sides = |per_side, layers, factor| {
            let grids = grids_of_layers(per_side, layers, factor)?;
            Ok::<_, Error>(grids.iter().map(Vec::len).collect::<Vec<_>>())
        };
        assert_eq!(sides(32, 2, 2).unwrap(), [1024, 256, 64]);
        assert_eq!(sides(10, 2, 3).unwrap(), [100, 9, 1]);
        let refused = sides(10, 3, 3).unwrap_err().to_string();
        assert!(
            refused.contains("is 3") && refused.contains("layer 3"),
            "{refused}"
        );
    }
}
