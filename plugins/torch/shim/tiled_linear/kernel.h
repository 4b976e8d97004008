// Linear layers over rows of tokens, a tile of rows at a time that stays in the caches of a core: with a layer norm before
// and a GELU or a sum after, which then cost no pass over memory, and two layers in a row without the hidden layer ever
// being made. One implementation (`kernel.inc`), compiled once per instruction set.
#pragma once

#include <cstddef>

namespace sam_mm {
namespace tiled_linear {

// y = x Wᵀ + b.
struct Layer {
  // The weight, packed by `pack`.
  const float *panels;
  // (outputs)
  const float *bias;
  long inputs, outputs;
};

// Layer norm over a row; without a weight there is none.
struct Norm {
  const float *weight;
  const float *bias;
  float eps;
};

// What is made of the outputs.
enum class Then { nothing, gelu, sum };

constexpr long MOST_LAYERS = 3;

// Layers of the same rows: outₗ = layerₗ(norm(x)), or its GELU, or its sum with what is in outₗ.
struct LinearProblem {
  // (rows, inputs)
  const float *x;
  Norm norm;
  long count;
  Layer layers[MOST_LAYERS];
  // (rows, outputs)
  float *out[MOST_LAYERS];
  Then then;
};

// x += fc2(gelu(fc1(norm(x))))
struct MlpProblem {
  // (rows, inputs)
  float *x;
  Norm norm;
  Layer fc1, fc2;
};

// The tiles of one instruction set.
struct LinearKernel {
  // Name of the instruction set, for messages and tests.
  const char *name;
  // Most rows of a tile, and the unit that its rows should be a multiple of.
  long tile_rows, row_unit;
  // Widths of rows and outputs have to be a multiple of this.
  long width_unit;
  // Floats of a packed weight (outputs, inputs).
  size_t (*packed_floats)(long outputs, long inputs);
  void (*pack)(const float *weight, long outputs, long inputs, float *packed);
  // Floats of scratch memory, which is aligned to 64 bytes, for `linear` and for `mlp`.
  size_t (*linear_floats)(const LinearProblem &);
  size_t (*mlp_floats)(const MlpProblem &);
  // The rows [first, last), at most a tile of them.
  void (*linear)(const LinearProblem &, long first, long last, float *scratch);
  void (*mlp)(const MlpProblem &, long first, long last, float *scratch);
};

// One per instruction set; NULL where it was not compiled. There is none for other processors: oneDNN has better.
const LinearKernel *avx2_kernel();
const LinearKernel *avx512_kernel();

// The kernel of that name, or where there is no name the best one; NULL when this processor or this build has none.
const LinearKernel *find_kernel(const char *name);

}  // namespace tiled_linear
}  // namespace sam_mm
