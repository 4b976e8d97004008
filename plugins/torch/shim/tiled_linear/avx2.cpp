// x86-64 with AVX2 and FMA. 16 registers: 12 for products, 2 for the panel.
#if defined(__AVX2__) && defined(__FMA__)
#define SAM_MM_KERNEL avx2_kernel
#define SAM_MM_ISA "avx2"
#define SAM_MM_LANES 8
#define SAM_MM_ROWS 6
#define SAM_MM_VECTORS 2
#include "kernel.inc"
#else
#include "kernel.h"
namespace sam_mm {
namespace tiled_linear {
const LinearKernel *avx2_kernel() { return nullptr; }
}  // namespace tiled_linear
}  // namespace sam_mm
#endif
