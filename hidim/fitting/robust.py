"""Which parameters explain the points best when a few points are bad?

Minimises sum_i huber(log residual_i / delta) + sum_j ((p_j - mean_j) / width_j)^2 by a
trust-region least-squares method from a grid of starts, with exact gradients and bounds.
Huber scale 1e-3 on log residuals, as in the papers on these laws.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np

HUBER = 1e-3


class Chart(Protocol):
    """Coordinates in which a search is easier than in the parameters themselves."""

    def inside(self, vector: np.ndarray) -> np.ndarray:
        """Parameters (p,) in the coordinates of the search, (p,)."""

    def outside(self, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Parameters (p,) of coordinates (p,), and their slopes in these, (p, p)."""


def minimise(
    residuals: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    starts: list[np.ndarray],
    bounds: tuple[np.ndarray, np.ndarray],
    prior: tuple[np.ndarray, np.ndarray],
    *,
    delta: float = HUBER,
    max_evaluations: int = 200,
    chart: Chart | None = None,
) -> np.ndarray:
    """The best of the local minima reached from `starts`, shape (p,).

    Args:
        residuals: parameters (p,) to log residuals (n,) and their Jacobian (n, p).
        starts: parameters, each (p,).
        bounds: lowest and highest values, each (p,), of the coordinates if there is a chart.
        prior: means and widths, each (p,); an infinite width is no prior.
        delta: Huber scale.
        max_evaluations: per start.
        chart: coordinates of the search, where not the parameters.

    Raises:
        ValueError: no start gives a finite cost.
    """
    from scipy.optimize import least_squares

    mean, width = prior
    some = np.isfinite(width)
    pull = np.eye(len(mean))[some] / width[some][:, None]
    cache: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}

    def both(vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        key = vector.tobytes()
        if key not in cache:
            cache.clear()
            known, slope = (vector, None) if chart is None else chart.outside(vector)
            value, jacobian = residuals(known)
            extra = (known - mean)[some] / width[some]
            jacobian = np.concatenate([jacobian / delta, pull])
            cache[key] = (
                np.concatenate([value / delta, extra]),
                jacobian if slope is None else jacobian @ slope,
            )
        return cache[key]

    def rho(z: np.ndarray) -> np.ndarray:
        return huber(z, int(some.sum()))

    best = None
    low, high = bounds
    for start in starts:
        start = start if chart is None else chart.inside(start)
        inside = np.clip(start, low + 1e-6, high - 1e-6)
        if not np.all(np.isfinite(both(inside)[0])):
            continue
        found = least_squares(
            lambda v: both(v)[0],
            inside,
            jac=lambda v: both(v)[1],
            bounds=bounds,
            loss=rho,
            x_scale="jac",
            max_nfev=max_evaluations,
        )
        if np.isfinite(found.cost) and (best is None or found.cost < best.cost):
            best = found
    if best is None:
        raise ValueError("the fit found no finite starting point: check the loss and rate columns.")
    vector: np.ndarray = best.x if chart is None else chart.outside(best.x)[0]
    return vector


def efficiency(scale: float) -> float:
    """Share of normal rows that Huber's loss makes use of: from 2 / pi at scale 0 to 1.

    Args:
        scale: Huber's scale over the standard deviation of a row.

    >>> round(efficiency(1e-6), 3), round(efficiency(1.345), 2)
    (0.637, 0.95)
    """
    inside = math.erf(scale / math.sqrt(2))
    density = math.exp(-(scale**2) / 2) / math.sqrt(2 * math.pi)
    size = inside - 2 * scale * density + scale**2 * (1 - inside)
    return inside**2 / size


def huber(z: np.ndarray, exempt: int) -> np.ndarray:
    """Huber's function of squared residuals `z` and two derivatives, (3, n); the last
    `exempt` entries stay quadratic."""
    out = np.zeros((3, len(z)))
    out[0], out[1] = z, 1.0
    big = z > 1.0
    if exempt:
        big[-exempt:] = False
    root = np.sqrt(z[big])
    out[0, big], out[1, big], out[2, big] = 2 * root - 1, 1 / root, -0.5 / (root * z[big])
    return out
