"""Which size spends a budget best: P* ~ flops^-eta at d* ~ flops^xi?

Put every quantity on the scale of the budget f = t d B: with d = f^x, batch = d^kappa_b and
t = f^(1 - (1 + kappa_b) x), each term of the risk is a power of f whose exponent is piecewise
linear in x, and so is the largest of them. Minimising it over 0 <= x <= 1 / (1 + kappa_b) is a
linear program with one unknown; its optimum lies where two pieces cross or at an end, so the
crossings are listed and compared. That is exact (to rounding), needs no solver, and takes a
whole plane of (alpha, beta) at once.

Source: the method of arXiv 2405.15074 and 2505.16098; their tables are tests of this module.
Limits: exponents only; logarithms at phase boundaries are dropped.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from hidim.algorithms.kappas import Kappas
from hidim.scaling.terms import Term

# Two candidates whose exponents agree to this are ties: the optimum is flat between them.
_TIE = 1e-11


def compute_optimal(terms: Iterable[Term], kappas: Kappas) -> tuple[float, float, float]:
    """Solve the program for one problem and optimizer.

    Args:
        terms: the terms of the risk.
        kappas: the optimizer's exponents.

    Returns:
        eta, and the smallest and largest xi that reach it (equal unless the optimum is flat).

    >>> from hidim.scaling.terms import terms_of
    >>> compute_optimal(terms_of(1.0, 0.3, Kappas()).values(), Kappas())  # 1.6 / 3, 1 / 3
    (0.533..., 0.333..., 0.333...)
    """
    terms = list(terms)
    scale = 1 + kappas.kappa_b
    c = np.array([term.d_exponent for term in terms])
    p = np.array([term.power for term in terms])
    branches = np.array(kappas.time_branches)
    # log_f vartheta on branch i is q_i (1 - scale x) - r_i x: (intercept, slope) in x.
    theta_0, theta_1 = branches[:, 0], -branches[:, 0] * scale - branches[:, 1]
    level_0 = -np.outer(p, theta_0)  # (terms, branches)
    level_1 = c[:, None] - np.outer(p, theta_1)
    x = _crossings(level_0.ravel(), level_1.ravel(), 1 / scale)
    theta = np.max(theta_0[:, None] + theta_1[:, None] * x, axis=0)
    risk = np.max(c[:, None] * x - p[:, None] * theta, axis=0)
    best = risk.min()
    tied = x[risk <= best + _TIE]
    return float(max(-best, 0.0)), float(tied.min()), float(tied.max())


def _crossings(intercept: np.ndarray, slope: np.ndarray, end: float) -> np.ndarray:
    """Where any two of the lines cross within [0, end], and the two ends."""
    i, j = np.triu_indices(len(slope), k=1)
    gap = slope[i] - slope[j]
    apart = np.abs(gap) > 1e-14  # parallel lines cross nowhere, or everywhere
    x = (intercept[j] - intercept[i])[apart] / gap[apart]
    return np.concatenate(([0.0, end], x[(x > 0) & (x < end)]))


def time_to_floor(terms: Iterable[Term], kappas: Kappas) -> float:
    """The power of d of the first time at which no term exceeds the floor F_0.

    >>> from hidim.scaling.terms import terms_of
    >>> dana = Kappas(kappa_1=0.0, kappa_2=1.0, kappa_3=0.0)
    >>> time_to_floor(terms_of(1.0, 0.7, dana).values(), dana)      # alpha + 1/2
    1.5
    """
    by_name = {term.name: term for term in terms}
    floor = by_name.pop("F_0").d_exponent
    theta = max((t.d_exponent - floor) / t.power for t in by_name.values())
    return kappas.time_to(theta)


def stages(terms: Iterable[Term], kappas: Kappas) -> tuple[tuple[str, float, float, float], ...]:
    """The terms that dominate one run in turn.

    Returns:
        Tuples (term, tau where it takes over, tau where it hands on, local slope of log P in
        log t there), with t = d^tau; the last one is the floor and lasts for ever. A stage is
        split where the effective time changes its power.

    >>> from hidim.scaling.terms import terms_of
    >>> [stage[0] for stage in stages(terms_of(1.0, 0.7, Kappas()).values(), Kappas())]
    ['F_pp', 'F_ac', 'F_0']
    """
    terms = sorted(terms, key=lambda term: -term.power)
    taus = {0.0}
    branches = kappas.time_branches
    for n, (q, r) in enumerate(branches):
        taus.update((r - s) / (q - g) for g, s in branches[:n] if q != g)
    for n, one in enumerate(terms):
        for other in terms[:n]:
            if one.power != other.power:
                theta = (other.d_exponent - one.d_exponent) / (other.power - one.power)
                taus.add(kappas.time_to(theta))
    edges = sorted(tau for tau in taus if tau >= 0)
    found: list[tuple[str, float, float, float]] = []
    for start, stop in zip(edges, [*edges[1:], np.inf], strict=True):
        if stop - start < 1e-12:
            continue
        middle = start + 1 if np.isinf(stop) else (start + stop) / 2
        top = max(terms, key=lambda term: term.level(kappas.effective_time(middle)))
        rate = max(branches, key=lambda branch: branch[0] * middle - branch[1])[0]
        slope = -top.power * rate + 0.0
        if found and found[-1][0] == top.name and abs(found[-1][3] - slope) < 1e-12:
            found[-1] = (top.name, found[-1][1], stop, slope)
        else:
            found.append((top.name, start, stop, slope))
    return tuple(found)
