// How are 16-bit numbers read and written? Widened to float32 and rounded once, to nearest even.
#pragma once
#include <cstdint>
#include <cstring>

struct Bf16 { uint16_t bits; };
struct F16 { uint16_t bits; };
static inline uint32_t bits_of(float x) { uint32_t b; std::memcpy(&b, &x, 4); return b; }
static inline float float_of(uint32_t b) { float x; std::memcpy(&x, &b, 4); return x; }
static inline float wide(Bf16 x) { return float_of((uint32_t)x.bits << 16); }
static inline void narrow(Bf16* to, float x) {
  const uint32_t bits = bits_of(x), near = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  to->bits = (bits & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : near;
}
static inline float wide(F16 x) {
  const uint32_t size = x.bits & 0x7fff, sign = (uint32_t)(x.bits & 0x8000) << 16;
  const float finite = float_of(size << 13) * float_of(0x77800000);  // 2^112
  const uint32_t other = (size << 13) | 0x7f800000;
  return float_of(sign | (size >= 0x7c00 ? other : bits_of(finite)));
}
static inline void narrow(F16* to, float x) {
  const uint32_t bits = bits_of(x), sign = (bits >> 16) & 0x8000, size = bits & 0x7fffffff;
  // Below 2^-14: adding 1/2 leaves the bits of the subnormal at the end, rounded to nearest.
  const uint32_t small = bits_of(float_of(size) + 0.5f) - 0x3f000000;
  const uint32_t usual = (size - 0x38000000 + 0xfff + ((size >> 13) & 1)) >> 13;
  uint32_t near = size < 0x38800000 ? small : usual;
  near = size >= 0x477ff000 ? 0x7c00 : near;  // beyond 65504 by half a unit or more
  to->bits = (uint16_t)(sign | (size > 0x7f800000 ? 0x7e00 : near));
}
static inline float wide(float x) { return x; }
static inline void narrow(float* to, float x) { *to = x; }
static inline double wide(double x) { return x; }
static inline void narrow(double* to, double x) { *to = x; }

template <class S, class T> ONCE static void load(T* to, const S* from, Size n) {
  for (Size i = 0; i < n; i++) to[i] = wide(from[i]);
}
template <class S, class T> ONCE static void store(S* to, const T* from, Size n) {
  for (Size i = 0; i < n; i++) narrow(to + i, from[i]);
}
template <class P, class B> struct Same { enum { yes = 0 }; };
template <> struct Same<float, float> { enum { yes = 1 }; };
template <> struct Same<double, double> { enum { yes = 1 }; };

