// Transformer blocks with attention within windows. A thread takes a few windows at a time through the whole block, from the
// first norm to the end of the MLP: what lies between stays in the caches of its core, no thread waits for another before
// the map is done, and no map of queries, keys or values is ever made.
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
  long window, heads, pool;
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

// All windows, the largest groups first, so that no thread is left with one when the others are done.
std::vector<Group> groups_of(const Block &b) {
  const long most = b.pool > 1 ? kPooledTokens : kTokens;
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

// Where things lie in the scratch memory of a thread. Rows of tokens are window after window, row after row of each.
struct Scratch {
  float *x;          // (tokens, dim), and after the attention the sums, if queries are not pooled
  float *q;          // (tokens, out_dim), and after the attention what the queries attend to
  float *kv;         // (tokens, 2 · out_dim)
  float *residual;   // (tokens, out_dim), where queries are pooled
  float *pooled_q;   // (tokens / 4, out_dim), likewise
  float *sums;       // (tokens / 4, out_dim), likewise
  float *linear;     // of the kernels
  float *attention;
  size_t floats = 0;

  Scratch(const Block &b, long tokens, float *base) {
    const auto take = [&](size_t count) {
      float *start = base + floats;
      floats += (count + 15) / 16 * 16;
      return start;
    };
    const auto rows = static_cast<size_t>(tokens), wide = static_cast<size_t>(b.out_dim);
    x = take(rows * static_cast<size_t>(b.dim));
    q = take(rows * wide);
    kv = take(rows * 2 * wide);
    const size_t pooled = b.pool > 1 ? rows / 4 * wide : 0;
    residual = take(b.pool > 1 ? rows * wide : 0);
    pooled_q = take(pooled);
    sums = take(pooled);
    LinearProblem widest{};
    widest.layers[0] = b.dim > b.out_dim ? b.q : b.proj;
    const MlpProblem mlp{nullptr, b.norm2, b.fc1, b.fc2};
    linear = take(std::max(b.linear->linear_floats(widest), b.linear->mlp_floats(mlp)));
    attention = take(b.attention->scratch_floats(attention_of(b, {0, 0, b.window, b.window}, nullptr, nullptr)));
  }

  // A window by itself.
  static AttentionProblem attention_of(const Block &b, const Window &window, float *queries, const float *keys_values) {
    AttentionProblem problem{};
    problem.queries = queries;
    problem.query_rows = window.h / b.pool;
    problem.query_pool = b.pool;
    problem.keys_values = keys_values;
    problem.padding = b.padding;
    // A tile of queries is copied before anything is written in its place.
    problem.out = queries;
    problem.grid_h = window.h;
    problem.grid_w = window.w;
    problem.window_h = problem.window_w = b.window;
    problem.heads = b.heads;
    problem.head_dim = b.out_dim / b.heads;
    problem.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(problem.head_dim)));
    return problem;
  }
};

// Calls `tile(first, last)` for all rows, on this thread.
template <class Tile>
void in_tiles(const LinearKernel &kernel, long rows, const Tile &tile) {
  const Tiles tiles(kernel, rows, 1);
  for (long index = 0; index < tiles.count; index++) tile(tiles.first(index), tiles.last(index));
}

// Copies a window between the map (rows of `row` floats) and the scratch memory, a row at a time.
template <class Copy>
void on_rows(const Window &window, long scale, long map_width, long dim, const Copy &copy) {
  const long w = window.w / scale;
  for (long r = 0; r < window.h / scale; r++) {
    copy(((window.y / scale + r) * map_width + window.x / scale) * dim, r * w * dim, w * dim);
  }
}

void run(const Block &b, const Group &group, float *base) {
  const long tokens = tokens_of(group);
  const Scratch s(b, tokens, base);
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
        Scratch::attention_of(b, window, queries + before / area * b.out_dim, s.kv + before * 2 * b.out_dim);
    for (long head = 0; head < b.heads; head++) {
      b.attention->load_keys(problem, 0, head, s.attention);
      b.attention->run(problem, 0, head, 0, window.tokens() / area, s.attention);
    }
    before += window.tokens();
  }

  const long rows = tokens / area;
  const LinearProblem proj{queries, {nullptr, nullptr, 0.0f}, 1, {b.proj}, {sums}, Then::sum};
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

void run_windows(const Block &b) {
  const std::vector<Group> groups = groups_of(b);
  const auto each = static_cast<int64_t>(Scratch(b, tokens_of(groups.front()), nullptr).floats);
  at::Tensor scratch = at::empty({each * at::get_num_threads()}, at::kFloat);
  float *const base = scratch.mutable_data_ptr<float>();
  sam_mm::in_pieces(static_cast<int64_t>(groups.size()), [&](int64_t index, int64_t thread) {
    run(b, groups[static_cast<size_t>(index)], base + each * thread);
  });
}

void check_widths(const Block &b) {
  const auto fits = [](const Layer &layer, long inputs, long outputs) {
    return layer.inputs == inputs && layer.outputs == outputs;
  };
  TORCH_CHECK(fits(b.q, b.dim, b.out_dim) && fits(b.kv, b.dim, 2 * b.out_dim) && fits(b.proj, b.out_dim, b.out_dim) &&
                  fits(b.fc1, b.out_dim, b.fc2.inputs) && b.fc2.outputs == b.out_dim &&
                  (b.pool > 1 ? fits(b.residual, b.dim, b.out_dim) : b.dim == b.out_dim),
              "window block: the layers do not follow one another from ", b.dim, " to ", b.out_dim, " channels");
  TORCH_CHECK(b.heads > 0 && b.out_dim % b.heads == 0, "window block: ", b.out_dim, " channels in ", b.heads, " heads");
  TORCH_CHECK(b.window > 0 && b.window % b.pool == 0 && b.height % b.pool == 0 && b.width % b.pool == 0,
              "window block: queries pooled by ", b.pool, " do not fit a map of ", b.height, "x", b.width,
              " in windows of ", b.window);
}

}  // namespace

extern "C" {

int32_t sam_mm_torch_window_block_run(const sam_mm_torch_window_block *block, const at::Tensor *map, const at::Tensor *out,
                                  const char *kernel_name, sam_mm_torch_error *error) {
  return sam_mm::guarded(error, [&] {
    Block b{};
    b.linear = &kernel_named(kernel_name);
    b.attention = sam_mm::attention::find_kernel(b.linear->name);
    TORCH_CHECK(b.attention, "window block: attention has no kernel ", b.linear->name);
    TORCH_CHECK(map->dim() == 3 && map->numel() > 0, "window block: a map has three axes, not ", map->sizes());
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

    run_windows(b);
  });
}

}  // extern "C"
