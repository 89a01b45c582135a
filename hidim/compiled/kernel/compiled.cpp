// The two loops of a prediction that C runs faster than NumPy calls: blocks.h and moments.h.
//
// Compiled when the package is built (hatch_build.py) and called through a plain C interface by
// hidim/compiled/, which does the same with NumPy where there is no library. One library serves all
// processors of a kind: each function is there for every width of vectors, and the caller asks once
// which this processor has.
#include "blocks.h"
#include "moments.h"

#ifdef X86
#define WIDE __attribute__((target("avx512f,avx512dq,avx512vl,fma")))
#define MIDDLE __attribute__((target("avx2,fma")))
WIDE static double solved_wide(const Blocks& task) { return solved<Eight>(task); }
MIDDLE static double solved_middle(const Blocks& task) { return solved<Four>(task); }
WIDE static void advanced_wide(const Moments& task, bool alone) { advanced<Eight>(task, alone); }
MIDDLE static void advanced_middle(const Moments& task, bool alone) { advanced<Four>(task, alone); }
#endif

// How many doubles a vector of this processor holds. On Windows GCC keeps no more than 16 bytes of
// the stack aligned (its bug 54412), and wider vectors there would end the process.
EXPORTED Size hidim_lanes() {
#if defined(X86) && !defined(_WIN32)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma"))
    return 8;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 4;
#endif
  return 2;
}

// Answers of all modes; returned is the largest growth of an entry, relative to the largest of its
// matrix, and NaN where a pivot vanished.
EXPORTED double hidim_solve(Size lanes, Size modes, Size parts, Size n, Size c, Size given,
                            const double* features, const double* left, const double* right,
                            const double* more, double* scratch, double* answer) {
  const Blocks task = {modes, parts, n, c, given, features, left, right, more, scratch, answer};
#ifdef X86
  if (lanes == 8) return solved_wide(task);
  if (lanes == 4) return solved_middle(task);
#endif
  return solved<Two>(task);
}

// States and orders after every update.
EXPORTED void hidim_moments(Size lanes, Size updates, Size kinds, Size modes, Size alone,
                            const double* scalars, const double* along, const double* spread,
                            const double* drawn, const double* extra, double offset,
                            double* states, double* orders) {
  const Moments task = {updates, kinds, modes, scalars, along, spread, drawn, extra, offset,
                        states, orders};
#ifdef X86
  if (lanes == 8) return advanced_wide(task, alone != 0);
  if (lanes == 4) return advanced_middle(task, alone != 0);
#endif
  advanced<Two>(task, alone != 0);
}
