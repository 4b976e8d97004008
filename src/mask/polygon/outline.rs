//! The outline of a mask as linked corners.
//!
//! Between each two rows, the places where a vertical edge of the mask begins or ends are the corners of its outline.
//! From left to right they pair up: a horizontal edge joins the first to the second, the third to the fourth. Down a
//! column, a vertical edge joins the corner where it begins to the one where it ends. So each corner has one horizontal
//! and one vertical neighbour, and following them in turn closes a ring. Each corner is touched a constant number of
//! times.

use super::{Connectivity, Polygons, Ring};
use crate::mask::{MaskError, MaskSource, Run};

/// No corner.
const NONE: u32 = u32::MAX;

/// A place where the outline turns. Where four pixels meet of which two opposite ones are foreground, there are two.
#[derive(Clone, Copy)]
struct Corner {
    x: u16,
    y: u16,
    /// The corner at the other end of its vertical edge.
    along: u32,
    /// Once followed: its ring. Before, where a vertical edge begins: the upper corner of the next vertical edge to the
    /// left in the row below.
    ring_or_left: u32,
    followed: bool,
    /// Where a vertical edge begins: whether the pixel to the right of the edge is foreground.
    foreground: bool,
}

/// A vertical edge that goes on below the current line.
#[derive(Clone, Copy)]
struct Edge {
    x: u32,
    top: u32,
}

/// All corners, from the top, in a line from the left. Each line has an even number of them, so the corner at the other
/// end of the horizontal edge of corner `i` is `i ^ 1`.
pub(super) struct Outline {
    corners: Vec<Corner>,
}

impl Outline {
    /// Finds the corners of a mask.
    pub fn of(source: &impl MaskSource, connectivity: Connectivity) -> Result<Self, MaskError> {
        let mut tracer = Tracer {
            corners: Vec::new(),
            edges: Vec::new(),
            edges_below: Vec::new(),
            connectivity,
        };
        let mut result = Ok(());
        source.for_each_row(&mut |y, runs| {
            if result.is_ok() {
                result = tracer.line(y, runs);
            }
        });
        result?;
        tracer.line(source.height(), &[])?;
        Ok(Self {
            corners: tracer.corners,
        })
    }

    /// Follows the corners into rings.
    pub fn into_polygons(mut self) -> Result<Polygons, MaskError> {
        let mut vertices = Vec::new();
        reserve(&mut vertices, self.corners.len())?;
        let mut rings = Vec::new();
        for first in 0..self.corners.len() {
            let corner = self.corners[first];
            if corner.followed {
                continue;
            }
            let parent = self.parent(&corner, &rings);
            let start = vertices.len();
            self.follow(first, rings.len() as u32, &mut vertices);
            reserve(&mut rings, 1)?;
            rings.push(Ring {
                range: start..vertices.len(),
                parent,
                is_hole: !corner.foreground,
            });
        }
        Ok(Polygons { vertices, rings })
    }

    /// The ring around the one that begins at `first`. The edge to the left of it begins higher or further left, so its
    /// ring is known; either that ring is around the new one, or both lie in the same.
    fn parent(&self, first: &Corner, rings: &[Ring]) -> Option<usize> {
        if first.ring_or_left == NONE {
            return None;
        }
        let neighbour = self.corners[first.ring_or_left as usize].ring_or_left as usize;
        // What separates the two is background if the new one is an outer ring, else foreground.
        let is_around = rings[neighbour].is_hole == first.foreground;
        if is_around {
            Some(neighbour)
        } else {
            rings[neighbour].parent
        }
    }

    /// Follows a ring from its first corner, the leftmost of its topmost: right around foreground, down around a hole,
    /// so that foreground is on the right hand either way.
    fn follow(&mut self, first: usize, ring: u32, vertices: &mut Vec<[u32; 2]>) {
        let mut at = first;
        let mut go_across = self.corners[first].foreground;
        loop {
            let corner = &mut self.corners[at];
            corner.followed = true;
            corner.ring_or_left = ring;
            vertices.push([corner.x.into(), corner.y.into()]);
            at = if go_across {
                at ^ 1
            } else {
                corner.along as usize
            };
            go_across = !go_across;
            if at == first {
                return;
            }
        }
    }
}

/// Finds corners line by line.
struct Tracer {
    corners: Vec<Corner>,
    /// Vertical edges of the row above the line, from the left.
    edges: Vec<Edge>,
    /// Vertical edges of the row below the line, as far as found.
    edges_below: Vec<Edge>,
    connectivity: Connectivity,
}

impl Tracer {
    /// The line above row `y`, whose runs are given.
    fn line(&mut self, y: u32, runs: &[Run]) -> Result<(), MaskError> {
        let edges = std::mem::take(&mut self.edges);
        reserve(&mut self.corners, edges.len() + 2 * runs.len())?;
        let mut above = edges.iter().enumerate().peekable();
        let mut below = runs
            .iter()
            .flat_map(|run| [(run.start, true), (run.end, false)])
            .peekable();
        loop {
            let x_above = above.peek().map_or(NONE, |(_, edge)| edge.x);
            let x_below = below.peek().map_or(NONE, |&(x, _)| x);
            let edge = above.next_if(|_| x_above <= x_below);
            let toggle = below.next_if(|_| x_below <= x_above);
            match (edge, toggle) {
                (None, None) => break,
                (Some((_, &edge)), None) => {
                    let corner = self.corner(edge.x, y);
                    self.end(edge, corner);
                }
                (None, Some((x, foreground))) => {
                    let corner = self.corner(x, y);
                    self.begin(x, corner, foreground);
                }
                // Edges alternate: an even one has background on its left and foreground on its right.
                (Some((index, &edge)), Some((_, foreground))) if (index % 2 == 0) == foreground => {
                    self.edges_below.push(edge);
                }
                (Some((_, &edge)), Some((x, foreground))) => {
                    self.crossing(edge, x, y, foreground);
                }
            }
        }
        self.edges = std::mem::replace(&mut self.edges_below, edges);
        self.edges_below.clear();
        Ok(())
    }

    /// Two opposite pixels of four are foreground: the outline turns twice. Which edges make a turn together decides
    /// whether the two pixels are joined.
    fn crossing(&mut self, edge: Edge, x: u32, y: u32, foreground: bool) {
        let left = self.corner(x, y);
        let right = self.corner(x, y);
        if foreground == (self.connectivity == Connectivity::Four) {
            self.end(edge, left);
            self.begin(x, right, foreground);
        } else {
            self.end(edge, right);
            self.begin(x, left, foreground);
        }
    }

    fn corner(&mut self, x: u32, y: u32) -> u32 {
        let index = self.corners.len() as u32;
        self.corners.push(Corner {
            // No side is longer than 65535.
            x: x as u16,
            y: y as u16,
            along: NONE,
            ring_or_left: NONE,
            followed: false,
            foreground: false,
        });
        index
    }

    /// A vertical edge begins at a corner.
    fn begin(&mut self, x: u32, corner: u32, foreground: bool) {
        let left = self.edges_below.last().map_or(NONE, |edge| edge.top);
        let begun = &mut self.corners[corner as usize];
        begun.ring_or_left = left;
        begun.foreground = foreground;
        self.edges_below.push(Edge { x, top: corner });
    }

    /// A vertical edge ends at a corner.
    fn end(&mut self, edge: Edge, corner: u32) {
        self.corners[corner as usize].along = edge.top;
        self.corners[edge.top as usize].along = corner;
    }
}

fn reserve<T>(vector: &mut Vec<T>, additional: usize) -> Result<(), MaskError> {
    vector
        .try_reserve(additional)
        .map_err(|_| MaskError::OutOfMemory {
            bytes: (vector.len() + additional) * size_of::<T>(),
            purpose: "the outline of a mask",
        })
}
