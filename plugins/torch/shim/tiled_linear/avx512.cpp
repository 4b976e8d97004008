// x86-64 with AVX-512. 32 registers: 24 for products, 2 for the panel.
#if defined(__AVX512F__)
#define SAM_MM_KERNEL avx512_kernel
#define SAM_MM_ISA "avx512"
#define SAM_MM_LANES 16
#define SAM_MM_ROWS 12
#define SAM_MM_VECTORS 2
#include "kernel.inc"
#else
#include "kernel.h"
namespace sam_mm {
namespace tiled_linear {
const LinearKernel *avx512_kernel() { return nullptr; }
}  // namespace tiled_linear
}  // namespace sam_mm
#endif
