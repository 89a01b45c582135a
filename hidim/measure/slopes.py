"""Which power does a curve, or a row of points, follow?

    y ~ x^value        least squares in log-log over a window of x

The window is the whole row, or its last decades where these are asked for. Neighbouring points of
a curve share their errors, so the interval comes from leaving out one block of neighbours after
another (a jackknife over ten blocks, with Student's t), and the difference of the power between
the two halves of the window stands beside it: where that `drift` exceeds the interval there is no
one power in this window.

The derivative of a spline in log-log gives the slope at a point.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hidim.curve import Curve
from hidim.support.checks import instance, positive, real_array, rows_of
from hidim.support.results import Saved

LEVEL = 0.95  # of every interval
_BLOCKS = 10
_FEWEST_BLOCKS = 4


@dataclass(frozen=True, eq=False, repr=False)
class Exponent(Saved, format="hidim-exponent/1"):
    """A power, with its error, its window and how it changes within the window.

    Attributes:
        value: the power, y ~ x^value.
        stderr: its standard error: from the residuals as if they were independent, 0 for two
            points; of a frontier, from leaving out one size after another.
        local: slopes between neighbouring points of the row.
        points: how many points entered.
        low: lower end of the 95 % interval, None where too few points bound it.
        high: its upper end.
        window: first and last x that entered.
        drift: the power in the later half of the window minus that in the earlier one.
        drift_error: standard error of the drift, or None.
        windows: other windows with the same end: first x, power and standard error of each, shape
            (m, 3), or None.
    """

    value: float
    stderr: float
    local: np.ndarray
    points: int
    low: float | None = None
    high: float | None = None
    window: tuple[float, float] | None = None
    drift: float | None = None
    drift_error: float | None = None
    windows: np.ndarray | None = None

    def __float__(self) -> float:
        return self.value

    def __repr__(self) -> str:
        return f"Exponent({self}, {self.points} points)"

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.4g}"
        return f"{self.value:.4g} ({self.low:.4g} to {self.high:.4g})"


def measure_exponent(
    x: np.ndarray,
    y: np.ndarray,
    *,
    last_decades: float | None = None,
    weights: np.ndarray | None = None,
) -> Exponent:
    """Fit y ~ x^value by least squares in log-log over the last decades of x.

    Args:
        x: shape (n,), positive.
        y: shape (n,), positive.
        last_decades: how many decades of x count, up to its largest; all by default.
        weights: shape (n,), of the squared residuals; equal by default.

    Raises:
        ValueError: fewer than two points, rows of two lengths, or numbers that are not positive.

    >>> round(measure_exponent(np.array([1.0, 10, 100]), np.array([1.0, 0.1, 0.01])).value, 9)
    -1.0
    """
    x, y, *given = rows_of(x=x, y=y, weights=weights)
    for name, row in (("x", x), ("y", y)):
        if not np.all((row > 0) & np.isfinite(row)):
            raise ValueError(f"`{name}` must hold positive numbers, which have logarithms.")
    weight = given[0] if given else np.ones(len(x))
    if last_decades is not None and len(x):
        last_decades = positive("last_decades", last_decades)
        use = x >= x.max() * 10.0**-last_decades * (1 - 1e-9)
        x, y, weight = x[use], y[use], weight[use]
    if len(x) < 2:
        raise ValueError(
            f"`x` must hold at least 2 points to fit a power, got {len(x)}: "
            "take more sizes, or a wider range of them."
        )
    u, w = np.log(x), np.log(y)
    value, spread = _line(u, w, weight)
    low, high = _interval(u, w, weight, value)
    drift = None
    later = u > (u.min() + u.max()) / 2
    if min(np.sum(later), np.sum(~later)) >= 2:
        parts = [_line(u[part], w[part], weight[part])[0] for part in (later, ~later)]
        drift = parts[0] - parts[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        local = np.diff(w) / np.diff(u)
    window = (float(x.min()), float(x.max()))
    return Exponent(value, spread, local, len(x), low, high, window, drift)


def jackknife(rows: np.ndarray) -> np.ndarray:
    """Standard errors from the estimates without each cluster, shape (clusters, numbers).

    >>> jackknife(np.array([[1.0], [2.0], [3.0]]))
    array([1.15...])
    """
    n = len(rows)
    spread = (n - 1) / n * np.sum((rows - rows.mean(axis=0)) ** 2, axis=0)
    return np.asarray(np.sqrt(spread))


def blocks(count: int) -> list[np.ndarray]:
    """The places of `count` points in up to ten blocks of neighbours."""
    return [part for part in np.array_split(np.arange(count), min(_BLOCKS, count)) if len(part)]


def student(clusters: int, level: float = LEVEL) -> float:
    """The quantile of Student's t that an interval over so many clusters takes."""
    from scipy.special import stdtrit

    return float(stdtrit(max(clusters - 1, 1), (1 + level) / 2))


def without_each_block(
    count: int, estimate: Callable[[np.ndarray], float]
) -> tuple[float, int] | None:
    """Standard error of `estimate(kept places)` by leaving out blocks, and how many there were."""
    every = blocks(count)
    if len(every) < _FEWEST_BLOCKS:
        return None
    places = np.arange(count)
    found = [estimate(np.delete(places, block)) for block in every]
    return float(jackknife(np.array(found)[:, None])[0]), len(every)


def _interval(
    u: np.ndarray, w: np.ndarray, weight: np.ndarray, value: float
) -> tuple[float | None, float | None]:
    order = np.argsort(u, kind="stable")
    u, w, weight = u[order], w[order], weight[order]
    found = without_each_block(len(u), lambda k: _line(u[k], w[k], weight[k])[0])
    if found is None or not math.isfinite(found[0]):
        return None, None
    half = student(found[1]) * found[0]
    return value - half, value + half


def _line(u: np.ndarray, w: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Slope and its standard error as if residuals were independent."""
    share = weight / weight.sum()
    centred = u - share @ u
    heavy = weight * centred
    size = float(heavy @ centred)
    value = float(heavy @ w) / size
    left = w - share @ w - value * centred
    spread = math.sqrt(float(weight * left @ left) / max(len(u) - 2, 1) / size)
    return value, spread


def local_slopes(curve: Curve, steps: np.ndarray | None = None) -> np.ndarray:
    """d log risk / d log t, by the derivative of a spline, at `steps` or the curve's own.

    Raises:
        ValueError: steps outside the curve, or a curve with fewer than two of them from 1 on.

    >>> curve = Curve(steps=[1, 10, 100, 1000], risk=[1.0, 0.1, 0.01, 0.001])
    >>> local_slopes(curve).round(6).tolist()
    [-1.0, -1.0, -1.0, -1.0]
    """
    from scipy.interpolate import CubicSpline

    instance("curve", curve, Curve, "as predict and simulate return")
    known, risk = curve.in_time()
    use = (known >= 1) & np.isfinite(risk) & (risk > 0)
    if use.sum() < 2:
        raise ValueError(f"`curve` must have 2 steps from 1 on with a risk, got {use.sum()}.")
    spline = CubicSpline(np.log(known[use]), np.log(risk[use]))
    first, last = known[use][[0, -1]]
    where = known[use] if steps is None else real_array("steps", steps, ndim=(0, 1))
    outside = ~((where >= first * (1 - 1e-12)) & (where <= last * (1 + 1e-12)))
    if outside.any():
        raise ValueError(
            f"`steps` must lie within the curve, {first:g}..{last:g}, got {where[outside][0]:g}: "
            "slopes are not extrapolated."
        )
    return np.asarray(spline(np.log(where), 1))
