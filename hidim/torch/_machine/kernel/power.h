// How is x^power taken in vectors? By polynomials, since the library's does not vectorise.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

typedef int64_t Size;

// x^power for x >= 1, x < 2^24, |power| <= 4 by polynomials (the library's does not vectorise):
// x = 2^e z, log2 z by one of degree 7, 2^r for |r| <= 1/2 by one of degree 5. Relative error
// 5e-7 for powers up to 1/4, 1e-6 at 1.
static inline float power_of(float x, float power) {
  uint32_t bits; std::memcpy(&bits, &x, 4);
  const float e = (float)((int32_t)(bits >> 23) - 127);
  bits = (bits & 0x7fffff) | 0x3f800000;
  float z; std::memcpy(&z, &bits, 4);
  const float f = z - 1.5f, f2 = f * f;
  const float a0 = 0.584962765f + f * 0.961795972f, a1 = -0.320632333f + f * 0.14252637f;
  const float a2 = -0.0705896757f + f * 0.0374629375f, a3 = -0.0251232033f + f * 0.0147787208f;
  const float y = power * (e + ((a0 + f2 * a1) + (f2 * f2) * (a2 + f2 * a3)));
  const float shifted = y + 12582912.0f;  // 1.5 * 2^23: the last bits are y to nearest
  const float r = y - (shifted - 12582912.0f), r2 = r * r;
  uint32_t n; std::memcpy(&n, &shifted, 4);
  const float b0 = 1.00000008f + r * 0.693147207f, b1 = 0.240221074f + r * 0.0555032721f;
  const float b2 = 0.0096760371f + r * 0.00134004322f;
  const float q = (b0 + r2 * b1) + (r2 * r2) * b2;
  uint32_t scaled; std::memcpy(&scaled, &q, 4);
  scaled += n << 23;
  float result; std::memcpy(&result, &scaled, 4);
  return result;
}
static inline double power_of(double x, double power) { return std::pow(x, power); }

// For power in [0, 1]: x = 2^e z; z^power by a polynomial made anew for each call (7 Chebyshev
// nodes, relative error 2e-7), 2^(e power) by two look-ups.
struct Power {
  float poly[7], low[16], high[16];
  double power;
  explicit Power(double given) : power(given) {
    double cheb[7], mono[7] = {0}, before[8] = {1}, now[8] = {0, 1};
    const double step = 3.14159265358979323846 / 14;
    for (int k = 0; k < 7; k++) {
      cheb[k] = 0;
      for (int j = 0; j < 7; j++)
        cheb[k] += std::pow(1.5 + 0.5 * std::cos(step * (2 * j + 1)), power) *
                   std::cos(step * k * (2 * j + 1)) * (k ? 2 : 1) / 7;
    }
    for (int k = 0; k < 7; k++) {  // before = T_k, now = T_(k+1)
      for (int i = 0; i <= k; i++) mono[i] += cheb[k] * before[i];
      for (int i = 7; i >= 0; i--) {
        const double next = (i ? 2 * now[i - 1] : 0) - before[i];
        before[i] = now[i];
        now[i] = next;
      }
    }
    for (int k = 0; k < 7; k++) poly[k] = (float)(mono[k] * (1 << k));  // in z - 1.5
    for (int k = 0; k < 16; k++) {
      low[k] = (float)std::exp2(power * (k % 8));
      high[k] = (float)std::exp2(power * 8 * (k % 8));
    }
  }
};

#if defined(__AVX512F__)
// Of two, one of which is no number, min and max give the second.
typedef __m512 Vector;
static inline Vector all(float x) { return _mm512_set1_ps(x); }
static inline Vector at(const float* x) { return _mm512_loadu_ps(x); }
static inline void put(float* x, Vector v) { _mm512_storeu_ps(x, v); }
static inline Vector least(Vector a, Vector b) { return _mm512_min_ps(a, b); }
static inline Vector most(Vector a, Vector b) { return _mm512_max_ps(a, b); }
static inline Vector near_rsqrt(Vector x) { return _mm512_rsqrt14_ps(x); }
static inline Vector exponent(Vector x, const Power& p, Vector* z) {
  const __m512i bits = _mm512_castps_si512(x), e = _mm512_srli_epi32(bits, 23);
  const __m512i unit = _mm512_or_si512(_mm512_and_si512(bits, _mm512_set1_epi32(0x7fffff)),
                                       _mm512_set1_epi32(0x3f800000));
  *z = _mm512_castsi512_ps(unit);
  const __m512i place = _mm512_sub_epi32(e, _mm512_set1_epi32(127));
  return _mm512_mul_ps(
      _mm512_permutexvar_ps(place, _mm512_loadu_ps(p.low)),
      _mm512_permutexvar_ps(_mm512_srli_epi32(place, 3), _mm512_loadu_ps(p.high)));
}
#elif defined(__AVX2__)
typedef __m256 Vector;
static inline Vector all(float x) { return _mm256_set1_ps(x); }
static inline Vector at(const float* x) { return _mm256_loadu_ps(x); }
static inline void put(float* x, Vector v) { _mm256_storeu_ps(x, v); }
static inline Vector least(Vector a, Vector b) { return _mm256_min_ps(a, b); }
static inline Vector most(Vector a, Vector b) { return _mm256_max_ps(a, b); }
static inline Vector near_rsqrt(Vector x) { return _mm256_rsqrt_ps(x); }
static inline Vector exponent(Vector x, const Power& p, Vector* z) {
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i place = _mm256_sub_epi32(_mm256_srli_epi32(bits, 23), _mm256_set1_epi32(127));
  const __m256i unit = _mm256_or_si256(_mm256_and_si256(bits, _mm256_set1_epi32(0x7fffff)),
                                       _mm256_set1_epi32(0x3f800000));
  *z = _mm256_castsi256_ps(unit);
  return _mm256_mul_ps(
      _mm256_permutevar8x32_ps(_mm256_loadu_ps(p.low), place),
      _mm256_permutevar8x32_ps(_mm256_loadu_ps(p.high), _mm256_srli_epi32(place, 3)));
}
#endif

