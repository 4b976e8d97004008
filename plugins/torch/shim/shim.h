// What the plugin needs of libtorch beyond `tch`: memory figures, process-wide switches, prepacked matrix products.
//
// Every function catches every C++ exception. Functions that can fail return 0 on success and fill `error` otherwise.
// A tensor is an `at::Tensor *`, as in `torch-sys`; tensors passed in are borrowed, tensors handed out are owned.
#pragma once

#include <cstddef>
#include <cstdint>

namespace at {
class Tensor;
}

extern "C" {

// Kinds of failure.
enum : int32_t {
  SAM_MM_TORCH_OTHER = 1,
  SAM_MM_TORCH_OUT_OF_MEMORY = 2,
  SAM_MM_TORCH_DEVICE_LOST = 3,
};

// What an exception was.
struct sam_mm_torch_error {
  int32_t kind;
  int32_t has_requested;
  uint64_t requested_bytes;
  char message[2048];
};

// An allocation that failed on this thread.
struct sam_mm_torch_failed_allocation {
  uint64_t requested_bytes;
  uint64_t free_bytes;
  int32_t has_free;
};

// Figures of an allocator, in bytes.
struct sam_mm_torch_memory {
  uint64_t allocated;
  uint64_t peak_allocated;
  uint64_t reserved;
  uint64_t peak_reserved;
  uint64_t device_free;
  uint64_t device_total;
  int32_t has_device;
};

// failure.cpp
int32_t sam_mm_torch_take_failed_allocation(sam_mm_torch_failed_allocation *out);

// memory.cpp. A device of -1 is the CPU, 0 and up are ordinals of CUDA.
void *sam_mm_torch_scope_enter(sam_mm_torch_error *error);
void sam_mm_torch_scope_leave(void *scope);
void sam_mm_torch_cpu_set_limit(uint64_t bytes);
int32_t sam_mm_torch_memory_read(int32_t device, sam_mm_torch_memory *out, sam_mm_torch_error *error);
int32_t sam_mm_torch_memory_reset_peak(int32_t device, sam_mm_torch_error *error);
int32_t sam_mm_torch_memory_trim(int32_t device, uint64_t *freed, sam_mm_torch_error *error);
int32_t sam_mm_torch_allocator_settings(const char *settings, sam_mm_torch_error *error);

// runtime.cpp
const char *sam_mm_torch_version(void);
int32_t sam_mm_torch_set_num_threads(int32_t threads, sam_mm_torch_error *error);
int32_t sam_mm_torch_num_threads(void);
int32_t sam_mm_torch_allow_tf32(int32_t allow, sam_mm_torch_error *error);
int32_t sam_mm_torch_load_cuda(sam_mm_torch_error *error);
int32_t sam_mm_torch_cuda_device_count(int32_t *count, sam_mm_torch_error *error);

// linear.cpp
int32_t sam_mm_torch_linear_packs_bf16(int32_t *packs, sam_mm_torch_error *error);
int32_t sam_mm_torch_linear_pack(const at::Tensor *weight, int64_t rows, at::Tensor **out, sam_mm_torch_error *error);
int32_t sam_mm_torch_linear_run(const at::Tensor *x, const at::Tensor *packed, const at::Tensor *bias, int32_t gelu,
                                at::Tensor **out, sam_mm_torch_error *error);

// attention/attention.cpp. All tensors are contiguous fp32 on the CPU.
//
// Attention of `queries` (rows, W / query_pool, heads, head_dim), which are those of their grid's rows from `query_row` on,
// to `keys_values` (H, W, 2, heads, head_dim) within windows of `window` × `window` tokens; 0: the whole grid. `padding`
// (2, heads, head_dim) stands for tokens of a window beyond the grid. `rel_h` and `rel_w` (2 · side − 1, head_dim) are
// both NULL for no relative positions, and only then may queries lie on a coarser grid (`query_pool` above 1, which divides H,
// W and the window). `out` is (rows, W / query_pool, heads · head_dim). `kernel` NULL picks the best one.
int32_t sam_mm_torch_attention(const at::Tensor *queries, int64_t query_row, const at::Tensor *keys_values,
                               const at::Tensor *padding, const at::Tensor *rel_h, const at::Tensor *rel_w,
                               int64_t window, int64_t query_pool, const char *kernel, at::Tensor **out,
                               sam_mm_torch_error *error);
// Whether this processor has the kernel "portable", "avx2" or "avx512"; NULL: any.
int32_t sam_mm_torch_attention_has_kernel(const char *kernel);

// tiled_linear/tiled_linear.cpp. All tensors are contiguous fp32 on the CPU. `kernel` is "avx2" or "avx512"; NULL picks the
// best one that this processor has.
struct sam_mm_torch_tiled_layer {
  const at::Tensor *packed;  // a weight (outputs, inputs), packed for the same kernel
  const at::Tensor *bias;    // (outputs)
  int64_t inputs;
};
struct sam_mm_torch_tiled_norm {
  const at::Tensor *weight;  // (inputs)
  const at::Tensor *bias;    // (inputs)
  float eps;
};
// Whether this processor has that kernel; NULL: any.
int32_t sam_mm_torch_tiled_linear_has_kernel(const char *kernel);
// What inputs and outputs must be multiples of; 0 without the kernel.
int64_t sam_mm_torch_tiled_linear_width_unit(const char *kernel);
int32_t sam_mm_torch_tiled_linear_pack(const at::Tensor *weight, const char *kernel, at::Tensor **out,
                                       sam_mm_torch_error *error);
// One to three layers of the rows of `x` (…, inputs) after a layer norm (NULL: none), each to its `out` (…, outputs).
// `then` 0: as it is; 1: the exact GELU of it; 2: added to what is in `out`.
int32_t sam_mm_torch_tiled_linear(const at::Tensor *x, const sam_mm_torch_tiled_norm *norm, int64_t count,
                                  const sam_mm_torch_tiled_layer *layers, const at::Tensor *const *out, int32_t then,
                                  const char *kernel, sam_mm_torch_error *error);
// x (…, width) += fc2(gelu(fc1(norm(x)))), with the exact GELU.
int32_t sam_mm_torch_tiled_mlp(const at::Tensor *x, const sam_mm_torch_tiled_norm *norm,
                               const sam_mm_torch_tiled_layer *fc1, const sam_mm_torch_tiled_layer *fc2,
                               const char *kernel, sam_mm_torch_error *error);

// hiera_block/hiera_block.cpp. All tensors are contiguous fp32 on the CPU. A transformer block of Hiera (SAM 2,
// `MultiScaleBlock`) whose attention is within windows of `window` x `window` tokens; 0: of all to all.
struct sam_mm_torch_hiera_block {
  int64_t window, heads;
  sam_mm_torch_tiled_norm norm1;
  sam_mm_torch_tiled_layer q, kv;
  // Where queries are pooled: the projection of the normed map whose pooled values are the residual. NULL: they are not, and
  // the residual is the map itself.
  const sam_mm_torch_tiled_layer *residual;
  const at::Tensor *padding;  // (2, heads, head_dim): key and value of a token that pads a window beyond the map
  sam_mm_torch_tiled_layer proj;
  sam_mm_torch_tiled_norm norm2;
  sam_mm_torch_tiled_layer fc1, fc2;
};
// The block of `map` (H, W, dim) to `out`: where queries are pooled (H / 2, W / 2, C), of even sides within even windows, else of the
// map's shape; it may then be the map itself. `kernel` is "avx2" or "avx512"; NULL picks the best one.
int32_t sam_mm_torch_hiera_block_run(const sam_mm_torch_hiera_block *block, const at::Tensor *map, const at::Tensor *out,
                                  const char *kernel, sam_mm_torch_error *error);
}
