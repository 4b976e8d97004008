// Passes over fp32 values in memory of which libtorch would make several: norms and activations between matrix
// products, and depthwise convolutions. For the CPU. They read and write plain, dense arrays, the channels last, and
// cannot fail. `threads` is how many threads of OpenMP may be used.
#pragma once

#include <cstdint>

extern "C" {

// Layer norm over rows of `width` values.
struct sam_mm_layer_norm {
  int64_t width;
  const float *weight;
  const float *bias;
  float eps;
};

// A 3x3 convolution of every channel by itself, with padding 1, for some rows of its output.
struct sam_mm_depthwise {
  int64_t channels;
  const float *weight;  // (3, 3, channels)
  const float *bias;    // (channels)
  int64_t stride;       // 1 or 2
  int64_t first;        // number of the input row that comes first
  int64_t rows;         // input rows that are there; others count as zeros
  int64_t width;        // columns of the input
  int64_t out_first;    // number of the first output row that is wanted
  int64_t out_rows;     // output rows that are wanted
  int64_t out_width;    // columns of the output
  int32_t gelu;         // non-zero: the exact GELU follows
};

// Products of rows of `width` values with some kernels.
struct sam_mm_gelu_products {
  int64_t width;
  const float *kernel;  // (kernels, width)
  int64_t kernels;
  int64_t stride;       // from the outputs of one kernel to those of the next
  const float *added;   // (rows, width), added to the rows before the GELU; NULL for none
};

// The norm of the input, or where `added` is not NULL of its sum with that, then the exact GELU. `output` may be `input`.
void sam_mm_torch_layer_norm_gelu(const sam_mm_layer_norm *norm, const float *input, const float *added, int64_t rows,
                                  float *output, int32_t threads);

// The norm to `output`, which may be `input`, and the same plus `added` to `sums`. `added` has `added_rows` rows and
// starts again when they are used up.
void sam_mm_torch_layer_norm_add(const sam_mm_layer_norm *norm, const float *input, int64_t rows, const float *added,
                                 int64_t added_rows, float *output, float *sums, int32_t threads);

void sam_mm_torch_depthwise(const sam_mm_depthwise *conv, const float *input, float *output, int32_t threads);

// The exact GELU of every row, or of its sum with that of `added`, times every kernel.
void sam_mm_torch_gelu_products(const sam_mm_gelu_products *products, const float *input, int64_t rows, float *output,
                                int32_t threads);

// The greatest of every 2x2 cells of (height, width, channels), whose sides are even, to (height / 2, width / 2, channels).
void sam_mm_torch_max_pool_2x2(const float *input, int64_t height, int64_t width, int64_t channels, float *output,
                               int32_t threads);
}
