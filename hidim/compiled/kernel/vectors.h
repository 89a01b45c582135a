// Vectors of doubles, and what is done to them; no header and nothing of the C++ library is needed.
#pragma once
#if defined(__x86_64__) || defined(_M_X64)
#define X86 1
#endif
#ifdef _WIN32
#define EXPORTED extern "C" __declspec(dllexport)
#else
#define EXPORTED extern "C" __attribute__((visibility("default")))
#endif
#define INLINED static inline __attribute__((always_inline))

typedef long long Size;
typedef double Two __attribute__((vector_size(16)));
typedef double Four __attribute__((vector_size(32)));
typedef double Eight __attribute__((vector_size(64)));

template <class V> INLINED V size_of(V a) { return a < 0 ? -a : a; }
template <class V> INLINED V larger(V a, V b) { return a > b ? a : b; }

// From and to memory that is aligned for doubles alone.
template <class V> INLINED V loaded(const double* from) {
  V found;
  __builtin_memcpy(&found, from, sizeof(V));
  return found;
}
template <class V> INLINED void stored(double* to, V value) {
  __builtin_memcpy(to, &value, sizeof(V));
}

template <class V> INLINED double summed(V a) {
  double sum = 0;
  for (unsigned l = 0; l < sizeof(V) / sizeof(double); l++) sum += a[l];
  return sum;
}
