// From tensors, which are checked, to what the kernels of `kernel.h` take, and rows to tiles of them.
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>

#include "../shim.h"
#include "kernel.h"

namespace sam_mm {
namespace tiled_linear {

inline const LinearKernel &kernel_named(const char *name) {
  const LinearKernel *kernel = find_kernel(name);
  TORCH_CHECK(kernel, "tiled linear layers: this processor has no kernel ", name ? name : "");
  return *kernel;
}

// The values of a dense tensor with that many elements.
inline float *values(const at::Tensor *tensor, int64_t count, const char *what) {
  const bool dense = tensor->device().is_cpu() && tensor->scalar_type() == at::kFloat && tensor->is_contiguous();
  TORCH_CHECK(dense && tensor->numel() == count, "tiled linear layers: ", what, " must be a contiguous float tensor of ",
              count, " elements on the CPU, and is ", tensor->scalar_type(), " ", tensor->sizes());
  return tensor->mutable_data_ptr<float>();
}

inline Layer layer_of(const LinearKernel &kernel, const sam_mm_torch_tiled_layer &given, const char *what) {
  const int64_t outputs = given.bias->numel();
  TORCH_CHECK(outputs % kernel.width_unit == 0 && given.inputs % kernel.width_unit == 0, "tiled linear layers: ", what,
              " has ", given.inputs, " inputs and ", outputs, " outputs, which must be multiples of ", kernel.width_unit);
  const auto packed = static_cast<int64_t>(kernel.packed_floats(outputs, given.inputs));
  return {values(given.packed, packed, what), values(given.bias, outputs, "a bias"), given.inputs, outputs};
}

inline Norm norm_of(const sam_mm_torch_tiled_norm *given, int64_t width) {
  if (!given) return {nullptr, nullptr, 0.0f};
  return {values(given->weight, width, "the weight of a norm"), values(given->bias, width, "the bias of a norm"),
          given->eps};
}

// How rows are cut into tiles: none larger than the kernel takes, all of about one size, and their number a multiple of
// `threads` where there are as many.
struct Tiles {
  int64_t rows, row_unit, units, count;

  Tiles(const LinearKernel &kernel, int64_t rows, int64_t threads) : rows(rows), row_unit(kernel.row_unit) {
    units = (rows + row_unit - 1) / row_unit;
    const int64_t most_units = kernel.tile_rows / row_unit;
    count = (units + most_units - 1) / most_units;
    count = std::min((count + threads - 1) / threads * threads, units);
  }

  int64_t first(int64_t index) const { return units * index / count * row_unit; }
  int64_t last(int64_t index) const { return std::min(first(index + 1), rows); }
};

}  // namespace tiled_linear
}  // namespace sam_mm
