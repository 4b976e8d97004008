// What the processor at hand can run.
#pragma once

#include <cstring>
#include <initializer_list>

namespace sam_mm {

inline bool has_avx2() {
#if defined(__x86_64__) && defined(__GNUC__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return false;
#endif
}

inline bool has_avx512() {
#if defined(__x86_64__) && defined(__GNUC__)
  return has_avx2() && __builtin_cpu_supports("avx512f");
#else
  return false;
#endif
}

// Of kernels that have a name, the best first, the one of that name, or where there is no name the first; NULL when there is
// none. Those that this processor or this build lacks are NULL.
template <class Kernel>
const Kernel *first_named(std::initializer_list<const Kernel *> kernels, const char *name) {
  for (const Kernel *kernel : kernels) {
    if (kernel && (name == nullptr || std::strcmp(kernel->name, name) == 0)) return kernel;
  }
  return nullptr;
}

}  // namespace sam_mm
