//! The outline of a mask as linked corners.
//!
//! Between each two rows, the places where a vertical edge of the mask begins or ends are the corners of its outline.
//! Going from left to right, corners pair up: a horizontal edge joins the first to the second, the third to the
//! fourth. Down a column, a vertical edge joins the corner where it begins to the one where it ends. So each corner has
//! one horizontal and one vertical neighbour, and following them in turn closes a ring. Each corner is touched a
//! constant number of times.

use super::{Connectivity, Polygons, Ring};
use crate::mask::{MaskError, MaskSource, Run};

/// No corner, or no ring.
const NONE: u32 = u32::MAX;

/// A place where the outline turns. Where four pixels meet of which two opposite ones are foreground, there are two.
#[derive(Clone, Copy)]
struct Corner {
    x: u32,
    y: u32,
    /// The corner at the other end of its horizontal edge.
    across: u32,
    /// The corner at the other end of its vertical edge.
    along: u32,
    /// The upper corner of the next vertical edge to the left in the row below; set where a vertical edge begins.
    left: u32,
    /// The ring, once known.
    ring: u32,
    /// Whether the pixel to the lower right is foreground; set where a vertical edge begins.
    foreground: bool,
}

/// A vertical edge that goes on below the current row.
#[derive(Clone, Copy)]
struct Edge {
    x: u32,
    top: u32,
}

/// All corners, from the top and in a line from the left.
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
    pub fn into_polygons(mut self) -> Polygons {
        let mut vertices = Vec::with_capacity(self.corners.len());
        let mut rings: Vec<Ring> = Vec::new();
        for first in 0..self.corners.len() {
            if self.corners[first].ring != NONE {
                continue;
            }
            let Corner {
                foreground, left, ..
            } = self.corners[first];
            let parent = match left {
                NONE => None,
                corner => {
                    let neighbour = self.corners[corner as usize].ring as usize;
                    // The pixel between the two rings is background if this one is an outer ring.
                    let lies_in_neighbour = rings[neighbour].is_hole == foreground;
                    if lies_in_neighbour {
                        Some(neighbour)
                    } else {
                        rings[neighbour].parent
                    }
                }
            };
            let start = vertices.len();
            self.follow(first, rings.len() as u32, &mut vertices);
            rings.push(Ring {
                range: start..vertices.len(),
                parent,
                is_hole: !foreground,
            });
        }
        Polygons { vertices, rings }
    }

    /// Follows a ring from its first corner, the leftmost of its topmost: right around foreground, down around a hole,
    /// so that foreground is on the right hand either way.
    fn follow(&mut self, first: usize, ring: u32, vertices: &mut Vec<[u32; 2]>) {
        let mut at = first;
        let mut go_across = self.corners[first].foreground;
        loop {
            let corner = &mut self.corners[at];
            corner.ring = ring;
            vertices.push([corner.x, corner.y]);
            at = if go_across {
                corner.across
            } else {
                corner.along
            } as usize;
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
        self.reserve(runs.len())?;
        let edges = std::mem::take(&mut self.edges);
        let mut above = edges.iter().enumerate().peekable();
        let mut below = runs
            .iter()
            .flat_map(|run| [(run.start, true), (run.end, false)])
            .peekable();
        // The corner whose horizontal edge still lacks its right end.
        let mut open = NONE;
        loop {
            let ended = above.peek().map_or(NONE, |(_, edge)| edge.x);
            let begun = below.peek().map_or(NONE, |&(x, _)| x);
            let edge = if ended <= begun { above.next() } else { None };
            let toggle = if begun <= ended { below.next() } else { None };
            match (edge, toggle) {
                (None, None) => break,
                (Some((_, &edge)), None) => {
                    let corner = self.corner(edge.x, y, &mut open);
                    self.end(edge, corner);
                }
                (None, Some((x, foreground))) => {
                    let corner = self.corner(x, y, &mut open);
                    self.begin(x, corner, foreground);
                }
                // Edges alternate: an even one has background on its left and foreground on its right.
                (Some((index, &edge)), Some((_, foreground))) if (index % 2 == 0) == foreground => {
                    self.edges_below.push(edge);
                }
                (Some((_, &edge)), Some((x, foreground))) => {
                    let left = self.corner(x, y, &mut open);
                    let right = self.corner(x, y, &mut open);
                    if foreground == (self.connectivity == Connectivity::Four) {
                        self.end(edge, left);
                        self.begin(x, right, foreground);
                    } else {
                        self.end(edge, right);
                        self.begin(x, left, foreground);
                    }
                }
            }
        }
        self.edges = std::mem::replace(&mut self.edges_below, edges);
        self.edges_below.clear();
        Ok(())
    }

    /// Makes room for all corners and edges that a line can have.
    fn reserve(&mut self, runs_below: usize) -> Result<(), MaskError> {
        let corners = self.edges.len() + 2 * runs_below;
        self.corners
            .try_reserve(corners)
            .and_then(|()| self.edges_below.try_reserve(2 * runs_below))
            .map_err(|_| MaskError::OutOfMemory {
                bytes: (self.corners.len() + corners) * size_of::<Corner>(),
                purpose: "the outline of a mask",
            })
    }

    /// Adds a corner, and joins it to the one to its left if that waits for it.
    fn corner(&mut self, x: u32, y: u32, open: &mut u32) -> u32 {
        let index = self.corners.len() as u32;
        let across = std::mem::replace(open, NONE);
        if across == NONE {
            *open = index;
        } else {
            self.corners[across as usize].across = index;
        }
        self.corners.push(Corner {
            x,
            y,
            across,
            along: NONE,
            left: NONE,
            ring: NONE,
            foreground: false,
        });
        index
    }

    /// A vertical edge begins at a corner.
    fn begin(&mut self, x: u32, corner: u32, foreground: bool) {
        let left = self.edges_below.last().map_or(NONE, |edge| edge.top);
        let begun = &mut self.corners[corner as usize];
        begun.left = left;
        begun.foreground = foreground;
        self.edges_below.push(Edge { x, top: corner });
    }

    /// A vertical edge ends at a corner.
    fn end(&mut self, edge: Edge, corner: u32) {
        self.corners[corner as usize].along = edge.top;
        self.corners[edge.top as usize].along = corner;
    }
}
