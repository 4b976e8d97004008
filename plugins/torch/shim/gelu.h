// The exact GELU, for a float or a vector of them. Inlined wherever it is used, so that it is compiled for the instruction set
// there.
#pragma once

#if defined(__GNUC__)
#define SAM_MM_INLINE inline __attribute__((always_inline))
#else
#define SAM_MM_INLINE inline
#endif

namespace sam_mm {

// erf as z·P(z²)/Q(z²), fitted for the least absolute error on [0, 3.92] (Lawson's iteration; 1.6e-8 in exact
// arithmetic, 3.6e-7 in fp32). Beyond, erf is 1 within 3e-8.
template <class T>
SAM_MM_INLINE T erf_of(T z) {
  constexpr float kEnd = 3.92f;
  z = z > kEnd ? T{} + kEnd : z;
  z = z < -kEnd ? T{} - kEnd : z;
  const T t = z * z;
  T p = t * 2.034726571e-06f + 2.874806239e-04f;
  p = p * t + 3.868378856e-03f;
  p = p * t + 5.306063837e-02f;
  p = p * t + 1.927652505e-01f;
  p = p * t + 1.128379022e+00f;
  T q = t * 3.807061911e-05f + 1.188127801e-03f;
  q = q * t + 1.517239824e-02f;
  q = q * t + 1.150851120e-01f;
  q = q * t + 5.041654213e-01f;
  q = q * t + 1.0f;
  return z * p / q;
}

// x·Φ(x).
template <class T>
SAM_MM_INLINE T gelu_of(T x) {
  constexpr float kSqrtHalf = 0.70710678118654752440f;
  return x * 0.5f * (erf_of(x * kSqrtHalf) + 1.0f);
}

}  // namespace sam_mm
