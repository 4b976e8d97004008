// Attention with decomposed relative positions, in tiles that stay in the caches of a core: no matrix of scores is ever
// made. One implementation (`kernel.inc`), compiled once per instruction set. Without relative positions (SAM 2, Hiera)
// it is plain attention within windows, whose queries may be pooled.
//
// The scores of a query at (h, w) with a key at (h', w') are scale · q·k + q·Rh[h − h' + Sh − 1] + q·Rw[w − w' + Sw − 1]
// (SAM, `add_decomposed_rel_pos`). Per tile of queries the products with all rows of Rh and Rw are computed once; the
// terms of one query against a row of keys are then consecutive entries of them.
#pragma once

#include <cstddef>

namespace sam_mm {
namespace attention {

// Tokens on a grid, cut into windows; a grid that is one window attends globally. Strides are in floats.
struct AttentionProblem {
  // Queries lie on a grid of their own, `query_pool` times as coarse (1: the same grid), which divides grid and windows.
  // The query at its row y and column x lies at queries + ((y − query_row) · grid_w / query_pool + x) · heads · head_dim;
  // `query_rows` rows of it have one.
  const float *queries;
  long query_row, query_rows, query_pool;
  // Its key and its value lie at keys_values + (y · grid_w + x) · 2 · heads · head_dim, in this order.
  const float *keys_values;
  // Key and value of a token that only pads a window beyond the grid.
  const float *padding;
  // Rows of relative positions, packed by `pack_rel_pos`; NULL for none.
  const float *rel_h;
  const float *rel_w;
  // Results lie as the queries do.
  float *out;
  long grid_h, grid_w;
  long window_h, window_w;
  long heads, head_dim;
  float scale;
};

// A window on the grid: where it starts, how much of it is inside, where its queries start and how wide they are, and
// which of their rows are there.
// Of internal linkage, as every file that includes this has its own instruction set.
namespace {
struct Window {
  long y, x, h, w;
  long query_y, query_x, query_w;
  long first_row, rows;

  Window(const AttentionProblem &p, long index) {
    const long across = (p.grid_w + p.window_w - 1) / p.window_w;
    y = index / across * p.window_h;
    x = index % across * p.window_w;
    h = p.grid_h - y < p.window_h ? p.grid_h - y : p.window_h;
    w = p.grid_w - x < p.window_w ? p.grid_w - x : p.window_w;
    query_y = y / p.query_pool;
    query_x = x / p.query_pool;
    query_w = w / p.query_pool;
    const long query_h = h / p.query_pool;
    const long last = p.query_row + p.query_rows;
    const long end = last < query_y + query_h ? last - query_y : query_h;
    first_row = p.query_row > query_y ? p.query_row - query_y : 0;
    rows = end > first_row ? end - first_row : 0;
  }

  long queries() const { return rows * query_w; }
};
}  // namespace

// The tiles of one instruction set.
struct AttentionKernel {
  // Name of the instruction set, for messages and tests.
  const char *name;
  // Queries of a tile: the unit in which `run` takes them.
  long tile_queries;
  // Floats of scratch memory that `run` needs.
  size_t (*scratch_floats)(const AttentionProblem &);
  // Floats of a packed table of `rows` rows.
  size_t (*rel_pos_floats)(long rows, long head_dim);
  // Packs a table (rows, head_dim) for `AttentionProblem::rel_h` or `rel_w`.
  void (*pack_rel_pos)(const float *table, long rows, long head_dim, float *packed);
  // Copies the keys and values of one head of one window into the scratch memory, which is aligned to 64 bytes.
  void (*load_keys)(const AttentionProblem &, long window, long head, float *scratch);
  // Attends with the queries [first, last) of that window, counted along its rows.
  void (*run)(const AttentionProblem &, long window, long head, long first, long last, float *scratch);
};

// One per instruction set; NULL where it was not compiled.
const AttentionKernel *portable_kernel();
const AttentionKernel *avx2_kernel();
const AttentionKernel *avx512_kernel();

// The kernel of that name, or where there is no name the best one; NULL when this processor or this build has none.
const AttentionKernel *find_kernel(const char *name);

}  // namespace attention
}  // namespace sam_mm
