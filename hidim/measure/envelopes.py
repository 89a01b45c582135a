"""Which size is compute-optimal on these curves, and how low is the risk there?

At a budget f every size d has run f / d steps; the lowest risk over sizes is
the frontier, P* ~ f^-eta at d* ~ f^xi. `envelope` (Chinchilla's approach 1) takes the minimum
over sizes, refined by a spline through the sizes around it; `isoflop` (approach 2) fits a
parabola to log risk in log d around it, which averages over the ripples of a momentum run.

Source: approaches 1 and 2 are those of arXiv 2203.15556, as arXiv 2405.15074 and 2505.16098 use
them. Limits: a budget counts only where its optimum lies inside the ladder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hidim.curve import Curve
from hidim.support.checks import finite_array
from hidim.support.results import Saved

_MARGIN = 1.5  # in log d: how far from the ends of the ladder an optimum must stay


@dataclass(frozen=True, eq=False)
class MeasuredFrontier(Saved, format="hidim-measured-frontier/1"):
    """Measured compute-optimal sizes and risks.

    Attributes:
        flops: (n,) budgets that the ladder covers.
        d: (n,) best size at each, real-valued.
        risk: (n,) risk there, with the 1/2.
    """

    flops: np.ndarray
    d: np.ndarray
    risk: np.ndarray


def log_risk_at(curve: Curve, steps: np.ndarray) -> np.ndarray:
    """log risk at any steps inside the curve by a cubic spline in log-log; NaN before step 1.

    Beyond its end a curve is at its floor, so its last value holds.
    """
    from scipy.interpolate import CubicSpline

    known, risk = curve.in_time()
    use = (known >= 1) & np.isfinite(risk)
    spline = CubicSpline(np.log(known[use]), np.log(risk[use]))
    inside = np.clip(np.asarray(steps, dtype=np.float64), 1.0, known[use][-1])
    return np.where(np.asarray(steps) >= 1, spline(np.log(inside)), np.nan)


def risks_at_budgets(curves: Sequence[Curve], flops: np.ndarray) -> np.ndarray:
    """log risk of every run when it has spent each budget, shape (flops, curves)."""
    columns = []
    for curve in curves:
        assert curve.dimension is not None
        columns.append(log_risk_at(curve, flops / (curve.dimension * curve.batch_size)))
    return np.stack(columns, axis=1)


def envelope(curves: Sequence[Curve], flops: ArrayLike) -> MeasuredFrontier:
    """The lowest risk over sizes at each budget, between the sizes by a cubic spline.

    Args:
        curves: runs of the same problem at several sizes, at least four.
        flops: one budget or a row of them; those whose best size lies at an end of the ladder
            are left out.
    """
    from scipy.interpolate import CubicSpline

    def vertex(x: np.ndarray, y: np.ndarray, k: int) -> tuple[float, float]:
        near = slice(max(0, k - 3), k + 4)
        spline = CubicSpline(x[near], y[near])
        fine = np.linspace(x[max(0, k - 1)], x[min(len(x) - 1, k + 1)], 401)
        values = spline(fine)
        best = int(np.argmin(values))
        return fine[best], values[best]

    return _frontier(curves, flops, vertex)


def isoflop(curves: Sequence[Curve], flops: ArrayLike, *, decades: float = 1.0) -> MeasuredFrontier:
    """The vertex of a parabola fitted to log risk against log d at each budget.

    Args:
        curves: runs of the same problem at several sizes.
        flops: one budget or a row of them; those whose vertex lies near an end of the ladder
            are left out.
        decades: width in d of the window around the best size that the parabola sees.
    """

    def vertex(x: np.ndarray, y: np.ndarray, k: int) -> tuple[float, float]:
        near = np.abs(x - x[k]) <= decades * np.log(10) / 2 + 1e-9
        if near.sum() < 3:
            near[max(0, k - 1) : k + 2] = True
        bend, slope, level = np.polyfit(x[near] - x[k], y[near], 2)
        if bend <= 0:
            return np.nan, np.nan
        move = -slope / (2 * bend)
        return x[k] + move, level - slope**2 / (4 * bend)

    return _frontier(curves, flops, vertex)


def _frontier(curves: Sequence[Curve], flops, vertex) -> MeasuredFrontier:  # type: ignore[no-untyped-def]
    if len(curves) < 4:
        raise ValueError(f"`curves` must hold at least 4 sizes, got {len(curves)}.")
    curves = sorted(curves, key=lambda curve: curve.dimension or 0.0)
    for curve in curves:
        if curve.dimension is None:
            raise ValueError("`curves` must say their `dimension`, and one does not.")
    budgets = np.atleast_1d(finite_array("flops", flops, ndim=(0, 1)))
    if np.any(budgets <= 0):
        raise ValueError(f"`flops` must be positive, got {budgets.min():g}.")
    x = np.log(np.array([curve.dimension for curve in curves], dtype=np.float64))
    table = risks_at_budgets(curves, budgets)
    found = []
    for f, y in zip(budgets, table, strict=True):
        ran = np.isfinite(y)
        if ran.sum() < 4:
            continue
        here_x, here_y = x[ran], y[ran]
        k = int(np.argmin(here_y))
        if min(here_x[k] - here_x[0], here_x[-1] - here_x[k]) < min(_MARGIN, np.ptp(x) / 4):
            continue
        size, level = vertex(here_x, here_y, k)
        if np.isfinite(size) and here_x[0] < size < here_x[-1]:
            found.append((f, np.exp(size), np.exp(level)))
    columns = np.array(found).reshape(-1, 3).T
    return MeasuredFrontier(*columns)
