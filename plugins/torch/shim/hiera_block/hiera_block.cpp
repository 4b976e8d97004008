// Transformer blocks of Hiera, from the first norm to the end of the MLP. Within windows a thread takes a few of them at a time
// through the whole block; where all tokens attend to all it takes a tile of queries, once all keys are there. What lies
// between stays in the caches of a core, threads wait for one another only where all keys must be there, and but for those keys
// and values there is no map between the block's layers.
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "../attention/kernel.h"
#include "../failure.h"
#include "../kernels.h"
#include "../parallel.h"
#include "../shim.h"
#include "../tiled_linear/kernel.h"
#include "../tiled_linear/tensors.h"

namespace {

using sam_mm::attention::AttentionKernel;
using sam_mm::attention::AttentionProblem;
using namespace sam_mm::tiled_linear;

// Tokens that a thread takes at a time, in whole windows: two tiles of rows. Pooled queries are a quarter as many, of which
// the layers after attention should still have a tile. Half as many of both were as fast.
constexpr long kTokens = 192;
constexpr long kPooledTokens = 384;

struct Block {
  const LinearKernel *linear;
  const AttentionKernel *attention;
  long window;  // 0: all tokens attend to all
  long heads, pool;
  long height, width;      // of the map
  long dim, out_dim;
  Norm norm1, norm2;
  Layer q, kv, residual, proj, fc1, fc2;
  const float *padding;
  const float *map;
  float *out;

  // Tokens for every query.
  long area() const { return pool * pool; }
};

// A window, or what of it is on the map.
struct Window {
  long y, x, h, w;

  long tokens() const { return h * w; }
};

// Windows that are taken at a time.
using Group = std::vector<Window>;

long tokens_of(const Group &group) {
  long tokens = 0;
  for (const Window &window : group) tokens += window.tokens();
  return tokens;
}

// All windows, in groups of no more tokens than every thread can have, unless a window has more. The largest come first, so
// that those that are taken last are the shortest.
std::vector<Group> groups_of(const Block &b, long threads) {
  const long share = (b.height * b.width + threads - 1) / threads;
  const long most = std::min(b.pool > 1 ? kPooledTokens : kTokens, share);
  std::vector<Group> groups;
  long tokens = most;
  for (long y = 0; y < b.height; y += b.window) {
    for (long x = 0; x < b.width; x += b.window) {
      const Window window{y, x, std::min(b.window, b.height - y), std::min(b.window, b.width - x)};
      if (tokens + window.tokens() > most) {
        groups.emplace_back();
        tokens = 0;
      }
      groups.back().push_back(window);
      tokens += window.tokens();
    }
  }
  std::stable_sort(groups.begin(), groups.end(),
                   [](const Group &a, const Group &b) { return tokens_of(a) > tokens_of(b); });
  return groups;
}

// Memory that is handed out in pieces aligned to 64 bytes; without memory it only counts.
struct Arena {
  float *base;
  size_t floats = 0;

  float *take(size_t count) {
    float *start = base ? base + floats : nullptr;
    floats += (count + 15) / 16 * 16;
    return start;
  }
};

AttentionProblem attention_of(const Block &b) {
  AttentionProblem problem{};
  problem.query_pool = b.pool;
  problem.padding = b.padding;
  problem.heads = b.heads;
  problem.head_dim = b.out_dim / b.heads;
  problem.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(problem.head_dim)));
  return problem;
}

// A window by itself. What queries attend to is written in their place: a tile of them is copied before.
AttentionProblem attention_of(const Block &b, const Window &window, float *queries, const float *keys_values) {
  AttentionProblem problem = attention_of(b);
  problem.queries = problem.out = queries;
  problem.query_rows = window.h / b.pool;
  problem.keys_values = keys_values;
  problem.grid_h = window.h;
  problem.grid_w = window.w;
  problem.window_h = problem.window_w = b.window;
  return problem;
}

// All tokens in a row. The queries are those from `first` on, and what they attend to is written in their place.
AttentionProblem attention_of_all(const Block &b, long first, float *queries) {
  AttentionProblem problem = attention_of(b);
  problem.queries = problem.out = queries;
  problem.first_query = first;
  problem.query_rows = 1;
  problem.grid_h = problem.window_h = 1;
  problem.grid_w = problem.window_w = b.height * b.width;
  return problem;
}

LinearProblem linear_of(const Layer &layer, const float *x, const Norm &norm, float *out, Then then) {
  return {x, norm, 1, {layer}, {out}, then};
}

constexpr Norm kNoNorm = {nullptr, nullptr, 0.0f};

// Floats of scratch memory for any of a block's linear layers.
size_t linear_floats(const Block &b) {
  const LinearProblem first = linear_of(b.q, nullptr, b.norm1, nullptr, Then::nothing);
  const LinearProblem proj = linear_of(b.proj, nullptr, kNoNorm, nullptr, Then::sum);
  const MlpProblem mlp{nullptr, b.norm2, b.fc1, b.fc2};
  return std::max({b.linear->linear_floats(first), b.linear->linear_floats(proj), b.linear->mlp_floats(mlp)});
}

// The scratch memory of a thread for some windows. Rows of tokens are window after window, row after row of each.
struct OfWindows {
  float *x;         // (tokens, dim), and after the attention the sums, if queries are not pooled
  float *q;         // (tokens, out_dim), and after the attention what the queries attend to
  float *kv;        // (tokens, 2 · out_dim)
  float *residual;  // (tokens, out_dim), where queries are pooled
  float *pooled_q;  // (tokens / 4, out_dim), likewise
  float *sums;      // (tokens / 4, out_dim), likewise
  float *linear;    // of the kernels
  float *keys;
  float *attention;
  size_t floats;

  OfWindows(const Block &b, long tokens, float *base) {
    Arena arena{base};
    const auto rows = static_cast<size_t>(tokens), wide = static_cast<size_t>(b.out_dim);
    x = arena.take(rows * static_cast<size_t>(b.dim));
    q = arena.take(rows * wide);
    kv = arena.take(rows * 2 * wide);
    const size_t pooled = b.pool > 1 ? rows / 4 * wide : 0;
    residual = arena.take(b.pool > 1 ? rows * wide : 0);
    pooled_q = arena.take(pooled);
    sums = arena.take(pooled);
    linear = arena.take(linear_floats(b));
    const AttentionProblem problem = attention_of(b, {0, 0, b.window, b.window}, nullptr, nullptr);
    keys = arena.take(b.attention->key_floats(problem));
    attention = arena.take(b.attention->scratch_floats(problem));
    floats = arena.floats;
  }
};

// The scratch memory of a thread for a tile of queries that attend to all, and before that for some tokens as keys.
struct OfTile {
  float *q;   // (rows, out_dim), and after the attention what the queries attend to
  float *kv;  // (key unit, 2 · out_dim)
  float *linear;
  float *attention;
  size_t floats;

  OfTile(const Block &b, float *base) {
    Arena arena{base};
    const AttentionProblem problem = attention_of_all(b, 0, nullptr);
    const auto wide = static_cast<size_t>(b.out_dim);
    linear = arena.take(linear_floats(b));
    // Not at the same time.
    Arena keys = arena;
    kv = keys.take(static_cast<size_t>(b.attention->key_unit(problem)) * 2 * wide);
    q = arena.take(static_cast<size_t>(b.linear->tile_rows) * wide);
    attention = arena.take(b.attention->scratch_floats(problem));
    floats = std::max(arena.floats, keys.floats);
  }
};

// Calls `tile(first, last)` for all rows, on this thread.
template <class Tile>
void in_tiles(const LinearKernel &kernel, long rows, const Tile &tile) {
  const Tiles tiles(kernel, rows, 1);
  for (int64_t index = 0; index < tiles.count; index++) {
    tile(static_cast<long>(tiles.first(index)), static_cast<long>(tiles.last(index)));
  }
}

// Copies a window between the map (rows of `row` floats) and the scratch memory, a row at a time.
template <class Copy>
void on_rows(const Window &window, long scale, long map_width, long dim, const Copy &copy) {
  const long w = window.w / scale;
  for (long r = 0; r < window.h / scale; r++) {
    copy(((window.y / scale + r) * map_width + window.x / scale) * dim, r * w * dim, w * dim);
  }
}

void run_group(const Block &b, const Group &group, float *base) {
  const long tokens = tokens_of(group);
  const OfWindows s(b, tokens, base);
  float *at = s.x;
  for (const Window &window : group) {
    on_rows(window, 1, b.width, b.dim, [&](long on_map, long here, long floats) {
      std::memcpy(at + here, b.map + on_map, static_cast<size_t>(floats) * sizeof(float));
    });
    at += window.tokens() * b.dim;
  }

  LinearProblem layers{s.x, b.norm1, b.pool > 1 ? 3 : 2, {b.q, b.kv, b.residual}, {s.q, s.kv, s.residual}, Then::nothing};
  in_tiles(*b.linear, tokens, [&](long first, long last) { b.linear->linear(layers, first, last, s.linear); });

  float *queries = s.q, *sums = s.x;
  if (b.pool > 1) {
    queries = s.pooled_q;
    sums = s.sums;
    long before = 0;
    for (const Window &window : group) {
      const long from = before * b.out_dim, to = before / 4 * b.out_dim;
      sam_mm_torch_max_pool_2x2(s.q + from, window.h, window.w, b.out_dim, queries + to, 1);
      sam_mm_torch_max_pool_2x2(s.residual + from, window.h, window.w, b.out_dim, sums + to, 1);
      before += window.tokens();
    }
  }

  const long area = b.area();
  long before = 0;
  for (const Window &window : group) {
    const AttentionProblem problem =
        attention_of(b, window, queries + before / area * b.out_dim, s.kv + before * 2 * b.out_dim);
    for (long head = 0; head < b.heads; head++) {
      b.attention->load_keys(problem, 0, head, 0, b.window * b.window, s.keys);
      b.attention->run(problem, 0, head, 0, window.tokens() / area, s.keys, s.attention);
    }
    before += window.tokens();
  }

  const long rows = tokens / area;
  const LinearProblem proj = linear_of(b.proj, queries, kNoNorm, sums, Then::sum);
  const MlpProblem mlp{sums, b.norm2, b.fc1, b.fc2};
  in_tiles(*b.linear, rows, [&](long first, long last) {
    b.linear->linear(proj, first, last, s.linear);
    b.linear->mlp(mlp, first, last, s.linear);
  });

  for (const Window &window : group) {
    on_rows(window, b.pool, b.width / b.pool, b.out_dim, [&](long on_map, long here, long floats) {
      std::memcpy(b.out + on_map, sums + here, static_cast<size_t>(floats) * sizeof(float));
    });
    sums += window.tokens() / area * b.out_dim;
  }
}

// Runs `piece(index, scratch)` on all threads, or as many as there are pieces.
template <class Piece>
void on_threads(int64_t pieces, size_t scratch_floats, const Piece &piece) {
  const auto each = static_cast<int64_t>(scratch_floats);
  const int64_t threads = std::min<int64_t>(at::get_num_threads(), pieces);
  at::Tensor scratch = at::empty({each * threads}, at::kFloat);
  float *const base = scratch.mutable_data_ptr<float>();
  sam_mm::in_pieces(pieces, [&](int64_t index, int64_t thread) { piece(static_cast<long>(index), base + each * thread); });
}

void run_windows(const Block &b) {
  const std::vector<Group> groups = groups_of(b, at::get_num_threads());
  const OfWindows most(b, tokens_of(groups.front()), nullptr);
  on_threads(static_cast<int64_t>(groups.size()), most.floats,
             [&](long index, float *scratch) { run_group(b, groups[static_cast<size_t>(index)], scratch); });
}

// Keys and values of the tokens from `first` on, at most a unit of them, to their place among all: (heads, floats of a head).
void load_keys(const Block &b, long first, long last, size_t of_head, float *all, float *base) {
  const OfTile s(b, base);
  const LinearProblem kv = linear_of(b.kv, b.map + first * b.dim, b.norm1, s.kv, Then::nothing);
  in_tiles(*b.linear, last - first, [&](long from, long to) { b.linear->linear(kv, from, to, s.linear); });
  AttentionProblem problem = attention_of_all(b, 0, nullptr);
  problem.keys_values = s.kv;
  problem.first_key = first;
  for (long head = 0; head < b.heads; head++) {
    b.attention->load_keys(problem, 0, head, first, last, all + static_cast<size_t>(head) * of_head);
  }
}

// A tile of tokens, which attend to all keys.
void run_tile(const Block &b, long first, long last, size_t of_head, const float *all, float *base) {
  const OfTile s(b, base);
  const long rows = last - first;
  const float *x = b.map + first * b.dim;
  float *out = b.out + first * b.out_dim;
  b.linear->linear(linear_of(b.q, x, b.norm1, s.q, Then::nothing), 0, rows, s.linear);
  const AttentionProblem problem = attention_of_all(b, first, s.q);
  for (long head = 0; head < b.heads; head++) {
    b.attention->run(problem, 0, head, first, last, all + static_cast<size_t>(head) * of_head, s.attention);
  }
  if (out != x) std::memcpy(out, x, static_cast<size_t>(rows * b.dim) * sizeof(float));
  b.linear->linear(linear_of(b.proj, s.q, kNoNorm, out, Then::sum), 0, rows, s.linear);
  b.linear->mlp({out, b.norm2, b.fc1, b.fc2}, 0, rows, s.linear);
}

void run_whole(const Block &b) {
  const AttentionProblem problem = attention_of_all(b, 0, nullptr);
  const long tokens = b.height * b.width;
  const size_t of_head = (b.attention->key_floats(problem) + 15) / 16 * 16;
  at::Tensor keys = at::empty({static_cast<int64_t>(of_head) * b.heads}, at::kFloat);
  float *const all = keys.mutable_data_ptr<float>();
  const OfTile scratch(b, nullptr);

  const long unit = b.attention->key_unit(problem);
  on_threads((tokens + unit - 1) / unit, scratch.floats, [&](long index, float *base) {
    const long first = index * unit;
    load_keys(b, first, std::min(first + unit, tokens), of_head, all, base);
  });
  const Tiles tiles(*b.linear, tokens, at::get_num_threads());
  on_threads(tiles.count, scratch.floats, [&](long index, float *base) {
    run_tile(b, static_cast<long>(tiles.first(index)), static_cast<long>(tiles.last(index)), of_head, all, base);
  });
}

void check_widths(const Block &b) {
  const auto fits = [](const Layer &layer, long inputs, long outputs) {
    return layer.inputs == inputs && layer.outputs == outputs;
  };
  TORCH_CHECK(fits(b.q, b.dim, b.out_dim) && fits(b.kv, b.dim, 2 * b.out_dim) && fits(b.proj, b.out_dim, b.out_dim) &&
                  fits(b.fc1, b.out_dim, b.fc2.inputs) && b.fc2.outputs == b.out_dim &&
                  (b.pool > 1 ? fits(b.residual, b.dim, b.out_dim) : b.dim == b.out_dim),
              "block: the layers do not follow one another from ", b.dim, " to ", b.out_dim, " channels");
  TORCH_CHECK(b.heads > 0 && b.out_dim % b.heads == 0, "block: ", b.out_dim, " channels in ", b.heads, " heads");
  TORCH_CHECK(b.window >= (b.pool > 1 ? 1 : 0) && b.window % b.pool == 0 && b.height % b.pool == 0 && b.width % b.pool == 0,
              "block: queries pooled by ", b.pool, " do not fit a map of ", b.height, "x", b.width,
              " in windows of ", b.window);
}

}  // namespace

extern "C" {

int32_t sam_mm_torch_hiera_block_run(const sam_mm_torch_hiera_block *block, const at::Tensor *map, const at::Tensor *out,
                                  const char *kernel_name, sam_mm_torch_error *error) {
  return sam_mm::guarded(error, [&] {
    Block b{};
    b.linear = &kernel_named(kernel_name);
    b.attention = sam_mm::attention::find_kernel(b.linear->name);
    TORCH_CHECK(b.attention, "block: attention has no kernel ", b.linear->name);
    TORCH_CHECK(map->dim() == 3 && map->numel() > 0, "block: a map has three axes, not ", map->sizes());
    b.height = map->size(0);
    b.width = map->size(1);
    b.dim = map->size(2);
    b.window = block->window;
    b.heads = block->heads;
    b.pool = block->residual ? 2 : 1;
    b.q = layer_of(*b.linear, block->q, "the layer of the queries");
    b.kv = layer_of(*b.linear, block->kv, "the layer of the keys and values");
    if (block->residual) b.residual = layer_of(*b.linear, *block->residual, "the layer of the residual");
    b.proj = layer_of(*b.linear, block->proj, "the layer after attention");
    b.fc1 = layer_of(*b.linear, block->fc1, "the first layer of the MLP");
    b.fc2 = layer_of(*b.linear, block->fc2, "the second layer of the MLP");
    b.out_dim = b.proj.outputs;
    check_widths(b);
    b.norm1 = norm_of(&block->norm1, b.dim);
    b.norm2 = norm_of(&block->norm2, b.out_dim);
    b.padding = values(block->padding, 2 * b.out_dim, "the padding");
    b.map = values(map, b.height * b.width * b.dim, "the map");
    b.out = values(out, b.height / b.pool * (b.width / b.pool) * b.out_dim, "the output");

    b.window > 0 ? run_windows(b) : run_whole(b);
  });
}

}  // extern "C"
