//! Fewer vertices, within a tolerance.

use super::ring::twice_signed_area;

/// Splits at the farthest vertex up to this depth (Douglas–Peucker), and in the middle from there on. Keeping another
/// vertex than the farthest is never less exact, and it bounds the time where farthest ones lie next to each other.
const MAX_FARTHEST_SPLITS: u32 = 48;

/// Below this nothing can be left out: the flattest two vertices of an outline with sides of a pixel or more lie
/// 1/√5 from the line past them (one step of a staircase).
const FINEST_TOLERANCE: f64 = 0.25;

/// Douglas–Peucker for closed rings. Keeps its buffers from ring to ring.
pub(super) struct Simplifier {
    tolerance: f64,
    keep: Vec<bool>,
    pending: Vec<Chain>,
}

/// Vertices between two that stay.
struct Chain {
    first: usize,
    /// May be the number of vertices, which stands for vertex 0 again.
    last: usize,
    depth: u32,
}

impl Simplifier {
    pub fn new(tolerance: f64) -> Self {
        Self {
            tolerance,
            keep: Vec::new(),
            pending: Vec::new(),
        }
    }

    /// The vertices that stay: at least three, in the direction in which the ring ran.
    ///
    /// A ring that is no wider than the tolerance would fall together to a line, or turn inside out. It gets half the
    /// tolerance, until it is still a ring.
    pub fn simplify(&mut self, ring: &[[u32; 2]]) -> Vec<[u32; 2]> {
        let direction = twice_signed_area(ring).signum();
        let mut tolerance = self.tolerance;
        while tolerance >= FINEST_TOLERANCE {
            self.mark(ring, tolerance * tolerance);
            let marked = ring.iter().zip(&self.keep);
            let kept: Vec<_> = marked
                .filter_map(|(&vertex, &keep)| keep.then_some(vertex))
                .collect();
            if twice_signed_area(&kept).signum() == direction {
                return kept;
            }
            tolerance *= 0.5;
        }
        ring.to_vec()
    }

    /// Marks the vertices to keep.
    fn mark(&mut self, ring: &[[u32; 2]], tolerance_squared: f64) {
        self.keep.clear();
        self.keep.resize(ring.len(), false);
        let (opposite, _) = farthest(ring, 0..ring.len(), ring[0], ring[0]);
        self.keep[0] = true;
        self.keep[opposite] = true;
        self.push(0, opposite, 0);
        self.push(opposite, ring.len(), 0);
        while let Some(Chain { first, last, depth }) = self.pending.pop() {
            let (a, b) = (ring[first], ring[last % ring.len()]);
            let (index, distance_squared) = farthest(ring, first + 1..last, a, b);
            if distance_squared <= tolerance_squared {
                continue;
            }
            let split = if depth < MAX_FARTHEST_SPLITS {
                index
            } else {
                first.midpoint(last)
            };
            self.keep[split] = true;
            self.push(first, split, depth + 1);
            self.push(split, last, depth + 1);
        }
    }

    fn push(&mut self, first: usize, last: usize, depth: u32) {
        if first + 1 < last {
            self.pending.push(Chain { first, last, depth });
        }
    }
}

/// The vertex in a range that is farthest from the line from `a` to `b`, and the square of its distance.
fn farthest(
    ring: &[[u32; 2]],
    range: std::ops::Range<usize>,
    a: [u32; 2],
    b: [u32; 2],
) -> (usize, f64) {
    let [ax, ay] = a.map(f64::from);
    let [bx, by] = b.map(f64::from);
    let (dx, dy) = (bx - ax, by - ay);
    let length_squared = dx * dx + dy * dy;
    let mut best = (range.start, -1.0);
    for index in range {
        let [x, y] = ring[index].map(f64::from);
        let (px, py) = (x - ax, y - ay);
        let along = px * dx + py * dy;
        let distance_squared = if along <= 0.0 || length_squared == 0.0 {
            px * px + py * py
        } else if along >= length_squared {
            (x - bx).powi(2) + (y - by).powi(2)
        } else {
            (px * dy - py * dx).powi(2) / length_squared
        };
        if distance_squared > best.1 {
            best = (index, distance_squared);
        }
    }
    best
}
