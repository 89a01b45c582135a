"""What exponents do curves show?

Compute-optimal: at a budget f every size d has run f / d steps; the lowest risk over sizes is
the frontier, P* ~ f^-eta at d* ~ f^xi. `envelope` (Chinchilla's approach 1) takes the minimum
over sizes, refined by a spline through the sizes around it; `isoflop` (approach 2) fits a
parabola to log risk in log d around it, which averages over the ripples of a momentum run.
Single runs: local slopes, the fit c + A t^-b, and the time to a multiple of the floor.

Source: approaches 1 and 2 are those of arXiv 2203.15556, as arXiv 2405.15074 and 2505.16098 use
them. Limits: a budget counts only where its optimum lies inside the ladder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hidim.curve import Curve

_MARGIN = 1.5  # in log d: how far from the ends of the ladder an optimum must stay


@dataclass(frozen=True)
class MeasuredFrontier:
    """Measured compute-optimal sizes and risks.

    Attributes:
        flops: (n,) budgets that the ladder covers.
        d: (n,) best size at each, real-valued.
        risk: (n,) risk there, with the 1/2.
    """

    flops: np.ndarray
    d: np.ndarray
    risk: np.ndarray


@dataclass(frozen=True)
class Exponent:
    """A power fitted by least squares in log-log.

    Attributes:
        value: the power, y ~ x^value.
        stderr: its standard error from the residuals, 0 for two points.
        local: (n - 1,) slopes between neighbours.
        points: how many points entered.
    """

    value: float
    stderr: float
    local: np.ndarray
    points: int


@dataclass(frozen=True)
class SaturatingFit:
    """risk = c + A t^-b.

    Attributes:
        c: level at infinite time.
        A: amplitude.
        b: power.
        error: largest relative residual.
        pinned: whether b ended where the search does (0.02 or 6), so that it is no measurement.
    """

    c: float
    A: float
    b: float
    error: float
    pinned: bool = False


def log_risk_at(curve: Curve, steps: np.ndarray) -> np.ndarray:
    """log risk at any steps inside the curve by a cubic spline in log-log; NaN before step 1.

    Beyond its end a curve is at its floor, so its last value holds.
    """
    from scipy.interpolate import CubicSpline

    known = np.asarray(curve.steps, dtype=np.float64)
    use = (known >= 1) & np.isfinite(curve.risk)
    spline = CubicSpline(np.log(known[use]), np.log(curve.risk[use]))
    inside = np.clip(np.asarray(steps, dtype=np.float64), 1.0, known[use][-1])
    return np.where(np.asarray(steps) >= 1, spline(np.log(inside)), np.nan)


def risks_at_budgets(curves: Sequence[Curve], flops: np.ndarray) -> np.ndarray:
    """log risk of every run when it has spent each budget, shape (flops, curves)."""
    columns = []
    for curve in curves:
        assert curve.dimension is not None
        columns.append(log_risk_at(curve, flops / (curve.dimension * curve.batch_size)))
    return np.stack(columns, axis=1)


def envelope(curves: Sequence[Curve], flops: Sequence[float] | np.ndarray) -> MeasuredFrontier:
    """The lowest risk over sizes at each budget, between the sizes by a cubic spline.

    Args:
        curves: runs of the same problem at several sizes, at least four.
        flops: budgets; those whose best size lies at an end of the ladder are left out.
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


def isoflop(
    curves: Sequence[Curve], flops: Sequence[float] | np.ndarray, *, decades: float = 1.0
) -> MeasuredFrontier:
    """The vertex of a parabola fitted to log risk against log d at each budget.

    Args:
        curves: runs of the same problem at several sizes.
        flops: budgets; those whose vertex lies near an end of the ladder are left out.
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
    budgets = np.asarray(flops, dtype=np.float64)
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


def measure_exponent(
    x: np.ndarray, y: np.ndarray, *, last_decades: float | None = None
) -> Exponent:
    """Fit y ~ x^value by least squares in log-log over the last decades of x.

    >>> round(measure_exponent(np.array([1.0, 10, 100]), np.array([1.0, 0.1, 0.01])).value, 9)
    -1.0
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if last_decades is not None and len(x):
        use = x >= x.max() * 10.0**-last_decades * (1 - 1e-9)
        x, y = x[use], y[use]
    if len(x) < 2:
        raise ValueError(
            f"`x` must hold at least 2 points to fit a power, got {len(x)}: "
            "take more sizes, or a wider range of them."
        )
    u, w = np.log(x), np.log(y)
    centred = u - u.mean()
    value = float(centred @ w / (centred @ centred))
    left = w - w.mean() - value * centred
    spread = np.sqrt(left @ left / max(len(x) - 2, 1) / (centred @ centred))
    return Exponent(value, float(spread), np.diff(w) / np.diff(u), len(x))


def local_slopes(curve: Curve, steps: np.ndarray | None = None) -> np.ndarray:
    """d log risk / d log t, by the derivative of a spline, at `steps` or the curve's own.

    >>> curve = Curve(steps=[1, 10, 100, 1000], risk=[1.0, 0.1, 0.01, 0.001])
    >>> local_slopes(curve).round(6).tolist()
    [-1.0, -1.0, -1.0, -1.0]
    """
    from scipy.interpolate import CubicSpline

    known = np.asarray(curve.steps, dtype=np.float64)
    use = (known >= 1) & np.isfinite(curve.risk)
    spline = CubicSpline(np.log(known[use]), np.log(curve.risk[use]))
    where = known[use] if steps is None else np.asarray(steps, dtype=np.float64)
    return np.asarray(spline(np.log(where), 1))


def time_to_multiple(curve: Curve, floor: float, multiple: float = 2.5) -> float:
    """The first step at which the risk is `multiple` times the floor, NaN if it never is.

    Args:
        curve: a run; between its points the risk is a spline in log-log.
        floor: the risk floor of the problem.
        multiple: above 1 / (1 - N), the factor at which noise of kernel norm N holds the risk.
    """
    from scipy.interpolate import CubicSpline

    known = np.asarray(curve.steps, dtype=np.float64)
    use = (known >= 1) & np.isfinite(curve.risk)
    u, gap = np.log(known[use]), np.log(curve.risk[use] / (multiple * floor))
    below = np.nonzero(gap <= 0)[0]
    if len(below) == 0:
        return float("nan")
    k = int(below[0])
    if k == 0:
        return float(known[use][0])
    near = slice(max(0, k - 4), k + 4)
    roots = CubicSpline(u[near], gap[near]).roots(extrapolate=False)
    inside = roots[(roots >= u[k - 1] - 1e-12) & (roots <= u[k] + 1e-12)]
    return float(np.exp(inside[0] if len(inside) else u[k]))


def saturating_fit(steps: np.ndarray, risk: np.ndarray) -> SaturatingFit:
    """Fit risk = c + A t^-b with c, A >= 0 by least squares of relative residuals.

    The two amplitudes are solved exactly for every b, and b by a search in one dimension.

    >>> t = np.geomspace(1, 1e4, 50)
    >>> fit = saturating_fit(t, 0.01 + 2 * t**-0.7)
    >>> round(fit.b, 4), round(fit.c, 6), round(fit.A, 4)
    (0.7, 0.01, 2.0)
    """
    from scipy.optimize import minimize_scalar, nnls

    t, p = np.asarray(steps, dtype=np.float64), np.asarray(risk, dtype=np.float64)
    use = (t > 0) & np.isfinite(p) & (p > 0)
    if use.sum() < 4:
        raise ValueError(f"`steps` must hold at least 4 positive steps, got {int(use.sum())}.")
    t, p = t[use], p[use]
    start = t[0]  # (t / start)^-b keeps the two columns of the fit of one size

    def solve(b: float) -> tuple[np.ndarray, float]:
        columns = np.stack([1 / p, (t / start) ** -b / p], axis=1)
        return nnls(columns, np.ones(len(p)))

    grid = np.linspace(0.02, 6, 150)
    k = int(np.argmin([solve(b)[1] for b in grid]))
    low, high = grid[max(k - 1, 0)], grid[min(k + 1, len(grid) - 1)]
    b = float(minimize_scalar(lambda b: solve(b)[1], bounds=(low, high), method="bounded",
                              options={"xatol": 1e-9}).x)  # fmt: skip
    (c, amplitude), _ = solve(b)
    fitted = c + amplitude * (t / start) ** -b
    pinned = min(b - grid[0], grid[-1] - b) < 1e-6
    error = float(np.max(np.abs(fitted / p - 1)))
    return SaturatingFit(float(c), float(amplitude * start**b), b, error, bool(pinned))
