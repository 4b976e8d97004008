//! The two orders of low-resolution logits.
//!
//! A mask has 4×4 logits for every cell of the image embedding. The network makes and takes them cell by cell, each as
//! a 2×2 block of 2×2 blocks, because then its convolutions are matrix products. Callers have them row by row.

/// Logits along a side of a cell.
const SIDE: usize = 4;
/// Logits of a cell.
pub const PER_CELL: usize = SIDE * SIDE;

/// The place of each logit of a cell in its row of [`PER_CELL`], by row and column inside of the cell: the halves are
/// the leading digits.
const PLACE: [[usize; SIDE]; SIDE] = {
    let mut place = [[0; SIDE]; SIDE];
    let mut y = 0;
    while y < SIDE {
        let mut x = 0;
        while x < SIDE {
            place[y][x] = 8 * (y / 2) + 4 * (x / 2) + 2 * (y % 2) + x % 2;
            x += 1;
        }
        y += 1;
    }
    place
};

/// Puts the logits of `grid × grid` cells into rows.
///
/// # Panics
/// When either slice is not of `16·grid²` elements.
pub fn to_rows(cells: &[f32], grid: usize, rows: &mut [f32]) {
    assert_eq!(cells.len(), PER_CELL * grid * grid);
    assert_eq!(rows.len(), cells.len());
    for (band, line) in cells
        .chunks_exact(PER_CELL * grid)
        .zip(rows.chunks_exact_mut(PER_CELL * grid))
    {
        for (y, row) in line.chunks_exact_mut(SIDE * grid).enumerate() {
            for (cell, out) in band
                .as_chunks::<PER_CELL>()
                .0
                .iter()
                .zip(row.as_chunks_mut::<SIDE>().0)
            {
                *out = PLACE[y].map(|place| cell[place]);
            }
        }
    }
}

/// Puts rows of logits into cells: the inverse of [`to_rows`].
///
/// # Panics
/// As [`to_rows`].
pub fn from_rows(rows: &[f32], grid: usize, cells: &mut [f32]) {
    assert_eq!(cells.len(), PER_CELL * grid * grid);
    assert_eq!(rows.len(), cells.len());
    for (line, band) in rows
        .chunks_exact(PER_CELL * grid)
        .zip(cells.chunks_exact_mut(PER_CELL * grid))
    {
        for (y, row) in line.chunks_exact(SIDE * grid).enumerate() {
            for (values, cell) in row
                .as_chunks::<SIDE>()
                .0
                .iter()
                .zip(band.as_chunks_mut::<PER_CELL>().0)
            {
                for (value, place) in values.iter().zip(PLACE[y]) {
                    cell[place] = *value;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row by row, with the row and the column in each value.
    fn numbered(grid: usize) -> Vec<f32> {
        let side = SIDE * grid;
        (0..side * side)
            .map(|i| (i / side * 100 + i % side) as f32)
            .collect()
    }

    #[test]
    fn a_cell_holds_its_4_by_4_logits_as_blocks_of_blocks() {
        let mut cells = vec![0.0; 64];
        from_rows(&numbered(2), 2, &mut cells);
        let second = [
            4, 5, 104, 105, 6, 7, 106, 107, 204, 205, 304, 305, 206, 207, 306, 307,
        ];
        assert_eq!(cells[16..32], second.map(|value| value as f32));
    }

    #[test]
    fn rows_come_back_from_cells() {
        for grid in [1, 2, 5] {
            let rows = numbered(grid);
            let (mut cells, mut back) = (vec![0.0; rows.len()], vec![0.0; rows.len()]);
            from_rows(&rows, grid, &mut cells);
            to_rows(&cells, grid, &mut back);
            assert_eq!(back, rows);
        }
    }
}
