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
  // Counted row after row, the query number i lies at queries + (i − first_query) · heads · head_dim; those of `query_rows`
  // rows of their grid are there.
  const float *queries;
  long first_query, query_rows, query_pool;
  // Key and value of the token number i lie at keys_values + (i − first_key) · 2 · heads · head_dim, in this order.
  const float *keys_values;
  long first_key;
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
    const long query_row = p.first_query / (p.grid_w / p.query_pool), last = query_row + p.query_rows;
    const long end = last < query_y + query_h ? last - query_y : query_h;
    first_row = query_row > query_y ? query_row - query_y : 0;
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
  // Tokens of a window that are loaded at a time, or several times as many.
  long (*key_unit)(const AttentionProblem &);
  // Floats of the packed keys and values of a head of a window, and of the scratch memory that `run` needs besides; both
  // are aligned to 64 bytes.
  size_t (*key_floats)(const AttentionProblem &);
  size_t (*scratch_floats)(const AttentionProblem &);
  // Floats of a packed table of `rows` rows.
  size_t (*rel_pos_floats)(long rows, long head_dim);
  // Packs a table (rows, head_dim) for `AttentionProblem::rel_h` or `rel_w`.
  void (*pack_rel_pos)(const float *table, long rows, long head_dim, float *packed);
  // Packs the keys and values of one head of one window, of its tokens [first, last), counted along its rows: whole units, but
  // that the last may be cut short by the end of the window. Different tokens may be loaded by different threads.
  void (*load_keys)(const AttentionProblem &, long window, long head, long first, long last, float *keys);
  // Attends with the queries [first, last) of that window, counted along its rows.
  void (*run)(const AttentionProblem &, long window, long head, long first, long last, const float *keys, float *scratch);
};

// One per instruction set; NULL where it was not compiled.
const AttentionKernel *portable_kernel();
const AttentionKernel *avx2_kernel();
const AttentionKernel *avx512_kernel();

// The kernel of that name, or where there is no name the best one; NULL when this processor or this build has none.
const AttentionKernel *find_kernel(const char *name);

}  // namespace attention
}  // namespace sam_mm
