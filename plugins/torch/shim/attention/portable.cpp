// For every processor, given a compiler with vector types: 128-bit vectors, which it maps to SSE2, NEON or plain floats.
#if defined(__GNUC__)
#define SAM_MM_KERNEL portable_kernel
#define SAM_MM_ISA "portable"
#define SAM_MM_LANES 4
#if defined(__aarch64__)
// 32 registers: 24 for products, 4 for the panel.
#define SAM_MM_ROWS 6
#define SAM_MM_VECTORS 4
#else
#define SAM_MM_ROWS 6
#define SAM_MM_VECTORS 2
#endif
#include "kernel.inc"
#else
#include "kernel.h"
namespace sam_mm {
namespace attention {
const AttentionKernel *portable_kernel() { return nullptr; }
}  // namespace attention
}  // namespace sam_mm
#endif
