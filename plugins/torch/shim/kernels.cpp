#include "kernels.h"

#include <algorithm>
#include <cmath>

#include "gelu.h"

// Loops worth vectorising are compiled for several generations of processors, and the best that the machine has is
// chosen when the library is loaded. With other compilers and processors the plain build serves.
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__linux__)
#define SAM_MM_VECTOR __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define SAM_MM_VECTOR
#endif

namespace {

using sam_mm::gelu_of;

// Rows that are worth a thread of their own.
constexpr int64_t kRowsPerThread = 64;

struct Range {
  int64_t first;
  int64_t end;
};

// Runs `body` on parts of `rows`, each on a thread.
template <class Body>
void in_parallel(int64_t rows, int64_t rows_per_thread, int32_t threads, const Body &body) {
  const int64_t parts = std::clamp<int64_t>(rows / rows_per_thread, 1, std::max(threads, 1));
#pragma omp parallel for num_threads(static_cast<int>(parts)) schedule(static, 1)
  for (int64_t part = 0; part < parts; ++part) body(Range{rows * part / parts, rows * (part + 1) / parts});
}

struct Moments {
  float mean;
  float inverse_deviation;
};

SAM_MM_INLINE Moments moments_of(const float *x, int64_t width, float eps) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < width; ++i) sum += x[i];
  const float mean = sum / static_cast<float>(width);
  float squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int64_t i = 0; i < width; ++i) squares += (x[i] - mean) * (x[i] - mean);
  return {mean, 1.0f / std::sqrt(squares / static_cast<float>(width) + eps)};
}

SAM_MM_VECTOR
void norm_gelu_rows(const sam_mm_layer_norm &norm, const float *input, const float *added, Range rows, float *output) {
  const int64_t width = norm.width;
  for (int64_t row = rows.first; row < rows.end; ++row) {
    const float *x = input + row * width;
    float *y = output + row * width;
    if (added != nullptr) {
      const float *a = added + row * width;
#pragma omp simd
      for (int64_t i = 0; i < width; ++i) y[i] = x[i] + a[i];
      x = y;
    }
    const Moments m = moments_of(x, width, norm.eps);
#pragma omp simd
    for (int64_t i = 0; i < width; ++i) {
      y[i] = gelu_of((x[i] - m.mean) * m.inverse_deviation * norm.weight[i] + norm.bias[i]);
    }
  }
}

SAM_MM_VECTOR
void norm_add_rows(const sam_mm_layer_norm &norm, const float *input, Range rows, const float *added,
                   int64_t added_rows, float *output, float *sums) {
  const int64_t width = norm.width;
  for (int64_t row = rows.first; row < rows.end; ++row) {
    const float *x = input + row * width;
    const float *a = added + row % added_rows * width;
    float *y = output + row * width;
    float *sum = sums + row * width;
    const Moments m = moments_of(x, width, norm.eps);
#pragma omp simd
    for (int64_t i = 0; i < width; ++i) {
      const float value = (x[i] - m.mean) * m.inverse_deviation * norm.weight[i] + norm.bias[i];
      y[i] = value;
      sum[i] = value + a[i];
    }
  }
}

// `Count` neighbouring output cells, away from the edges, share the columns that they have in common.
template <int Count, int Stride, bool Gelu>
SAM_MM_INLINE void depthwise_cells(const float *const rows[3], int64_t at, const sam_mm_depthwise &conv, float *out) {
  constexpr int kColumns = (Count - 1) * Stride + 3;
  const int64_t channels = conv.channels;
#pragma omp simd
  for (int64_t c = 0; c < channels; ++c) {
    float sums[Count];
    for (int n = 0; n < Count; ++n) sums[n] = conv.bias[c];
    for (int r = 0; r < 3; ++r) {
      float columns[kColumns];
      for (int k = 0; k < kColumns; ++k) columns[k] = rows[r][at + k * channels + c];
      for (int k = 0; k < 3; ++k) {
        const float tap = conv.weight[(3 * r + k) * channels + c];
        for (int n = 0; n < Count; ++n) sums[n] += columns[n * Stride + k] * tap;
      }
    }
    for (int n = 0; n < Count; ++n) out[n * channels + c] = Gelu ? gelu_of(sums[n]) : sums[n];
  }
}

// An output cell at an edge, where taps are missing: those are NULL.
template <bool Gelu>
SAM_MM_INLINE void depthwise_edge(const float *const taps[9], const sam_mm_depthwise &conv, float *out) {
  const int64_t channels = conv.channels;
  std::copy(conv.bias, conv.bias + channels, out);
  for (int tap = 0; tap < 9; ++tap) {
    const float *x = taps[tap];
    const float *weight = conv.weight + tap * channels;
    if (x == nullptr) continue;
#pragma omp simd
    for (int64_t c = 0; c < channels; ++c) out[c] += x[c] * weight[c];
  }
  if (Gelu) {
#pragma omp simd
    for (int64_t c = 0; c < channels; ++c) out[c] = gelu_of(out[c]);
  }
}

template <int Stride, bool Gelu>
SAM_MM_INLINE void depthwise_row(const sam_mm_depthwise &conv, const float *const rows[3], float *out) {
  // As many cells as leave registers for their sums and columns.
  constexpr int kTogether = Stride == 1 ? 4 : 2;
  const bool whole = rows[0] && rows[1] && rows[2];
  int64_t x = 0;
  while (x < conv.out_width) {
    const int64_t column = x * Stride - 1;
    const int64_t last = column + (kTogether - 1) * Stride + 2;
    if (whole && column >= 0 && last < conv.width && x + kTogether <= conv.out_width) {
      depthwise_cells<kTogether, Stride, Gelu>(rows, column * conv.channels, conv, out + x * conv.channels);
      x += kTogether;
      continue;
    }
    const float *taps[9];
    for (int tap = 0; tap < 9; ++tap) {
      const int64_t k = column + tap % 3;
      const bool inside = rows[tap / 3] != nullptr && k >= 0 && k < conv.width;
      taps[tap] = inside ? rows[tap / 3] + k * conv.channels : nullptr;
    }
    depthwise_edge<Gelu>(taps, conv, out + x * conv.channels);
    ++x;
  }
}

SAM_MM_VECTOR
void depthwise_rows(const sam_mm_depthwise &conv, const float *input, Range outputs, float *output) {
  for (int64_t y = outputs.first; y < outputs.end; ++y) {
    const float *rows[3];
    for (int r = 0; r < 3; ++r) {
      const int64_t row = (conv.out_first + y) * conv.stride - 1 + r - conv.first;
      rows[r] = row >= 0 && row < conv.rows ? input + row * conv.width * conv.channels : nullptr;
    }
    float *out = output + y * conv.out_width * conv.channels;
    if (conv.stride == 1 && conv.gelu) {
      depthwise_row<1, true>(conv, rows, out);
    } else if (conv.stride == 1) {
      depthwise_row<1, false>(conv, rows, out);
    } else if (conv.gelu) {
      depthwise_row<2, true>(conv, rows, out);
    } else {
      depthwise_row<2, false>(conv, rows, out);
    }
  }
}

// Values of a row whose GELU is kept at a time.
constexpr int64_t kBlock = 64;

SAM_MM_VECTOR
void gelu_products_rows(const sam_mm_gelu_products &products, const float *input, Range rows, float *output) {
  const int64_t width = products.width;
  for (int64_t row = rows.first; row < rows.end; ++row) {
    const float *x = input + row * width;
    float *out = output + row;
    for (int64_t n = 0; n < products.kernels; ++n) out[n * products.stride] = 0;
    for (int64_t start = 0; start < width; start += kBlock) {
      const int64_t count = std::min(kBlock, width - start);
      float active[kBlock];
      std::copy(x + start, x + start + count, active);
      if (products.added != nullptr) {
        const float *added = products.added + row * width + start;
#pragma omp simd
        for (int64_t i = 0; i < count; ++i) active[i] += added[i];
      }
#pragma omp simd
      for (int64_t i = 0; i < count; ++i) active[i] = gelu_of(active[i]);
      for (int64_t n = 0; n < products.kernels; ++n) {
        const float *kernel = products.kernel + n * width + start;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < count; ++i) sum += active[i] * kernel[i];
        out[n * products.stride] += sum;
      }
    }
  }
}

SAM_MM_VECTOR
void max_pool_rows(const float *input, int64_t width, int64_t channels, Range outputs, float *output) {
  for (int64_t y = outputs.first; y < outputs.end; ++y) {
    for (int64_t x = 0; x < width / 2; ++x) {
      const float *up = input + (2 * y * width + 2 * x) * channels;
      const float *down = up + width * channels;
      float *out = output + (y * (width / 2) + x) * channels;
#pragma omp simd
      for (int64_t c = 0; c < channels; ++c) {
        const float above = up[c] > up[c + channels] ? up[c] : up[c + channels];
        const float below = down[c] > down[c + channels] ? down[c] : down[c + channels];
        out[c] = above > below ? above : below;
      }
    }
  }
}

}  // namespace

extern "C" {

void sam_mm_torch_layer_norm_gelu(const sam_mm_layer_norm *norm, const float *input, const float *added, int64_t rows,
                                  float *output, int32_t threads) {
  in_parallel(rows, kRowsPerThread, threads, [&](Range part) { norm_gelu_rows(*norm, input, added, part, output); });
}

void sam_mm_torch_layer_norm_add(const sam_mm_layer_norm *norm, const float *input, int64_t rows, const float *added,
                                 int64_t added_rows, float *output, float *sums, int32_t threads) {
  in_parallel(rows, kRowsPerThread, threads,
              [&](Range part) { norm_add_rows(*norm, input, part, added, added_rows, output, sums); });
}

void sam_mm_torch_depthwise(const sam_mm_depthwise *conv, const float *input, float *output, int32_t threads) {
  in_parallel(conv->out_rows, 1, threads, [&](Range part) { depthwise_rows(*conv, input, part, output); });
}

void sam_mm_torch_gelu_products(const sam_mm_gelu_products *products, const float *input, int64_t rows, float *output,
                                int32_t threads) {
  in_parallel(rows, kRowsPerThread, threads, [&](Range part) { gelu_products_rows(*products, input, part, output); });
}

void sam_mm_torch_max_pool_2x2(const float *input, int64_t height, int64_t width, int64_t channels, float *output,
                               int32_t threads) {
  in_parallel(height / 2, 1, threads, [&](Range part) { max_pool_rows(input, width, channels, part, output); });
}
}
