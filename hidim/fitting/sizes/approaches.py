"""Which size is compute-optimal, read off finished runs without a parametric loss?

`isoflop`: runs grouped by budget, a parabola of log loss in log size per group, a power law
through the minima; its interval by a bootstrap over runs. `envelope`: whole training curves, as
`hidim.frontier` measures them; its interval by leaving out sizes. Both are the instruments of
`hidim.measure`, for tables of runs.
Source: Hoffmann et al. 2022, approaches 2 and 1.
Limits: a minimum at the edge of the sizes tried is refused, because it is a bound and not a
minimum.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hidim.curve import Curve
from hidim.fitting.sizes.fit import fit_sizes
from hidim.fitting.sizes.tables import FLOPS_PER_TOKEN
from hidim.measure import frontier, measure_exponent
from hidim.measure.envelopes import WIDTH, parabola_vertex
from hidim.measure.slopes import student
from hidim.support.checks import finite, finite_array, listed, positive, whole
from hidim.support.inputs import read_json
from hidim.support.results import Saved

_FEWEST = 4  # sizes of a budget
_NEIGHBOURS = 1.5  # budgets nearer than this may be one that was not kept to
_BUDGETS = 3
_CHAINED = 2.0  # runs whose budgets differ by more are not of one budget
_WIDEST = 1.3  # and what is taken for one without being told
_TOLERANCES = (0.2, 0.1, 0.05, 0.02, 0.01)


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
        exponent_wider: the exponent where parabolas see twice as many decades of size, or where the
            window of budgets is the whole frontier; None where that finds none.
    """

    exponent: float
    log_scale: float
    exponent_interval: tuple[float, float] | None
    flops: np.ndarray
    sizes: np.ndarray
    losses: np.ndarray
    refused: tuple[float, ...] = ()
    exponent_wider: float | None = None

    def __repr__(self) -> str:
        ends = self.exponent_interval
        between = "" if ends is None else f", {ends[0]:.3g} to {ends[1]:.3g}"
        return f"OptimalSize(flops^{self.exponent:.3g}{between}, {len(self.flops)} budgets)"

    def size(self, flops: Any) -> np.ndarray:
        """Compute-optimal size at `flops`, shape (n,) or a number."""
        return np.exp(self.log_scale + self.exponent * np.log(np.asarray(flops, dtype=float)))


def is_optimal_size(path: str | os.PathLike[str]) -> bool:
    """Whether a file holds best sizes by budget."""
    data = read_json(path)
    return isinstance(data, dict) and data.get("format") == OptimalSize._format


def isoflop(
    params: Any,
    flops: Any,
    loss: Any,
    *,
    tolerance: float = 0.1,
    bootstrap: int = 200,
    level: float = 0.9,
    seed: int = 0,
    decades: float = WIDTH,
) -> OptimalSize:
    """Compute-optimal size from runs of several sizes at each of several budgets.

    Args:
        params, flops, loss: one value per finished run, positive, each (n,).
        tolerance: runs within this fraction of the next smaller budget share a group.
        decades: width in size of what each parabola sees around its lowest run, the nearest five
            sizes at least.
        bootstrap: resamplings of the runs within each group.
        level: of the interval.
        seed: of the resampling.

    Raises:
        ValueError: fewer than three budgets with a minimum inside the sizes tried, not counting
            groups whose budgets differ by more than a factor of two.

    >>> n, c = np.meshgrid(np.geomspace(1e6, 1e9, 9), [1e18, 1e19, 1e20])
    >>> best = 0.1 * c**0.5 / np.sqrt(10)
    >>> law = isoflop(n.ravel(), c.ravel(), np.exp(0.7 + 0.05 * np.log(n / best) ** 2).ravel())
    >>> round(law.exponent, 3)
    0.5
    """
    n, c, y = _positive(params=params, flops=flops, loss=loss)
    groups = _budgets(c, positive("tolerance", tolerance))
    decades = positive("decades", decades)
    found, refused = _minima(groups, n, c, y, decades)
    chained = [group for group in groups if _span(c, group) > _CHAINED]
    whole_budgets = len(found) - sum(
        _span(c, group) > _CHAINED for group in _inside(groups, found, c)
    )
    if len(found) < _BUDGETS or (chained and whole_budgets < _BUDGETS):
        raise ValueError(_too_few(groups, chained, whole_budgets, c, tolerance))
    rng = np.random.default_rng(seed)
    exponents = []
    for _ in range(int(whole("bootstrap", bootstrap))):
        picks = [rng.choice(group, len(group)) for group in groups]
        again, _ = _minima(picks, n, c, y, decades)
        if len(again) >= 2:
            exponents.append(_line(again)[0])
    wider, _ = _minima(groups, n, c, y, 2 * decades)
    tail = (1 - _level(level)) / 2
    ends = np.quantile(exponents, [tail, 1 - tail]) if len(exponents) else None
    return _result(found, refused, ends, _line(wider)[0] if len(wider) >= 2 else None)


def widest_tolerance(flops: Any) -> float:
    """The largest tolerance of a few at which no budgets chain into one.

    >>> widest_tolerance([1e18, 1.01e18, 1.08e18, 1.16e18, 1.25e18, 1.35e18, 1.47e18, 1.6e18])
    0.05
    """
    (c,) = _positive(flops=flops)
    for tolerance in _TOLERANCES:
        if all(_span(c, group) <= _WIDEST for group in _budgets(c, tolerance)):
            return tolerance
    return _TOLERANCES[-1]


@dataclass(frozen=True)
class IsoflopBias:
    """What `isoflop` finds on the losses of a law fitted to all runs, whose exponent is known.

    Attributes:
        joint: exponent of size in flops by the law.
        found: what isoflop finds on that law, at the same sizes and budgets, without noise.
    """

    joint: float
    found: float

    @property
    def bias(self) -> float:
        """Found less true."""
        return self.found - self.joint


def isoflop_bias(
    params: Any, flops: Any, loss: Any, *, tolerance: float = 0.1, decades: float = WIDTH
) -> IsoflopBias:
    """The error of `isoflop` on these sizes and budgets, by the joint law of the same runs.

    Parabolas, budgets that are only nearly equal and sizes on one side of the best shift it.

    Raises:
        ValueError: the runs do not determine the joint law, or give no exponent.
    """
    n, c, y = _positive(params=params, flops=flops, loss=loss)
    law = fit_sizes([n, c / (FLOPS_PER_TOKEN * n)], y, bootstrap=0, held_out=0)
    a, b, _ = law.form.exponents(law.vector)
    smooth = law.predict(n, c / (FLOPS_PER_TOKEN * n))
    again = isoflop(n, c, smooth, tolerance=tolerance, bootstrap=0, decades=decades)
    return IsoflopBias(b / (a + b), again.exponent)


def envelope(
    curves: Sequence[tuple[float, Any, Any] | Curve],
    *,
    budgets: int = 40,
    bootstrap: int = 200,
    level: float = 0.9,
    seed: int = 0,
) -> OptimalSize:
    """Compute-optimal size from whole training curves of several sizes.

    Args:
        curves: (parameters, flops, loss) of each run, flops increasing and loss of equal
            length (n,); or Curves that say their dimension.
        budgets: of version 0.1, which read the staircase of the sizes themselves; without effect.
        bootstrap: 0 for no interval; of version 0.1 otherwise, the interval now leaves out sizes.
        level: of the interval.
        seed: of version 0.1; without effect.

    Raises:
        ValueError: fewer than five sizes, or none that is best inside them.

    >>> sizes, tokens = np.geomspace(1e7, 1e9, 9), np.geomspace(1e8, 1e12, 100)
    >>> runs = [(n, 6 * n * tokens, 480 * n**-0.35 + 2000 * tokens**-0.35) for n in sizes]
    >>> round(envelope(runs).exponent, 3)
    0.5
    """
    curves = listed("curves", curves, "Curves or triples of parameters, flops and losses")
    for curve in curves:
        if not isinstance(curve, Curve):
            params, flops, loss = curve
            positive("params", params)
            _positive(flops=flops, loss=loss)
    found = frontier(curves, floor="fit")  # losses of text have one
    assert found.xi is not None
    assert found.xi.windows is not None
    points = list(zip(found.flops, found.d, found.risk, strict=True))
    scale = float(np.mean(np.log(found.d) - found.xi.value * np.log(found.flops)))
    half = student((found.sizes or 0) - 2, _level(level)) * found.xi.stderr
    ends = (found.xi.value - half, found.xi.value + half) if bootstrap else None
    whole = float(found.xi.windows[-1, 1])
    flops, sizes, losses = np.array(points).T
    return OptimalSize(found.xi.value, scale, ends, flops, sizes, losses, (), whole)


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
    groups: Sequence[np.ndarray], n: np.ndarray, c: np.ndarray, y: np.ndarray, decades: float
) -> tuple[list[tuple[float, float, float]], tuple[float, ...]]:
    """(flops, size, loss) at the parabola's minimum of each group, and the refused budgets."""
    found, refused = [], []
    for group in groups:
        size, budget = np.log(n[group]), float(np.exp(np.log(c[group]).mean()))
        lowest = size[np.argmin(y[group])]
        best, level = np.nan, np.nan
        if len(np.unique(size)) >= _FEWEST and size.min() < lowest < size.max():
            best, level = parabola_vertex(size, np.log(y[group]), decades=decades)
        if size.min() <= best <= size.max():  # not where it is no number
            found.append((budget, float(np.exp(best)), float(np.exp(level))))
        else:
            refused.append(budget)
    return found, tuple(refused)


def _span(flops: np.ndarray, group: np.ndarray) -> float:
    """Largest over smallest budget of a group."""
    return float(flops[group].max() / flops[group].min())


def _inside(
    groups: Sequence[np.ndarray], found: Sequence[tuple[float, float, float]], c: np.ndarray
) -> list[np.ndarray]:
    """The groups that have a minimum."""
    budgets = {row[0] for row in found}
    return [g for g in groups if float(np.exp(np.log(c[g]).mean())) in budgets]


def _too_few(
    groups: Sequence[np.ndarray],
    chained: Sequence[np.ndarray],
    found: int,
    c: np.ndarray,
    tolerance: float,
) -> str:
    """Why no exponent, and which way the tolerance should go."""
    if chained:
        widest = max(chained, key=lambda group: _span(c, group))
        low, high = c[widest].min(), c[widest].max()
        return (
            f"at `tolerance` {tolerance:g} {len(widest)} runs of {low:.3g} to {high:.3g} flops "
            f"chain into one budget, and {found} other(s) have a minimum; an exponent needs "
            f"{_BUDGETS}. Lower `tolerance` until budgets stay apart."
        )
    single = sum(len(group) < _FEWEST for group in groups)
    level = np.sort([float(np.exp(np.mean(np.log(c[group])))) for group in groups])
    near = len(level) > 1 and float(np.median(level[1:] / level[:-1])) < _NEIGHBOURS
    if found == len(groups):
        remedy = f"Run {_BUDGETS - found} more budget{'s' * (_BUDGETS - found > 1)}"
    elif single > len(groups) / 2 and near:
        remedy = "Raise `tolerance` where runs of one budget differ"
    else:
        remedy = "Run more sizes per budget, on both sides of the best"
    return (
        f"only {found} of {len(groups)} budgets have {_FEWEST} sizes or more around a minimum; an "
        f"exponent needs {_BUDGETS}. {remedy}."
    )


def _line(found: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    flops, sizes = np.array([row[:2] for row in found]).T
    slope = measure_exponent(flops, sizes).value
    return slope, float(np.mean(np.log(sizes) - slope * np.log(flops)))


def _level(level: float) -> float:
    if not 0 < finite("level", level) < 1:
        raise ValueError(f"`level` must lie between 0 and 1, got {level!r}.")
    return level


def _result(
    found: Sequence[tuple[float, float, float]],
    refused: tuple[float, ...],
    ends: Any,
    wider: float | None,
) -> OptimalSize:
    slope, offset = _line(found)
    flops, sizes, losses = np.array(found).T
    interval = None if ends is None else (float(ends[0]), float(ends[1]))
    return OptimalSize(slope, offset, interval, flops, sizes, losses, refused, wider)
