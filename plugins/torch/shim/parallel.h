// Pieces of work on the threads of libtorch.
#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace sam_mm {

// Calls `run(piece, thread)` for every piece, and returns when all are done. With OpenMP whoever is done takes the next
// piece, so that a thread that the system holds up does not hold up the others. `run` must not throw.
template <class Run>
void in_pieces(int64_t pieces, const Run &run) {
#if defined(_OPENMP)
  const int threads = static_cast<int>(std::min<int64_t>(at::get_num_threads(), pieces));
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1) if (threads > 1)
  for (int64_t piece = 0; piece < pieces; piece++) run(piece, omp_get_thread_num());
#else
  at::parallel_for(0, pieces, 1, [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; piece++) run(piece, at::get_thread_num());
  });
#endif
}

}  // namespace sam_mm
