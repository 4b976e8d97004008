//! Rings and how they lie in each other.

use std::ops::Range;

use super::simplify::Simplifier;

/// A closed line; the last vertex is joined to the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    /// Its vertices in [`Polygons::vertices`].
    pub range: Range<usize>,
    /// The ring it lies in: an outer ring for a hole, a hole or `None` for an outer ring. Always an earlier one.
    pub parent: Option<usize>,
    /// Whether it bounds a hole.
    pub is_hole: bool,
}

/// All rings of a mask, in the order in which a scan from the top left meets them.
///
/// Outer rings run clockwise as seen on the screen (y down) and holes counter-clockwise, so the shoelace sum
/// `Σ (xᵢ·yᵢ₊₁ − xᵢ₊₁·yᵢ)` is positive for outer rings and negative for holes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Polygons {
    pub(super) vertices: Vec<[u32; 2]>,
    pub(super) rings: Vec<Ring>,
}

impl Polygons {
    /// `[x, y]` of all vertices, ring after ring. They are corners of pixels: `[0, 0]` is the upper left corner of
    /// the image and `[width, height]` its lower right.
    pub fn vertices(&self) -> &[[u32; 2]] {
        &self.vertices
    }

    /// The rings.
    pub fn rings(&self) -> &[Ring] {
        &self.rings
    }

    /// Vertices of a ring.
    ///
    /// # Panics
    /// When there is no ring `index`.
    pub fn ring_vertices(&self, index: usize) -> &[[u32; 2]] {
        &self.vertices[self.rings[index].range.clone()]
    }

    /// Leaves out rings that enclose fewer than `min_area` pixels. What lies in such a ring encloses fewer still, so
    /// the parent of a ring that stays stays too.
    pub(super) fn without_rings_below(&self, min_area: u64) -> Self {
        let mut kept = Self::default();
        let mut new_index = vec![None; self.rings.len()];
        for (index, ring) in self.rings.iter().enumerate() {
            let vertices = self.ring_vertices(index);
            if twice_signed_area(vertices).unsigned_abs() / 2 >= min_area {
                new_index[index] = Some(kept.rings.len());
                let parent = ring.parent.and_then(|parent| new_index[parent]);
                kept.push(vertices.iter().copied(), parent, ring.is_hole);
            }
        }
        kept
    }

    /// Leaves out vertices, none of which lies farther than `tolerance` pixels from what stays.
    pub(super) fn simplify(&mut self, tolerance: f64) {
        let mut simplifier = Simplifier::new(tolerance);
        let mut simplified = Self::default();
        for (index, ring) in self.rings.iter().enumerate() {
            let kept = simplifier.simplify(self.ring_vertices(index));
            simplified.push(kept, ring.parent, ring.is_hole);
        }
        *self = simplified;
    }

    fn push(
        &mut self,
        vertices: impl IntoIterator<Item = [u32; 2]>,
        parent: Option<usize>,
        is_hole: bool,
    ) {
        let start = self.vertices.len();
        self.vertices.extend(vertices);
        self.rings.push(Ring {
            range: start..self.vertices.len(),
            parent,
            is_hole,
        });
    }
}

/// The shoelace sum of a ring: twice its area, positive when it runs clockwise on the screen.
pub(super) fn twice_signed_area(vertices: &[[u32; 2]]) -> i64 {
    let Some(&last) = vertices.last() else {
        return 0;
    };
    let mut previous = last.map(i64::from);
    let mut sum = 0;
    for vertex in vertices {
        let [x, y] = vertex.map(i64::from);
        sum += previous[0] * y - x * previous[1];
        previous = [x, y];
    }
    sum
}
