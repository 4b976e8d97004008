// Linear layers in tiles: checks the tensors, picks the kernel of this processor, shares the rows among threads.
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include "../failure.h"
#include "../parallel.h"
#include "../processor.h"
#include "../shim.h"
#include "kernel.h"
#include "tensors.h"

namespace sam_mm {
namespace tiled_linear {

const LinearKernel *find_kernel(const char *name) {
  return first_named<LinearKernel>(
      {has_avx512() ? avx512_kernel() : nullptr, has_avx2() ? avx2_kernel() : nullptr}, name);
}

}  // namespace tiled_linear
}  // namespace sam_mm

namespace {

using sam_mm::guarded;
using namespace sam_mm::tiled_linear;

// Runs `tile(first, last, scratch)` on all rows, on all threads.
template <class Tile>
void on_tiles(const LinearKernel &kernel, int64_t rows, size_t scratch_floats, const Tile &tile) {
  const int64_t threads = at::get_num_threads();
  const Tiles tiles(kernel, rows, threads);
  const auto each = static_cast<int64_t>((scratch_floats + 15) / 16 * 16);
  at::Tensor scratch = at::empty({each * threads}, at::kFloat);
  float *const base = scratch.mutable_data_ptr<float>();
  sam_mm::in_pieces(tiles.count, [&](int64_t index, int64_t thread) {
    tile(tiles.first(index), tiles.last(index), base + each * thread);
  });
}

}  // namespace

extern "C" {

int32_t sam_mm_torch_tiled_linear_has_kernel(const char *name) { return find_kernel(name) != nullptr; }

int64_t sam_mm_torch_tiled_linear_width_unit(const char *name) {
  const LinearKernel *kernel = find_kernel(name);
  return kernel ? kernel->width_unit : 0;
}

int32_t sam_mm_torch_tiled_linear_pack(const at::Tensor *weight, const char *kernel_name, at::Tensor **out,
                                       sam_mm_torch_error *error) {
  return guarded(error, [&] {
    const LinearKernel &kernel = kernel_named(kernel_name);
    TORCH_CHECK(weight->dim() == 2, "tiled linear layers: a weight has two axes, not ", weight->sizes());
    const int64_t outputs = weight->size(0), inputs = weight->size(1);
    const float *from = values(weight, outputs * inputs, "a weight");
    at::Tensor packed = at::empty({static_cast<int64_t>(kernel.packed_floats(outputs, inputs))}, at::kFloat);
    kernel.pack(from, outputs, inputs, packed.mutable_data_ptr<float>());
    *out = new at::Tensor(std::move(packed));
  });
}

int32_t sam_mm_torch_tiled_linear(const at::Tensor *x, const sam_mm_torch_tiled_norm *norm, int64_t count,
                                  const sam_mm_torch_tiled_layer *layers, const at::Tensor *const *out, int32_t then,
                                  const char *kernel_name, sam_mm_torch_error *error) {
  return guarded(error, [&] {
    const LinearKernel &kernel = kernel_named(kernel_name);
    TORCH_CHECK(count > 0 && count <= MOST_LAYERS, "tiled linear layers: 1 to ", MOST_LAYERS, " at a time, not ", count);
    const int64_t width = layers[0].inputs;
    TORCH_CHECK(width > 0 && x->dim() > 0 && x->size(-1) == width, "tiled linear layers: rows of ", width,
                " values are needed, not ", x->sizes());
    const int64_t rows = x->numel() / width;
    LinearProblem problem;
    problem.x = values(x, rows * width, "the input");
    problem.norm = norm_of(norm, width);
    problem.count = count;
    for (int64_t l = 0; l < count; l++) {
      TORCH_CHECK(layers[l].inputs == width, "tiled linear layers: of the same rows, but ", width, " and ",
                  layers[l].inputs, " inputs");
      problem.layers[l] = layer_of(kernel, layers[l], "a weight");
      problem.out[l] = values(out[l], rows * problem.layers[l].outputs, "an output");
    }
    problem.then = static_cast<Then>(then);
    on_tiles(kernel, rows, kernel.linear_floats(problem), [&](int64_t first, int64_t last, float *scratch) {
      kernel.linear(problem, first, last, scratch);
    });
  });
}

int32_t sam_mm_torch_tiled_mlp(const at::Tensor *x, const sam_mm_torch_tiled_norm *norm,
                               const sam_mm_torch_tiled_layer *fc1, const sam_mm_torch_tiled_layer *fc2,
                               const char *kernel_name, sam_mm_torch_error *error) {
  return guarded(error, [&] {
    const LinearKernel &kernel = kernel_named(kernel_name);
    MlpProblem problem;
    problem.fc1 = layer_of(kernel, *fc1, "the first weight");
    problem.fc2 = layer_of(kernel, *fc2, "the second weight");
    const int64_t width = problem.fc1.inputs;
    TORCH_CHECK(problem.fc2.inputs == problem.fc1.outputs && problem.fc2.outputs == width && x->dim() > 0 &&
                    x->size(-1) == width,
                "tiled linear layers: an MLP from ", width, " over ", problem.fc1.outputs, " to ", problem.fc2.outputs,
                " does not fit rows ", x->sizes());
    const int64_t rows = x->numel() / width;
    problem.x = values(x, rows * width, "the input");
    problem.norm = norm_of(norm, width);
    on_tiles(kernel, rows, kernel.mlp_floats(problem), [&](int64_t first, int64_t last, float *scratch) {
      kernel.mlp(problem, first, last, scratch);
    });
  });
}

}  // extern "C"
