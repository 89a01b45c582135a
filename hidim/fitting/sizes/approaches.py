"""Which size is compute-optimal, read off the runs without a parametric loss?

`isoflop`: runs grouped by budget, a parabola of loss in log size per group, a power law
through the minima. `envelope`: the size whose curve is lowest at each budget, a power law
through these. Intervals by bootstrap over runs.
Source: Hoffmann et al. 2022, approaches 2 and 1.
Limits: a minimum at the edge of the sizes tried is refused, because it is a bound and not a
minimum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hidim.support.checks import finite, finite_array, positive, whole
from hidim.support.results import Saved

_FEWEST = 4


@dataclass(frozen=True, eq=False)
class OptimalSize(Saved, format="hidim-optimal-size/1"):
    """Compute-optimal size as a power law of the budget: size = scale x flops^exponent.

    Attributes:
        exponent: of size in flops.
        log_scale: logarithm of the scale.
        exponent_interval: ends of the bootstrap interval of the exponent, or None.
        flops: budgets at which a minimum was found, shape (k,).
        sizes: compute-optimal size at each, shape (k,).
        losses: loss there, shape (k,).
        refused: budgets without a minimum inside the sizes tried.
    """

    exponent: float
    log_scale: float
    exponent_interval: tuple[float, float] | None
    flops: np.ndarray
    sizes: np.ndarray
    losses: np.ndarray
    refused: tuple[float, ...] = ()

    def size(self, flops: Any) -> np.ndarray:
        """Compute-optimal size at `flops`, shape (n,) or a number."""
        return np.exp(self.log_scale + self.exponent * np.log(np.asarray(flops, dtype=float)))


def isoflop(
    params: Any,
    flops: Any,
    loss: Any,
    *,
    tolerance: float = 0.1,
    bootstrap: int = 200,
    level: float = 0.9,
    seed: int = 0,
) -> OptimalSize:
    """Compute-optimal size from runs of several sizes at each of several budgets.

    Args:
        params, flops, loss: one value per finished run, positive, each (n,).
        tolerance: runs within this fraction of the next smaller budget share a group.
        bootstrap: resamplings of the runs within each group.
        level: of the interval.
        seed: of the resampling.

    Raises:
        ValueError: fewer than two budgets with a minimum inside the sizes tried.

    >>> n, c = np.meshgrid(np.geomspace(1e6, 1e9, 9), [1e18, 1e19, 1e20])
    >>> best = 0.1 * c**0.5 / np.sqrt(10)
    >>> law = isoflop(n.ravel(), c.ravel(), (2 + 0.1 * np.log(n / best) ** 2).ravel())
    >>> round(law.exponent, 3)
    0.5
    """
    n, c, y = _positive(params=params, flops=flops, loss=loss)
    groups = _budgets(c, positive("tolerance", tolerance))
    found, refused = _minima(groups, n, c, y)
    if len(found) < 2:
        raise ValueError(
            f"only {len(found)} of {len(groups)} budgets have {_FEWEST} sizes or more around a "
            "minimum; an exponent needs two. Run more sizes per budget, or raise `tolerance`."
        )
    rng = np.random.default_rng(seed)
    exponents = []
    for _ in range(int(whole("bootstrap", bootstrap))):
        picks = [rng.choice(group, len(group)) for group in groups]
        again, _ = _minima(picks, n, c, y)
        if len(again) >= 2:
            exponents.append(_line(again)[0])
    return _result(found, refused, exponents, level)


def envelope(
    curves: Sequence[tuple[float, Any, Any]],
    *,
    budgets: int = 40,
    bootstrap: int = 200,
    level: float = 0.9,
    seed: int = 0,
) -> OptimalSize:
    """Compute-optimal size from whole training curves of several sizes.

    Args:
        curves: (parameters, flops, loss) of each run, flops increasing and loss of equal
            length (n,).
        budgets: points of the log grid of budgets.
        bootstrap: resamplings of the curves.
        level: of the interval.
        seed: of the resampling.

    Raises:
        ValueError: fewer than three curves, or an envelope that touches fewer than two.
    """
    if len(curves) < 3:
        raise ValueError(f"`curves` must hold three sizes or more, got {len(curves)}.")
    runs = []
    for params, flops, loss in curves:
        c, y = _positive(flops=flops, loss=loss)
        if np.any(np.diff(c) <= 0):
            raise ValueError("`flops` must increase along every curve.")
        runs.append((positive("params", params), np.log(c), np.log(y)))
    low = max(min(c[0] for _, c, _ in runs), sorted(c[0] for _, c, _ in runs)[1])
    high = sorted(c[-1] for _, c, _ in runs)[-2]
    if not high > low:
        raise ValueError("no two curves overlap in flops: there is no envelope.")
    grid = np.linspace(low, high, int(whole("budgets", budgets, minimum=4)))
    table = np.array([np.interp(grid, c, y, np.inf, np.inf) for _, c, y in runs])
    sizes = np.array([params for params, _, _ in runs])
    found = _lowest(table, sizes, grid)
    if len({size for _, size, _ in found}) < 2:
        raise ValueError(
            "fewer than two inner sizes are best at some budget: train smaller and larger ones."
        )
    rng = np.random.default_rng(seed)
    exponents = []
    for _ in range(int(whole("bootstrap", bootstrap))):
        pick = rng.integers(0, len(runs), len(runs))
        again = _lowest(table[pick], sizes[pick], grid)
        if len({size for _, size, _ in again}) >= 2:
            exponents.append(_line(again)[0])
    return _result(found, (), exponents, level)


def _positive(**named: Any) -> list[np.ndarray]:
    arrays = [finite_array(name, value, ndim=1) for name, value in named.items()]
    for name, array in zip(named, arrays, strict=True):
        if len(array) != len(arrays[0]):
            raise ValueError(f"`{name}` has {len(array)} values, not {len(arrays[0])}.")
        if len(array) == 0 or np.any(array <= 0):
            raise ValueError(f"`{name}` must hold positive values.")
    return arrays


def _budgets(flops: np.ndarray, tolerance: float) -> list[np.ndarray]:
    order = np.argsort(flops, kind="stable")
    splits = np.flatnonzero(np.diff(np.log(flops[order])) > np.log1p(tolerance)) + 1
    return np.split(order, splits)


def _minima(
    groups: Sequence[np.ndarray], n: np.ndarray, c: np.ndarray, y: np.ndarray
) -> tuple[list[tuple[float, float, float]], tuple[float, ...]]:
    """(flops, size, loss) at the parabola's minimum of each group, and the refused budgets."""
    found, refused = [], []
    for group in groups:
        size, budget = np.log(n[group]), float(np.exp(np.log(c[group]).mean()))
        if len(np.unique(size)) < _FEWEST:
            refused.append(budget)
            continue
        middle, lowest = size.mean(), size[np.argmin(y[group])]
        a, b, e = np.polyfit(size - middle, y[group], 2)
        best = middle - b / (2 * a) if a > 0 else np.inf
        inside = size.min() < lowest < size.max()
        if not (inside and size.min() <= best <= size.max()):
            refused.append(budget)
            continue
        found.append((budget, float(np.exp(best)), float(e - b * b / (4 * a))))
    return found, tuple(refused)


def _lowest(
    table: np.ndarray, sizes: np.ndarray, grid: np.ndarray
) -> list[tuple[float, float, float]]:
    """(flops, size, loss) where an inner size is lowest: the ends of the range are bounds."""
    best = np.argmin(table, axis=0)
    value = table[best, np.arange(len(grid))]
    smallest, largest = sizes.min(), sizes.max()
    return [
        (float(np.exp(c)), float(sizes[i]), float(np.exp(y)))
        for c, i, y in zip(grid, best, value, strict=True)
        if np.isfinite(y) and smallest < sizes[i] < largest
    ]


def _line(found: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    logs = np.log([row[:2] for row in found])
    slope, offset = np.polyfit(logs[:, 0], logs[:, 1], 1)
    return float(slope), float(offset)


def _result(
    found: Sequence[tuple[float, float, float]],
    refused: tuple[float, ...],
    exponents: Sequence[float],
    level: float,
) -> OptimalSize:
    if not 0 < finite("level", level) < 1:
        raise ValueError(f"`level` must lie between 0 and 1, got {level!r}.")
    slope, offset = _line(found)
    tail = (1 - level) / 2
    ends = np.quantile(exponents, [tail, 1 - tail]) if len(exponents) else None
    flops, sizes, losses = np.array(found).T
    interval = None if ends is None else (float(ends[0]), float(ends[1]))
    return OptimalSize(slope, offset, interval, flops, sizes, losses, refused)
