// Many small linear systems at once, one mode per lane of a vector, eliminated without pivoting.
//
// A system is written, eliminated and solved while it lies in the nearest cache; LAPACK's call for
// each alone takes several times as long. Without pivoting entries may grow, and what they grew by
// is returned.
#pragma once
#include "vectors.h"

static const Size MOST_PARTS = 16;  // features of a mode

// Systems of `modes` modes, each n x n with c right-hand sides. With parts > 0 the matrix of a mode
// is the sum over its features (modes, parts) of left (parts, n, n), and its right-hand sides that
// of right (parts, n, c), with `more` (modes, n, given) on top of the first; else left and right
// hold every mode's own, (modes, n, n) and (modes, n, c).
struct Blocks {
  Size modes, parts, n, c, given;
  const double *features, *left, *right, *more;
  double *scratch, *answer;  // n (n + c) vectors, aligned, and (modes, n, c)
};

// One matrix or its right-hand sides, (n, columns), into the rows of a, `width` apart.
template <class V>
INLINED void written(const Blocks& task, Size first, Size here, const V* features, const double* from,
                     Size columns, V* a, Size width) {
  const Size size = task.n * columns;
  for (Size i = 0; i < task.n; i++)
    for (Size j = 0; j < columns; j++) {
      const double* at = from + i * columns + j;
      V sum = V{};
      if (task.parts > 0)
        for (Size p = 0; p < task.parts; p++) sum += features[p] * at[p * size];
      else
        for (Size l = 0; l < here; l++) sum[l] = at[(first + l) * size];
      a[i * width + j] = sum;
    }
}

// a, (n, width) with the matrix in its first n columns, to the answers in the others; the largest
// entry of what is eliminated is returned, and NaN where a pivot was none.
template <class V> INLINED V eliminated(V* a, Size n, Size width) {
  V grown = V{}, none = V{};
  for (Size k = 0; k < n; k++) {
    V* row = a + k * width;
    for (Size j = k; j < n; j++) grown = larger(grown, size_of(row[j]));
    row[k] = 1.0 / row[k];
    none += 0.0 * row[k];
    for (Size i = k + 1; i < n; i++) {
      V* other = a + i * width;
      const V by = other[k] * row[k];
      for (Size j = k + 1; j < width; j++) other[j] -= by * row[j];
    }
  }
  for (Size k = n - 1; k >= 0; k--) {
    V* row = a + k * width;
    for (Size j = n; j < width; j++) row[j] *= row[k];
    for (Size i = 0; i < k; i++) {
      V* other = a + i * width;
      const V by = other[k];
      for (Size j = n; j < width; j++) other[j] -= by * row[j];
    }
  }
  return grown + none;
}

template <class V> INLINED double solved(const Blocks& task) {
  const Size lanes = sizeof(V) / sizeof(double), n = task.n, width = n + task.c;
  V* a = (V*)task.scratch;
  V features[MOST_PARTS];
  double worst = 0;
  for (Size first = 0; first < task.modes; first += lanes) {
    const Size left = task.modes - first, here = left < lanes ? left : lanes;
    for (Size p = 0; p < task.parts; p++)
      for (Size l = 0; l < lanes; l++)
        features[p][l] = task.features[(first + (l < here ? l : 0)) * task.parts + p];
    written(task, first, here, features, task.left, n, a, width);
    written(task, first, here, features, task.right, task.c, a + n, width);
    for (Size i = 0; i < n; i++)
      for (Size l = 0; l < here; l++)
        for (Size j = 0; j < task.given; j++)
          a[i * width + n + j][l] += task.more[((first + l) * n + i) * task.given + j];
    V met = V{};
    for (Size i = 0; i < n; i++)
      for (Size j = 0; j < n; j++) met = larger(met, size_of(a[i * width + j]));
    const V growth = eliminated(a, n, width) / met;
    for (Size l = 0; l < here; l++) {
      if (worst == worst && !(growth[l] <= worst)) worst = growth[l];  // no number stays none
      double* to = task.answer + (first + l) * n * task.c;
      for (Size i = 0; i < n; i++)
        for (Size j = 0; j < task.c; j++) to[i * task.c + j] = a[i * width + n + j][l];
    }
  }
  return worst;
}
