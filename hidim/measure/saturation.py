"""Towards which level does a curve fall, and by which power: risk = c + A t^-b."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hidim.support.results import Saved


@dataclass(frozen=True, eq=False)
class SaturatingFit(Saved, format="hidim-saturating-fit/1"):
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
