// Attention on the CPU: checks the tensors, picks the kernel of this processor, shares the work among threads.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>

#include "../failure.h"
#include "../processor.h"
#include "kernel.h"

namespace sam_mm {
namespace attention {

const AttentionKernel *find_kernel(const char *name) {
  return first_named<AttentionKernel>(
      {has_avx512() ? avx512_kernel() : nullptr, has_avx2() ? avx2_kernel() : nullptr, portable_kernel()}, name);
}

}  // namespace attention
}  // namespace sam_mm

namespace {

using sam_mm::guarded;
using sam_mm::attention::AttentionKernel;
using sam_mm::attention::AttentionProblem;
using sam_mm::attention::find_kernel;
using sam_mm::attention::Window;

void check(const at::Tensor &tensor, at::IntArrayRef shape, const char *what) {
  TORCH_CHECK(tensor.device().is_cpu() && tensor.scalar_type() == at::kFloat && tensor.is_contiguous() &&
                  tensor.sizes() == shape,
              "attention: ", what, " must be a contiguous float tensor ", shape, " on the CPU, and is ",
              tensor.scalar_type(), " ", tensor.sizes());
}

// Floats, aligned to cache lines as tensors of libtorch are.
at::Tensor floats(size_t count) { return at::empty({static_cast<int64_t>(count)}, at::kFloat); }

at::Tensor packed_rel_pos(const AttentionKernel &kernel, const at::Tensor &table) {
  const long rows = table.size(0), dim = table.size(1);
  at::Tensor packed = floats(kernel.rel_pos_floats(rows, dim));
  kernel.pack_rel_pos(table.const_data_ptr<float>(), rows, dim, packed.mutable_data_ptr<float>());
  return packed;
}

// Runs all heads of all windows. A piece of work is a head of a window, or some of its queries where there are too few
// heads to keep all threads busy to the end.
void attend(const AttentionKernel &kernel, const AttentionProblem &problem) {
  const long across = (problem.grid_w + problem.window_w - 1) / problem.window_w;
  const long down = (problem.grid_h + problem.window_h - 1) / problem.window_h;
  const long windows = across * down;
  const long threads = at::get_num_threads();
  const long heads = windows * problem.heads;
  const long query_h = problem.window_h / problem.query_pool, query_w = problem.window_w / problem.query_pool;
  const long most_queries = std::min(query_h, problem.query_rows) * query_w;
  const long tiles = (most_queries + kernel.tile_queries - 1) / kernel.tile_queries;
  const long parts = std::clamp((4 * threads + heads - 1) / heads, 1L, tiles);
  const long part_queries = (tiles + parts - 1) / parts * kernel.tile_queries;

  const size_t of_keys = (kernel.key_floats(problem) + 15) / 16 * 16;
  const size_t each = of_keys + (kernel.scratch_floats(problem) + 15) / 16 * 16;
  at::Tensor scratch = floats(each * static_cast<size_t>(threads));
  float *const base = scratch.mutable_data_ptr<float>();
  at::parallel_for(0, heads * parts, 1, [&](int64_t begin, int64_t end) {
    float *const own = base + each * static_cast<size_t>(at::get_thread_num());
    int64_t loaded = -1;
    for (int64_t piece = begin; piece < end; piece++) {
      const int64_t pair = piece / parts;
      const long head = pair / windows, window = pair % windows;
      const long first = piece % parts * part_queries;
      const long last = std::min(first + part_queries, Window(problem, window).queries());
      if (first >= last) continue;
      if (pair != loaded) kernel.load_keys(problem, window, head, 0, problem.window_h * problem.window_w, own);
      loaded = pair;
      kernel.run(problem, window, head, first, last, own, own + of_keys);
    }
  });
}

}  // namespace

extern "C" {

int32_t sam_mm_torch_attention_has_kernel(const char *name) { return find_kernel(name) != nullptr; }

int32_t sam_mm_torch_attention(const at::Tensor *queries, int64_t query_row, const at::Tensor *keys_values,
                               const at::Tensor *padding, const at::Tensor *rel_h, const at::Tensor *rel_w,
                               int64_t window, int64_t query_pool, const char *kernel_name, at::Tensor **out,
                               sam_mm_torch_error *error) {
  return guarded(error, [&] {
    const AttentionKernel *kernel = find_kernel(kernel_name);
    TORCH_CHECK(kernel, "attention: this processor has no kernel ", kernel_name ? kernel_name : "");
    TORCH_CHECK(keys_values->dim() == 5 && queries->dim() == 4, "attention: keys and values must be (H, W, 2, heads, ",
                "head_dim) and queries (rows, W, heads, head_dim), and are ", keys_values->sizes(), " and ",
                queries->sizes());
    const int64_t h = keys_values->size(0), w = keys_values->size(1);
    const int64_t heads = keys_values->size(3), dim = keys_values->size(4), rows = queries->size(0);
    check(*keys_values, {h, w, 2, heads, dim}, "keys and values");
    const int64_t pool = query_pool;
    TORCH_CHECK(pool == 1 || (pool > 1 && h % pool == 0 && w % pool == 0 && window % pool == 0 && !rel_h),
                "attention: queries pooled by ", pool, " do not fit a grid of ", h, "x", w, " in windows of ", window);
    check(*queries, {rows, w / pool, heads, dim}, "queries");
    check(*padding, {2, heads, dim}, "padding");
    TORCH_CHECK(w > 0 && heads > 0 && dim > 0 && rows > 0 && window >= 0, "attention: there is nothing to attend to");
    TORCH_CHECK(query_row >= 0 && query_row + rows <= h / pool, "attention: the rows from ", query_row, " to ",
                query_row + rows, " are not on a grid of ", h / pool, " rows");
    const int64_t window_h = window == 0 ? h : window, window_w = window == 0 ? w : window;
    at::Tensor packed_h, packed_w;
    if (rel_h && rel_w) {
      check(*rel_h, {2 * window_h - 1, dim}, "rel_pos_h");
      check(*rel_w, {2 * window_w - 1, dim}, "rel_pos_w");
      packed_h = packed_rel_pos(*kernel, *rel_h);
      packed_w = packed_rel_pos(*kernel, *rel_w);
    }
    at::Tensor result = at::empty({rows, w / pool, heads * dim}, at::kFloat);
    AttentionProblem problem;
    problem.queries = queries->const_data_ptr<float>();
    problem.first_query = query_row * (w / pool);
    problem.query_rows = rows;
    problem.query_pool = pool;
    problem.keys_values = keys_values->const_data_ptr<float>();
    problem.first_key = 0;
    problem.padding = padding->const_data_ptr<float>();
    problem.rel_h = packed_h.defined() ? packed_h.const_data_ptr<float>() : nullptr;
    problem.rel_w = packed_w.defined() ? packed_w.const_data_ptr<float>() : nullptr;
    problem.out = result.mutable_data_ptr<float>();
    problem.grid_h = h;
    problem.grid_w = w;
    problem.window_h = window_h;
    problem.window_w = window_w;
    problem.heads = heads;
    problem.head_dim = dim;
    problem.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(dim)));
    attend(*kernel, problem);
    *out = new at::Tensor(std::move(result));
  });
}

}  // extern "C"
