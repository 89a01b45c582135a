"""Which power does a curve, or a row of points, follow?

Least squares in log-log for one power over the last decades; the derivative of a spline in log-log
for the slope at a point.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hidim.curve import Curve
from hidim.support.results import Saved


@dataclass(frozen=True, eq=False)
class Exponent(Saved, format="hidim-exponent/1"):
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

    known, risk = curve.in_time()
    use = (known >= 1) & np.isfinite(risk)
    spline = CubicSpline(np.log(known[use]), np.log(risk[use]))
    where = known[use] if steps is None else np.asarray(steps, dtype=np.float64)
    return np.asarray(spline(np.log(where), 1))
