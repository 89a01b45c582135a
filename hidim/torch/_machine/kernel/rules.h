// What does each rule do to an entry? One struct a rule, with COUNT buffers and a loop over n
// entries, n a multiple of 16 and at most SPAN.
//
// c: sign of the gradient, factor kept of the old parameter, of the new one, lr, then the rule's
// numbers in the order of the class in Python.
#pragma once
#include <limits>

#include "power.h"

#define ONCE __attribute__((noinline))  // compiled once, whoever calls it
static const Size BLOCK = 128;  // entries worked on together: they stay in the L1 cache

// b <- decay b + gain g;  p <- kept p - rate_g g - rate_b b, g with the coupled decay.
struct Dana {
  enum { COUNT = 1, SPAN = 1024 };
  template <class T>
  ONCE static void run(Size n, T* __restrict p, const T* __restrict g_in, T* const* b, const T* c,
                  const Power&) {
    T* __restrict y = b[0];
    const T sign = c[0], kept = c[1], decay = c[4], gain = c[5], rate_g = c[6], rate_b = c[7];
    const T weight_decay = c[8];
    for (Size i = 0; i < n; i++) {
      const T g = sign * g_in[i] + weight_decay * p[i];
      y[i] = y[i] * decay + g * gain;
      p[i] = p[i] * kept - rate_g * g - rate_b * y[i];
    }
  }
};

struct Adana {
  enum { COUNT = 2, SPAN = 1024 };
  template <class T>
  ONCE static void run(Size n, T* __restrict p, const T* __restrict g_in, T* const* b, const T* c,
                  const Power&) {
    T *__restrict m = b[0], *__restrict v = b[1];
    const T sign = c[0], before = c[1], after = c[2], lr = c[3];
    const T a = c[4], keep = 1 - a, alpha = c[5], gradient_scale = c[6], eps = c[7];
    for (Size i = 0; i < n; i++) {
      const T g = sign * g_in[i];
      m[i] = m[i] * keep + g * a;
      v[i] = v[i] * keep + g * g * a;
      const T step = (g * gradient_scale + m[i] * alpha) / (std::sqrt(v[i]) + eps);
      p[i] = (p[i] * before - lr * step) * after;
    }
  }
};

struct Mk4 {
  enum { COUNT = 2, SPAN = 1024 };
  template <class T>
  ONCE static void run(Size n, T* __restrict p, const T* __restrict g_in, T* const* b, const T* c,
                  const Power&) {
    T *__restrict m = b[0], *__restrict v = b[1];
    const T sign = c[0], before = c[1], after = c[2], lr = c[3];
    const T a = c[4], keep = 1 - a, alpha = c[5], clip = c[6], eps = c[7];
    for (Size i = 0; i < n; i++) {
      const T g = sign * g_in[i];
      m[i] = m[i] * keep + g * a;
      v[i] = v[i] * keep + g * g * a;
      const T inverse = 1 / (std::sqrt(v[i]) + eps);
      T extra = m[i] * inverse * alpha;
      extra = extra > clip ? clip : extra;
      extra = extra < -clip ? -clip : extra;
      p[i] = (p[i] * before - lr * ((g + m[i]) * inverse + extra)) * after;
    }
  }
};

struct Ademamix {
  enum { COUNT = 3, SPAN = 1024 };
  template <class T>
  ONCE static void run(Size n, T* __restrict p, const T* __restrict g_in, T* const* b, const T* c,
                  const Power&) {
    T *__restrict m = b[0], *__restrict v = b[1], *__restrict slow = b[2];
    const T sign = c[0], before = c[1], after = c[2], lr = c[3];
    const T a = c[4], keep = 1 - a, a_1 = c[5], keep_1 = 1 - a_1, a_2 = c[6], keep_2 = 1 - a_2;
    const T first = c[7], second = c[8], alpha = c[9], eps = c[10];
    for (Size i = 0; i < n; i++) {
      const T g = sign * g_in[i];
      m[i] = m[i] * keep_1 + g * a_1;
      v[i] = v[i] * keep_2 + g * g * a_2;
      slow[i] = slow[i] * keep + g * a;
      const T step = (m[i] * first + slow[i] * alpha) / (std::sqrt(v[i] * second) + eps);
      p[i] = (p[i] * before - lr * step) * after;
    }
  }
};

// In: tau and s = 1 / (sqrt(v) + eps). Out: hat, own = max(tau t, 1)^power, s <- s sqrt(hat).
template <class T>
static inline void plain_scales(Size n, const T* tau, T* s, T* hat, T* own, T t, const Power& p) {
  const T floor = 1 / (1 + t), power = (T)p.power;
  for (Size i = 0; i < n; i++) {
    const T capped = tau[i] > T(0.5) ? T(0.5) : tau[i], ratio = capped / (1 - capped);
    hat[i] = ratio < floor ? floor : ratio;
    s[i] *= std::sqrt(hat[i]);
    const T time = tau[i] * t;
    own[i] = power_of(time < 1 ? T(1) : time, power);
  }
}
template <class T>
static inline void star_scales(Size n, const T* tau, T* s, T* hat, T* own, T t, const Power& p) {
  plain_scales(n, tau, s, hat, own, t, p);
}
#if defined(__AVX2__)
// sqrt(c/(1-c)) = c / sqrt(c (1-c)): one reciprocal root, with a Newton step, serves hat too.
static inline void star_scales(Size n, const float* tau, float* s, float* hat, float* own, float t,
                               const Power& p) {
  if (!(p.power >= 0 && p.power <= 1)) return plain_scales(n, tau, s, hat, own, t, p);
  const Size step = sizeof(Vector) / 4;
  const Vector floor = all(1 / (1 + t)), root = all(std::sqrt(1 / (1 + t))), one = all(1);
  for (Size i = 0; i < n; i += step) {
    const Vector capped = least(all(0.5f), at(tau + i));
    const Vector square = most(all(1e-30f), capped - capped * capped);
    const Vector r = near_rsqrt(square);
    const Vector ratio = capped * (r * (all(1.5f) - all(0.5f) * square * (r * r)));
    put(hat + i, most(floor, ratio * ratio));
    put(s + i, at(s + i) * most(root, ratio));
  }
  const Vector c0 = all(p.poly[0]), c1 = all(p.poly[1]), c2 = all(p.poly[2]), c3 = all(p.poly[3]);
  const Vector c4 = all(p.poly[4]), c5 = all(p.poly[5]), c6 = all(p.poly[6]);
  for (Size i = 0; i < n; i += step) {
    Vector z;
    const Vector scale = exponent(most(one, at(tau + i) * all(t)), p, &z);
    const Vector f = z - all(1.5f), f2 = f * f;
    const Vector low = (c0 + f * c1) + f2 * (c2 + f * c3), high = (c4 + f * c5) + f2 * c6;
    put(own + i, scale * (low + (f2 * f2) * high));
  }
}
#endif

// Loops over one block each: chains of roots, quotients and powers in a single loop are too long
// for the processor to overlap. One quotient serves tau and 1/s, inverse = 1/((|g| + s) s), and
// hat * min(extra, clip) is min(hat * extra, hat * clip).
struct Star {
  enum { COUNT = 3, SPAN = BLOCK };
  template <class T>
  ONCE static void run(Size n, T* __restrict p, const T* __restrict g_in, T* const* b, const T* c,
                  const Power& power) {
    T *__restrict m = b[0], *__restrict v = b[1], *__restrict tau = b[2];
    const T sign = c[0], before = c[1], after = c[2], lr = c[3];
    const T a = c[4], keep = 1 - a, t = c[5], alpha_scale = c[7], clip = c[8], eps = c[9];
    T s[BLOCK], hat[BLOCK], own[BLOCK];
    for (Size i = 0; i < n; i++) {
      const T g = sign * g_in[i];
      m[i] = m[i] * keep + g * a;
      v[i] = v[i] * keep + g * g * a;
      s[i] = std::sqrt(v[i]) + eps;
    }
    for (Size i = 0; i < n; i++) {
      const T size = std::fabs(g_in[i]), sum = size + s[i], square = sum * s[i];
      const T inverse = 1 / square;
      const bool over = square > std::numeric_limits<T>::max();  // squares of g beyond the range
      tau[i] = tau[i] * keep + a * (over ? 0 : size * s[i] * inverse);
      s[i] = over ? 0 : sum * inverse;
    }
    star_scales(n, tau, s, hat, own, t, power);
    for (Size i = 0; i < n; i++) {
      const T norm = s[i], normed = m[i] * norm, limit = clip * hat[i];
      T extra = alpha_scale * own[i] * normed;
      extra = extra > limit ? limit : extra;
      extra = extra < -limit ? -limit : extra;
      p[i] = (p[i] * before - lr * (sign * g_in[i] * norm + normed + extra)) * after;
    }
  }
};

