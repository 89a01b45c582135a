// The momentum family's moments, step by step: hidim/systems/moment_steps.py in one pass per step.
//
// The sums are ordered as there, so that little is lost.
#pragma once
#include "vectors.h"

// What a step reads: the scalars of every update, (updates, 4) as G, gamma_1, gamma_3 and D, and of
// every mode its eigenvalue, its share of E g^2 per unit of E r^2, what a unit of the order adds to
// it, and what is always in it.
struct Moments {
  Size updates, kinds, modes;
  const double *scalars, *along, *spread, *drawn, *extra;
  double offset;
  double *states, *orders;  // (updates + 1, kinds, modes) and (updates + 1), the first given
};

// Of modes j, j + 1, ... in one vector: what they give to the order.
template <class V> INLINED V stepped(const Moments& m, const double* s, const double* from,
                                     double* to, double order, Size j, bool alone) {
  const double total = s[0], gamma_1 = s[1], gamma_3 = s[2], keep = s[3];
  const V along = loaded<V>(m.along + j), error = loaded<V>(from + j), pull = total * along;
  const V left = error - pull * error;
  V noise = loaded<V>(m.spread + j) * error + loaded<V>(m.drawn + j) * order;
  noise += loaded<V>(m.extra + j);
  V after = left - pull * left + (total * total) * noise;
  if (!alone) {
    const V held_on = (keep * keep) * loaded<V>(from + m.modes + j);
    V rest = keep * loaded<V>(from + 2 * m.modes + j);
    const V held = along * rest;
    rest -= pull * rest;
    after += (gamma_3 * gamma_3) * held_on - (2 * gamma_3) * rest;
    stored<V>(to + m.modes + j, (gamma_1 * gamma_1) * (noise + along * along * error) + held_on +
                                    (2 * gamma_1) * held);
    stored<V>(to + 2 * m.modes + j, rest + gamma_1 * (along * left) - (gamma_1 * total) * noise -
                                        gamma_3 * held_on - (gamma_1 * gamma_3) * held);
  }
  stored<V>(to + j, after);
  return after * along;
}

template <class V> INLINED void advanced(const Moments& m, bool alone) {
  const Size lanes = sizeof(V) / sizeof(double), size = m.kinds * m.modes;
  for (Size i = 0; i < m.updates; i++) {
    const double *s = m.scalars + 4 * i, *from = m.states + i * size, order = m.orders[i];
    double* to = m.states + (i + 1) * size;
    V sum = V{};
    Size j = 0;
    for (; j + lanes <= m.modes; j += lanes) sum += stepped<V>(m, s, from, to, order, j, alone);
    double rest = summed(sum);
    for (; j < m.modes; j++) rest += stepped<double>(m, s, from, to, order, j, alone);
    if (alone)
      for (Size k = m.modes; k < size; k++) to[k] = 0;
    m.orders[i + 1] = m.offset + rest;
  }
}
