"""Towards which level does a curve fall, and by which power: risk = c + A x^-b.

Least squares of relative residuals with c, A >= 0: the two are solved exactly for every b, and b
by a search in one dimension. The window is every point given. Neighbouring points share their
errors, so the interval of b comes from leaving out one block of neighbours after another (ten
blocks, one Newton step each), and b of the later half of the points, in log x, stands beside it.

Several curves that must have one level, such as losses of several optimizers on one text, are
fitted with one c by `shared_saturation`, the same model with the same residuals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hidim.measure.slopes import blocks, jackknife, student
from hidim.support.checks import rows_of
from hidim.support.results import Saved

_RANGE = (0.02, 6.0)
_FEWEST = 4
_BLOCKS = 4  # that an interval needs


@dataclass(frozen=True, eq=False)
class SaturatingFit(Saved, format="hidim-saturating-fit/1"):
    """risk = c + A t^-b.

    Attributes:
        c: level at infinite time.
        A: amplitude.
        b: power.
        error: largest relative residual.
        pinned: whether b ended where the search does (0.02 or 6) or nothing falls, so that it is
            no measurement.
        low: lower end of the 95 % interval of b, None where too few points bound it.
        high: its upper end.
        later: b fitted to the later half of the points alone, or None.
    """

    c: float
    A: float
    b: float
    error: float
    pinned: bool = False
    low: float | None = None
    high: float | None = None
    later: float | None = None


def saturating_fit(steps: np.ndarray, risk: np.ndarray) -> SaturatingFit:
    """Fit risk = c + A t^-b with c, A >= 0 by least squares of relative residuals.

    Raises:
        ValueError: fewer than four positive points, or rows of two lengths.

    >>> t = np.geomspace(1, 1e4, 50)
    >>> fit = saturating_fit(t, 0.01 + 2 * t**-0.7)
    >>> round(fit.b, 4), round(fit.c, 6), round(fit.A, 4)
    (0.7, 0.01, 2.0)
    """
    t, p = rows_of(steps=steps, risk=risk)
    use = (t > 0) & np.isfinite(p) & (p > 0)
    if use.sum() < _FEWEST:
        raise ValueError(f"`steps` must hold at least 4 positive steps, got {int(use.sum())}.")
    t, p = t[use], p[use]
    b, c, amplitude = _search(t, p)
    start = t[0]  # (t / start)^-b keeps the two columns of the fit of one size
    fitted = c + amplitude * (t / start) ** -b
    # Data that do not fall have no power either.
    pinned = min(b - _RANGE[0], _RANGE[1] - b) < 1e-6 or amplitude <= 0.0
    error = float(np.max(np.abs(fitted / p - 1)))
    half = None if pinned else _half_width(t / start, p, b, c, amplitude)
    late = np.log(t) > (math.log(t.min()) + math.log(t.max())) / 2
    later = None
    if late.sum() > _FEWEST:
        found = _search(t[late], p[late])[0]
        later = found if min(found - _RANGE[0], _RANGE[1] - found) >= 1e-6 else None
    low, high = (None, None) if half is None else (b - half, b + half)
    size = float(amplitude * start**b)
    return SaturatingFit(c, size, b, error, bool(pinned), low, high, later)


def _search(t: np.ndarray, p: np.ndarray) -> tuple[float, float, float]:
    """b, c and the amplitude at the first point."""
    from scipy.optimize import minimize_scalar, nnls

    start = t[0]

    def solve(b: float) -> tuple[np.ndarray, float]:
        columns = np.stack([1 / p, (t / start) ** -b / p], axis=1)
        return nnls(columns, np.ones(len(p)))

    grid = np.linspace(*_RANGE, 150)
    k = int(np.argmin([solve(b)[1] for b in grid]))
    low, high = grid[max(k - 1, 0)], grid[min(k + 1, len(grid) - 1)]
    b = float(minimize_scalar(lambda b: solve(b)[1], bounds=(low, high), method="bounded",
                              options={"xatol": 1e-9}).x)  # fmt: skip
    (c, amplitude), _ = solve(b)
    return b, float(c), float(amplitude)


def _half_width(x: np.ndarray, p: np.ndarray, b: float, c: float, a: float) -> float | None:
    """Half the interval of b: the linearised fit without each block of neighbours."""
    order = np.argsort(x, kind="stable")
    x, p = x[order], p[order]
    power = x**-b
    columns = [power / p, -a * np.log(x) * power / p]
    columns += [1 / p] if c > 0 else []  # a level at its bound stays there
    jacobian, left = np.stack(columns, axis=1), 1 - (c + a * power) / p
    every = blocks(len(x))
    if len(every) < _BLOCKS or len(x) <= len(columns) + 1:
        return None
    rows = []
    for block in every:
        kept = np.delete(np.arange(len(x)), block)
        rows.append(np.linalg.lstsq(jacobian[kept], left[kept], rcond=None)[0][1:2])
    spread = float(jackknife(np.array(rows))[0])
    return student(len(every)) * spread if math.isfinite(spread) else None


def shared_saturation(x: np.ndarray, rows: Sequence[np.ndarray]) -> tuple[float, list[float]]:
    """Fit loss = c + A x^-b with one c for all rows, and A and b of each.

    For every c the logarithm of loss - c is a straight line, fitted with the weights that make its
    residuals relative errors of the loss; c is the one of the least sum over all rows.

    Args:
        x: shape (n,), positive.
        rows: losses, each (n,).

    Returns:
        c, and b of each row.

    Raises:
        ValueError: no rows, rows of two lengths, or numbers that are not positive.

    >>> x = np.geomspace(1, 1e4, 30)
    >>> c, (one, two) = shared_saturation(x, [0.5 + x**-0.4, 0.5 + 3 * x**-0.6])
    >>> round(c, 5), round(one, 4), round(two, 4)
    (0.5, 0.4, 0.6)
    """
    from scipy.optimize import minimize_scalar

    if not len(rows):
        raise ValueError("`rows` is empty: give at least one row of losses.")
    for number, row in enumerate([x, *rows]):
        name = f"rows[{number - 1}]" if number else "x"
        rows_of(**{"x": x, name: row})
        if not np.all(np.asarray(row, dtype=np.float64) > 0):
            raise ValueError(f"`{name}` must hold positive numbers, which have logarithms.")
    u = np.log(x)

    def lines(c: float) -> tuple[float, list[float]]:
        total, slopes = 0.0, []
        for loss in rows:
            weight = 1 - c / loss
            y = np.log(loss - c)
            line = np.polyfit(u, y, 1, w=weight)
            total += float(np.sum((weight * (y - np.polyval(line, u))) ** 2))
            slopes.append(-float(line[0]))
        return total, slopes

    highest = min(float(loss.min()) for loss in rows)
    grid = highest * np.linspace(0, 0.995, 200)
    k = int(np.argmin([lines(c)[0] for c in grid]))
    low, high = grid[max(k - 1, 0)], grid[min(k + 1, len(grid) - 1)]
    best = minimize_scalar(lambda c: lines(c)[0], bounds=(low, high), method="bounded",
                           options={"xatol": 1e-9})  # fmt: skip
    c = float(best.x) if best.fun < lines(grid[k])[0] else float(grid[k])
    return c, lines(c)[1]
